from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from support.emulated import FLIP, Api, submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator

UTC_MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_answer_names_job_and_backend(api: Api) -> None:
    """A submit is answered with the id and the backend, and no more."""
    reply = api.ask("POST", "/jobs", submit_body())
    assert reply.status == 200
    assert set(reply.json) == {"id", "backend"}
    assert reply.json["backend"] == "ibm_manila"


def test_job_has_the_recorded_shape(emu: Emulator, api: Api) -> None:
    """A job is shown with the keys IBM's client was recorded to read."""
    emu.hold()
    job = api.job(api.submit(tags=["t1", "demo"], cost=60))
    assert job.pop("id")
    assert job.pop("user_id")
    assert UTC_MICROSECONDS.fullmatch(job.pop("created"))
    assert job == {
        "backend": "ibm_manila",
        "state": {"status": "Queued"},
        "status": "Queued",
        "program": {"id": "sampler"},
        "cost": 60,
        "tags": ["t1", "demo"],
        "usage": {"qpu_charge_time_seconds": 0, "status": "pending"},
        "estimated_running_time_seconds": 2.1,
    }


@pytest.mark.parametrize(("cost", "kept"), [(None, 10_800), (5, 5), (99_999, 10_800)])
def test_cost_is_capped(api: Api, cost: int | None, kept: int) -> None:
    """A job without a limit, or with one too high, has the longest there is."""
    assert api.job(api.submit(cost=cost))["cost"] == kept


@pytest.mark.parametrize("level", ["WARNING", "warning", "Info"])
def test_log_level_in_any_case(api: Api, level: str) -> None:
    """The documented lower case and the client's upper case are both accepted."""
    assert api.submit(log_level=level)


def with_params(**changes: Any) -> dict[str, Any]:
    """Return a submit whose parameters are changed."""
    return submit_body(params={**submit_body()["params"], **changes})


@pytest.mark.parametrize(
    "body",
    [
        submit_body(params=None),
        submit_body(params=[]),
        submit_body(backend=None),
        submit_body(cost=0),
        submit_body(cost="60"),
        submit_body(log_level="loud"),
        submit_body(tags="a"),
        submit_body(tags=[1]),
        with_params(pubs=[]),
        with_params(pubs=None),
        with_params(pubs=[[]]),
        with_params(pubs=[[3]]),
        with_params(pubs=[[FLIP, None, -1]]),
        with_params(pubs=[[FLIP, None, 1.5]]),
        with_params(pubs=[[FLIP, None, 1, 1]]),
        with_params(version=1),
        with_params(unheard_of=1),
        with_params(options={"unheard_of": 1}),
        with_params(options=[]),
        with_params(options={"default_shots": 0}),
        {**submit_body(), "program_id": "estimator"},
    ],
    ids=range(21),
)
def test_invalid_submits_are_refused(api: Api, body: dict[str, Any]) -> None:
    """What fails validation is answered 400 with code 1208 and makes no job."""
    reply = api.ask("POST", "/jobs", body)
    assert (reply.status, reply.code) == (400, 1208)
    assert api.ask("GET", "/jobs").json["count"] == 0


@pytest.mark.parametrize("change", [{"program_id": "x"}, {"backend": "x"}, {"session_id": "x"}])
def test_unknown_things_are_404(api: Api, change: dict[str, str]) -> None:
    """A program, backend or session that is not there is answered 404."""
    assert api.ask("POST", "/jobs", submit_body(**change)).status == 404


def test_null_shots_are_legal(api: Api) -> None:
    """`null` stands for the default number of shots."""
    assert api.submit(params={"pubs": [[FLIP, None, None]], "version": 2, "shots": None})


@pytest.mark.parametrize(
    ("tags", "code"), [(["t"] * 9, 1204), ([str(n) for n in range(9)], 1204), (["t" * 87], 1205)]
)
def test_too_many_or_too_long_tags(api: Api, tags: list[str], code: int) -> None:
    """More than 8 tags, or one beyond 86 characters, are refused on submit and on change."""
    job_id = api.submit(tags=["t" * 86] + [str(n) for n in range(7)])
    submitted = api.ask("POST", "/jobs", submit_body(tags=tags))
    changed = api.ask("PUT", f"/jobs/{job_id}/tags", {"tags": tags})
    assert [(r.status, r.code) for r in (submitted, changed)] == [(400, code)] * 2


def test_limit_per_minute(emu: Emulator, api: Api) -> None:
    """With a limit per minute the next submit is answered 429 with code 1202."""
    emu.settings(submits_per_minute=2)
    api.submit()
    api.submit()
    reply = api.ask("POST", "/jobs", submit_body())
    assert (reply.status, reply.code) == (429, 1202)


def test_pending_limit(emu: Emulator, api: Api) -> None:
    """With a limit of pending jobs one more is refused until another ends."""
    emu.settings(pending_limit=1)
    emu.hold()
    job_id = api.submit()
    assert api.ask("POST", "/jobs", submit_body()).code == 3458
    api.ask("POST", f"/jobs/{job_id}/cancel")
    assert api.submit()


def test_session_that_is_closed_takes_no_jobs(api: Api) -> None:
    """After PATCH a session refuses jobs with code 4001, and its queued ones go on."""
    opened = api.ask("POST", "/sessions", {"mode": "dedicated", "backend": "ibm_manila"}).json
    path = f"/sessions/{opened['id']}"
    assert (opened["state"], opened["accepting_jobs"]) == ("open", True)
    api.submit(session_id=opened["id"])
    assert api.ask("PATCH", path, {"accepting_jobs": False}).status == 204
    assert api.ask("POST", "/jobs", submit_body(session_id=opened["id"])).code == 4001
    assert api.ask("GET", path).json["state"] == "closed"


def test_session_cancel_drops_queued_jobs(emu: Emulator, api: Api) -> None:
    """DELETE of a session drops what is queued and lets what runs finish."""
    emu.settings(lanes=1)
    emu.hold(stage="running")
    session = api.ask("POST", "/sessions", {"mode": "batch", "backend": "ibm_manila"}).json["id"]
    running, queued = api.submit(session_id=session), api.submit(session_id=session)
    emu.wait_for(running, "Running")
    assert api.ask("DELETE", f"/sessions/{session}/close").status == 204
    assert emu.job(queued).status == "Cancelled"
    emu.release()
    emu.wait_for(running, "Completed")


@pytest.mark.parametrize(
    "body",
    [{"mode": "solo", "backend": "ibm_fez"}, {"mode": "batch", "backend": "ibm_fez", "max_ttl": 0}],
)
def test_invalid_sessions_are_refused(api: Api, body: dict[str, Any]) -> None:
    """A session of an unknown mode or without time is answered 400."""
    assert api.ask("POST", "/sessions", body).status == 400


def test_unknown_session_and_backend_are_404(api: Api) -> None:
    """A session that is not there is 404, and so is one on a backend that is not."""
    assert api.ask("GET", "/sessions/none").status == 404
    assert api.ask("POST", "/sessions", {"mode": "batch", "backend": "x"}).status == 404


def test_resubmitting_numbers_jobs_anew_after_reset(emu: Emulator, api: Api) -> None:
    """A reset emulator counts jobs from one, so that seeds give the same results again."""
    api.submit()
    emu.reset()
    api.submit()
    assert [job.number for job in emu.jobs()] == [1]
