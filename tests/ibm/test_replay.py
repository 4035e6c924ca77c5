"""Every exchange of every transcript of IBM's client, through qawait's side of the wire."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl

import pytest

from qawait.errors import (
    AuthError,
    JobFailedError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
)
from qawait.ibm.wire import Reply, Request, backends, iam, instances, jobs, sessions
from qawait.ibm.wire.jobs import JobFilter
from qawait.jobs.service import CancelReply
from qawait.secret import Secret
from qawait.types import SessionRequest, SubmitRequest
from support.recorded import Exchange, exchanges, transcripts

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Secret("canary-key")


def submit(found: Exchange, *_: str) -> Request:
    """Build the submit that has the recorded values."""
    sent = found.sent
    tags = sent.get("tags", [""])
    return jobs.create(
        SubmitRequest(
            program=sent["program_id"],
            backend=sent["backend"],
            params=sent["params"],
            tag=tags[0],
            tags=tuple(tags[1:]),
            max_execution_time=sent.get("cost"),
            session_id=sent.get("session_id"),
            private=sent.get("private", False),
            log_level=sent.get("log_level"),
        )
    )


def listing(found: Exchange, *_: str) -> Request:
    """Build the listing that has the recorded conditions."""
    said = dict(found.query)
    times: dict[str, Any] = {
        name: datetime.fromisoformat(said[name])
        for name in ("created_after", "created_before")
        if name in said
    }
    which = JobFilter(
        limit=int(said["limit"]),
        pending={"true": True, "false": False}.get(said.get("pending", "")),
        program=said.get("program"),
        backend=said.get("backend"),
        sort=said.get("sort"),  # type: ignore[arg-type]  # what the transcript has
        tags=[value for name, value in found.query if name == "tags"],
        session_id=said.get("session_id"),
        exclude_params=said["exclude_params"] == "true",
        **times,
    )
    return jobs.listing(which)


def opening(found: Exchange, *_: str) -> Request:
    """Build the opening of a session that has the recorded values."""
    sent = found.sent
    wanted = SessionRequest(
        backend=sent["backend"], mode=sent["mode"], max_time=sent.get("max_ttl")
    )
    return sessions.create(wanted, instance=sent["instance"])


def job(found: Exchange, job_id: str) -> Request:
    """Build the question about a job, with its input or without."""
    return jobs.get(job_id, exclude_params=("exclude_params", "true") in found.query)


def token(found: Exchange, *_: str) -> Request:
    """Build the request for a token that has the recorded key."""
    return iam.create(Secret(parse_qs(found.sent)["apikey"][0]))


def plan(_: Exchange, plan_id: str) -> Request:
    """Build the question about a plan."""
    asked = instances.plan(plan_id)
    assert asked is not None
    return asked


def read_token(reply: Reply, request: Request) -> object:
    """Read a token, whose text the transcripts leave out."""
    if reply.status == 200:
        body = json.loads(reply.body) | {"access_token": "a.b.c"}
        reply = Reply(status=200, headers=reply.headers, body=json.dumps(body).encode())
    return iam.parse(reply, request, api_key=KEY)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: where it goes, how it is built, and how its answer is read."""

    method: str
    path: str
    build: Callable[..., Request]
    read: Callable[[Reply, Request], object]
    place: str = ""  # what the recording server put before the path of another service


ID = r"([\w-]+)"
KINDS = [
    Kind("POST", "/identity/token", token, read_token),
    Kind(
        "POST",
        "/v3/resources/search",
        lambda _: instances.search(),
        instances.parse_search,
        place="/gs",
    ),
    Kind("GET", f"/{ID}", plan, instances.parse_plan, place="/catalog/api/v1"),
    Kind(
        "GET",
        "/backends",
        lambda found: backends.listing(include_mocks=("include_mocks", "True") in found.query),
        backends.parse_listing,
    ),
    Kind(
        "GET",
        f"/backends/{ID}/status",
        lambda _, name: backends.status(name),
        backends.parse_object,
    ),
    Kind("GET", "/instances/usage", lambda _: backends.usage(), backends.parse_usage),
    Kind("POST", "/jobs", submit, jobs.parse_created),
    Kind("GET", "/jobs", listing, jobs.parse_jobs),
    Kind("GET", f"/jobs/{ID}", job, jobs.parse_job),
    Kind("DELETE", f"/jobs/{ID}", lambda _, job_id: jobs.delete(job_id), jobs.parse_done),
    Kind("GET", f"/jobs/{ID}/results", lambda _, job_id: jobs.results(job_id), jobs.parse_results),
    Kind("GET", f"/jobs/{ID}/logs", lambda _, job_id: jobs.logs(job_id), jobs.parse_logs),
    Kind("GET", f"/jobs/{ID}/metrics", lambda _, job_id: jobs.metrics(job_id), jobs.parse_object),
    Kind("POST", f"/jobs/{ID}/cancel", lambda _, job_id: jobs.cancel(job_id), jobs.parse_cancel),
    Kind(
        "PUT",
        f"/jobs/{ID}/tags",
        lambda found, job_id: jobs.set_tags(job_id, found.sent["tags"]),
        jobs.parse_done,
    ),
    Kind("POST", "/sessions", opening, sessions.parse_session),
    Kind("GET", f"/sessions/{ID}", lambda _, one: sessions.get(one), sessions.parse_session),
    Kind("PATCH", f"/sessions/{ID}", lambda _, one: sessions.close(one), sessions.parse_ended),
    Kind(
        "DELETE", f"/sessions/{ID}/close", lambda _, one: sessions.cancel(one), sessions.parse_ended
    ),
]


