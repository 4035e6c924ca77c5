from __future__ import annotations

import time
import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from qawait.emulator.store import Job, JobIds, JobStore, Query

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api


def test_newest_first_unless_ascending(api: Api) -> None:
    """Jobs come newest first; `sort=ASC` turns that round."""
    jobs = [api.submit() for _ in range(3)]
    assert api.ids("") == jobs[::-1]
    assert api.ids("sort=DESC") == jobs[::-1]
    assert api.ids("sort=ASC") == jobs


def test_pages(api: Api) -> None:
    """`limit` and `offset` cut a page, and `count` is the truth about all."""
    jobs = [api.submit() for _ in range(5)][::-1]
    page = api.ask("GET", "/jobs?limit=2&offset=1").json
    assert [job["id"] for job in page["jobs"]] == jobs[1:3]
    assert (page["count"], page["limit"], page["offset"]) == (5, 2, 1)
    assert api.ask("GET", "/jobs?offset=9").json["jobs"] == []


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "", "9999999999"])
def test_limit_out_of_range_is_silently_the_default(api: Api, limit: str) -> None:
    """A limit that is none counts as 200."""
    assert api.ask("GET", f"/jobs?limit={limit}").json["limit"] == 200


@pytest.mark.parametrize(("word", "found"), [("true", 0), ("True", 0), ("false", 1), ("FALSE", 1)])
def test_pending(emu: Emulator, api: Api, word: str, found: int) -> None:
    """`pending` parts live jobs from final ones, in any case of letters."""
    done = api.submit()
    emu.wait_for(done, "Completed")
    emu.hold()
    live = api.submit()
    assert api.ids(f"pending={word}") == [[live], [done]][found]
    assert api.ask("GET", f"/jobs?pending={word}").json["count"] == 1


def test_tags_must_all_match(api: Api) -> None:
    """Of several tags a job must have all."""
    both, one, _none = api.submit(tags=["a", "b"]), api.submit(tags=["a"]), api.submit()
    assert api.ids("tags=a") == [one, both]
    assert api.ids("tags=a&tags=b") == [both]
    assert api.ids("tags=a&tags=c") == []
    assert api.ask("GET", "/jobs?tags=a&tags=b").json["count"] == 1


def test_program_backend_and_session(api: Api) -> None:
    """Jobs can be found by program, backend and session; a wrong session finds none."""
    session = api.ask("POST", "/sessions", {"mode": "batch", "backend": "ibm_fez"}).json["id"]
    fez = api.submit(backend="ibm_fez", session_id=session)
    manila = api.submit()
    assert api.ids("backend=ibm_fez") == [fez]
    assert api.ids("program=sampler") == [manila, fez]
    assert api.ids("program=estimator") == []
    assert api.ids(f"session_id={session}") == [fez]
    assert api.ids("session_id=wrong") == []


def test_times_of_creation(api: Api) -> None:
    """`created_after` and `created_before` include the instant itself, in any offset."""
    jobs = [api.submit() for _ in range(3)]
    at = datetime.fromisoformat(api.job(jobs[1])["created"])
    local = urllib.parse.quote(at.astimezone(tz=None).isoformat())
    assert api.ids(f"created_after={local}") == [jobs[2], jobs[1]]
    assert api.ids(f"created_before={local}&sort=ASC") == jobs[:2]


def test_strange_times_are_refused(api: Api) -> None:
    """A time that is none is answered 400, as is an offset whose plus was not escaped."""
    assert api.ask("GET", "/jobs?created_after=yesterday").status == 400
    unescaped = "2026-11-20T00:00:00+00:00"
    assert api.ask("GET", f"/jobs?created_after={unescaped}").status == 400


def test_parameters_are_excluded_by_default_in_lists_only(api: Api) -> None:
    """A listing has parameters when asked, a job unless told not to."""
    job_id = api.submit()
    assert "params" not in api.ask("GET", "/jobs").json["jobs"][0]
    assert "params" in api.ask("GET", "/jobs?exclude_params=False").json["jobs"][0]
    assert api.ask("GET", f"/jobs/{job_id}").json["params"]["version"] == 2
    assert "params" not in api.ask("GET", f"/jobs/{job_id}?exclude_params=True").json


def test_new_jobs_may_lag(emu: Emulator, api: Api) -> None:
    """With a list lag a job can be asked for at once, but is listed only later."""
    emu.settings(list_lag=0.2)
    job_id = api.submit(tags=["t"])
    assert api.job(job_id)["id"] == job_id
    assert api.ids("tags=t") == []
    assert api.ask("GET", "/jobs").json["count"] == 0
    deadline = time.monotonic() + 5
    while not (found := api.ids("tags=t")):
        assert time.monotonic() < deadline
    assert found == [job_id]


def test_changed_tags_are_found(api: Api) -> None:
    """A listing follows the tags a job has now, in order of creation."""
    first, second = api.submit(tags=["old"]), api.submit(tags=["new"])
    assert api.ask("PUT", f"/jobs/{first}/tags", {"tags": ["new"]}).status == 204
    assert api.ids("tags=old") == []
    assert api.ids("tags=new") == [second, first]


def test_job_ids_look_like_xids_and_sort() -> None:
    """Ids have 20 characters of a known alphabet, are unique, and sort by time."""
    ids = JobIds()
    made = [ids.make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(len(one) == 20 and one.isalnum() and one.lower() == one for one in made)


def crowd(number: int) -> JobStore:
    """Return a store of jobs, every second of them final."""
    store, start = JobStore(), datetime.now(UTC)
    for index in range(number):
        job = Job(
            id=f"j{index}",
            number=index,
            instance="one",
            backend="ibm_fez",
            program="sampler",
            request=b"{}",
            cost=60,
            created=start + timedelta(seconds=index),
            tags=("run", f"group{index % 50}"),
        )
        store.add(job)
        if index % 2:
            job.status = "Completed"
            store.finished(job)
        job.render()
    return store


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (Query(instance="one", limit=200), 10_000),
        (Query(instance="one", limit=200, tags=("run",)), 10_000),
        (Query(instance="one", limit=200, tags=("group7",), pending=False), 200),
        (Query(instance="one", limit=200, tags=("group7", "run")), 200),
        (Query(instance="one", limit=200, pending=True, tags=("run",)), 5000),
        (Query(instance="one", limit=200, pending=False), 5000),
    ],
    ids=str,
)
def test_a_page_among_ten_thousand(query: Query, count: int) -> None:
    """A page among 10,000 jobs has the right jobs' number, and tells how many there are."""
    found, jobs = crowd(10_000).select(query)
    assert (found, len(jobs)) == (count, min(count, 200))
