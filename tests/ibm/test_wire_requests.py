"""Requests as IBM's own client makes them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.wire import Request, backends, iam, jobs
from qawait.ibm.wire.jobs import JobFilter
from qawait.secret import Secret
from qawait.types import SubmitRequest
from support.recorded import exchange, exchanges

if TYPE_CHECKING:
    from collections.abc import Callable

ANY = Request(name="GET /x", method="GET", path="/x")


def submit_request(body: dict[str, Any], *, raw: bool = False) -> SubmitRequest:
    """Return the submit that has this recorded body."""
    tags = body.get("tags", [""])
    return SubmitRequest(
        program=body["program_id"],
        backend=body["backend"],
        params=json.dumps(body["params"]).encode() if raw else body["params"],
        tag=tags[0],
        tags=tuple(tags[1:]),
        max_execution_time=body.get("cost"),
        session_id=body.get("session_id"),
        private=body.get("private", False),
        log_level=body.get("log_level"),
    )


# --- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [False, True], ids=["object", "bytes"])
def test_every_recorded_submit_is_rebuilt(raw: bool) -> None:  # noqa: FBT001 - a parameter
    """The envelope of a new job has the real client's keys and values, in either form of params."""
    recorded = exchanges(method="POST", path="/jobs")
    submits = [found for found in recorded if found.path == "/jobs"]
    assert len(submits) > 10
    for found in submits:
        built = jobs.create(submit_request(found.sent, raw=raw))
        assert isinstance(built.body, bytes)
        assert json.loads(built.body) == found.sent
        assert (built.method, built.path, built.query) == ("POST", found.path, found.query)


def test_encoded_params_are_sent_as_they_are() -> None:
    """Bytes are spliced in, not parsed and written again."""
    params = b'{"a":  1.50, "b":[ ]}'
    built = jobs.create(SubmitRequest(program="p", backend="b", params=params, tag="t"))
    assert isinstance(built.body, bytes)
    assert b'"params":' + params + b"," in built.body


@pytest.mark.parametrize(
    "changes",
    [
        {"program": ""},
        {"backend": " "},
        {"params": b""},
        {"params": b"[]"},
        {"params": {"x": float("nan")}},
        {"params": {"x": object()}},
        {"tag": "t" * 87},
        {"tags": tuple("abcdefgh")},
        {"max_execution_time": 0},
        {"max_execution_time": 1.5},
        {"params": b"{" + b" " * limits.SUBMIT_BODY_BYTES + b"}"},
    ],
)
def test_a_submit_that_would_be_refused_is_not_built(changes: dict[str, Any]) -> None:
    """What the service is known to refuse never leaves."""
    fields = {"program": "p", "backend": "b", "params": {}, "tag": "t"} | changes
    with pytest.raises(ConfigError):
        jobs.create(SubmitRequest(**fields))


def test_the_execution_time_is_capped() -> None:
    """More than the service's limit is sent as the limit."""
    job = SubmitRequest(program="p", backend="b", params={}, tag="t", max_execution_time=99_999)
    body = jobs.create(job).body
    assert isinstance(body, bytes)
    assert json.loads(body)["cost"] == 10_800


def test_the_recorded_token_request_is_rebuilt() -> None:
    """The form is the real client's, and the request does not show it."""
    found = exchange("01", "POST", "/identity/token")
    built = iam.create(Secret("APIKEY-1234"))
    assert isinstance(built.body, Secret)
    assert parse_qsl(built.body.reveal()) == parse_qsl(found.sent)
    assert "APIKEY" not in repr(built)


JOB = "d95d48073c2d94079899"
BUILDERS: list[tuple[Callable[[], Request], str, str]] = [
    (lambda: jobs.get(JOB), "GET", f"/jobs/{JOB}"),
    (lambda: jobs.delete(JOB), "DELETE", f"/jobs/{JOB}"),
    (lambda: jobs.results(JOB), "GET", f"/jobs/{JOB}/results"),
    (lambda: jobs.logs(JOB), "GET", f"/jobs/{JOB}/logs"),
    (lambda: jobs.metrics(JOB), "GET", f"/jobs/{JOB}/metrics"),
    (lambda: backends.status("ibm_manila"), "GET", "/backends/ibm_manila/status"),
    (backends.usage, "GET", "/instances/usage"),
]