def rebuilt(found: Exchange) -> tuple[Kind, Request]:
    """Return the kind of a recorded request, and the request as qawait builds it."""
    fits = (
        (kind, match)
        for kind in KINDS
        if kind.method == found.method
        and (match := re.fullmatch(re.escape(kind.place) + kind.path, found.path))
    )
    kind, match = next(fits, (None, None))
    assert kind is not None, f"qawait knows no {found.method} {found.path}"
    assert match is not None
    return kind, kind.build(found, *match.groups())


def body_of(request: Request) -> Any:
    """Return a request's body as the transcripts show it: JSON decoded, a form as its fields."""
    if isinstance(request.body, Secret):
        return parse_qsl(request.body.reveal())
    return json.loads(request.body) if request.body else None


def recorded_body(found: Exchange) -> Any:
    """Return a recorded body in the same form."""
    return parse_qsl(found.sent) if isinstance(found.sent, str) else found.sent


def recorded_query(found: Exchange) -> set[tuple[str, str]]:
    """Return a recorded query.

    Python's spelling of true, which IBM's client sends in one place, is JSON's elsewhere.
    """
    return {(name, "true" if value == "True" else value) for name, value in found.query}


@pytest.mark.parametrize("transcript", transcripts())
def test_every_recorded_request_is_built_as_it_was_sent(transcript: str) -> None:
    """Method, path, query and body are the real client's, also where no answer came."""
    found = exchanges(transcript, broken=True)
    assert found
    for one in found:
        kind, request = rebuilt(one)
        assert (request.method, kind.place + request.path) == (one.method, one.path)
        assert set(request.query) == recorded_query(one)
        assert len(request.query) == len(one.query)
        assert body_of(request) == recorded_body(one)


def error_of(found: Exchange) -> type[QawaitError] | None:
    """Return what a caller is told where an answer gives no value."""
    if found.status >= 400:
        return {401: AuthError, 429: ThrottledError}.get(found.status, RejectedError)
    if found.path.endswith("/results") and isinstance(found.received, str):
        return JobFailedError if "Traceback" in found.received else None
    # the one job record that has no status
    return ProtocolError if found.received == {"id": "df0b83c572f294bb5bdc"} else None


def is_lost_race(found: Exchange) -> bool:
    """Tell whether this is the refusal to cancel a job that has ended, which is no error."""
    return found.path.endswith("/cancel") and found.status == 409


@pytest.mark.parametrize("transcript", transcripts())
def test_every_recorded_answer_is_read_or_refused(transcript: str) -> None:
    """A success gives a value; anything else is the error that says what can be done about it."""
    for one in exchanges(transcript):
        kind, request = rebuilt(one)
        headers = {"content-type": one.content_type} if one.raw else {}
        reply = Reply(status=one.status, headers=headers, body=one.raw)
        if is_lost_race(one):
            assert kind.read(reply, request) is CancelReply.NOT_CANCELLABLE
        elif (expected := error_of(one)) is not None:
            with pytest.raises(expected) as refused:
                kind.read(reply, request)
            assert getattr(refused.value, "status", one.status) == one.status
        else:
            check_value(one, kind.read(reply, request))


def check_value(found: Exchange, value: Any) -> None:
    """Check that what was read is about what was asked."""
    if found.path.endswith("/results"):
        assert value == (found.raw or None)
    elif found.status == 204:
        assert value in (None, CancelReply.ACCEPTED)
    elif found.path == "/jobs" and found.method == "POST":
        assert value == found.received["id"]
    elif found.path == "/jobs":
        assert [one.job_id for one in value] == [one["id"] for one in found.received["jobs"]]
    elif found.path.startswith("/sessions"):
        assert value.id == found.received["id"]
    else:
        assert value