@pytest.mark.parametrize(("build", "method", "path"), BUILDERS)
def test_recorded_requests_are_rebuilt(
    build: Callable[[], Request], method: str, path: str
) -> None:
    """Method, path and query of each call are the real client's."""
    found = next(x for x in exchanges("03", method=method) if x.path == path)
    built = build()
    assert (built.method, built.path, built.query) == (found.method, found.path, found.query)


def test_the_recorded_tags_request_is_rebuilt() -> None:
    """Tags are replaced by a JSON object."""
    found = next(x for x in exchanges("03", method="PUT") if x.path.endswith("/tags"))
    built = jobs.set_tags(found.path.split("/")[2], found.sent["tags"])
    assert isinstance(built.body, bytes)
    assert (built.method, built.path, json.loads(built.body)) == ("PUT", found.path, found.sent)


def test_the_recorded_cancel_is_rebuilt() -> None:
    """A cancel is a POST without a body."""
    found = exchange("08", "POST", "/cancel", status=204)
    built = jobs.cancel(found.path.split("/")[2])
    assert (built.method, built.path, built.body) == ("POST", found.path, None)


def test_every_filter_of_a_listing_is_sent() -> None:
    """All conditions of the recorded listing, with the real client's spelling."""
    found = exchanges("11", method="GET")[-1]
    query = dict(found.query)
    which = JobFilter(
        limit=2,
        backend="ibm_manila",
        program="sampler",
        tags=("x", "y"),
        session_id=query["session_id"],
        created_after=datetime.fromisoformat(query["created_after"]),
        created_before=datetime.fromisoformat(query["created_before"]),
        sort="ASC",
    )
    assert sorted(jobs.listing(which).query) == sorted(found.query)
    rest = dict(jobs.listing(JobFilter(offset=4, pending=False, exclude_params=False)).query)
    assert rest == {"limit": "200", "offset": "4", "pending": "false", "exclude_params": "false"}


@pytest.mark.parametrize(
    "which",
    [
        JobFilter(limit=0),
        JobFilter(limit=201),
        JobFilter(offset=-1),
        JobFilter(created_after="yesterday"),  # type: ignore[arg-type]
    ],
)
def test_a_page_that_does_not_exist_is_refused(which: JobFilter) -> None:
    """The service would silently give another page."""
    with pytest.raises(ConfigError):
        jobs.listing(which)


def test_a_local_time_gets_its_zone() -> None:
    """A time without a zone is sent with the local one."""
    naive = datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001 - without a zone on purpose
    sent = dict(jobs.listing(JobFilter(created_after=naive)).query)["created_after"]
    assert datetime.fromisoformat(sent) == naive.astimezone()


@pytest.mark.parametrize(
    "job_id", ["", "a/b", "..", "a" * 65, "a b", "a\r\nb", "é", "a%2fb", "a?b", None, 7]
)
@pytest.mark.parametrize("build", [jobs.get, jobs.cancel, jobs.delete, jobs.results, jobs.logs])
def test_a_wrong_job_id_is_refused(build: Callable[[Any], Request], job_id: Any) -> None:
    """Nothing but letters, digits, `-` and `_` gets into a path."""
    with pytest.raises(ConfigError):
        build(job_id)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\n", "x" * 65, None])
def test_a_backend_name_that_cannot_be_one_is_refused(name: Any) -> None:
    """Nothing that could change the path gets into it."""
    with pytest.raises(ConfigError):
        backends.status(name)


def test_queries_may_be_repeated_and_effects_not() -> None:
    """Only a submit and a cancel are marked as unsafe to repeat."""
    unsafe = [jobs.create(submit_request(exchanges("03", method="POST")[0].sent)), jobs.cancel(JOB)]
    safe = [build() for build, _, _ in BUILDERS]
    assert not any(request.safe for request in unsafe)
    assert all(request.safe for request in safe)
