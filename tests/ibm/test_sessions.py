"""Sessions on the wire: what IBM's own client sends and reads, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from qawait.errors import (
    AuthError,
    ConfigError,
    ProtocolError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)
from qawait.ibm.wire import Reply, Request, sessions
from qawait.types import SessionDetails, SessionRequest, SessionStatus
from support.mocked import API, answered, service
from support.recorded import Exchange, exchange, exchanges

RECORDED = "10"
SESSION = "27c64d85-f7ca-4bce-9824-2ae8accb95a1"
ANY = Request(name="GET /x", method="GET", path="/x")


def openings() -> list[Exchange]:
    """Return the recorded requests that opened a session or a batch."""
    found = exchanges(RECORDED, method="POST")
    return [one for one in found if one.path.endswith("/sessions")]


@pytest.mark.parametrize("found", openings(), ids=lambda one: one.sent["mode"])
def test_the_opening_is_that_of_ibms_client(found: Exchange) -> None:
    """Mode, backend, instance and time are sent as recorded, and no time where none is given."""
    sent = found.sent
    wanted = SessionRequest(
        backend=sent["backend"], mode=sent["mode"], max_time=sent.get("max_ttl")
    )
    request = sessions.create(wanted, instance=sent["instance"])
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == sent
    assert (request.method, request.path, request.safe) == (found.method, found.path, False)


@pytest.mark.parametrize(
    ("build", "method", "rest"),
    [(sessions.close, "PATCH", ""), (sessions.cancel, "DELETE", "/close")],
)
def test_the_end_is_that_of_ibms_client(build: Any, method: str, rest: str) -> None:
    """Method, path and body are as recorded."""
    found = next(x for x in exchanges(RECORDED, method=method) if x.path.endswith(rest))
    session_id = found.path.split("/")[2]
    request = build(session_id)
    assert (request.method, request.path) == (found.method, found.path)
    assert (json.loads(request.body) if request.body else None) == found.sent


def test_recorded_details_are_read() -> None:
    """State, times and mode are the service's."""
    found = exchange(RECORDED, "GET", SESSION)
    read = sessions.parse_session(Reply(status=200, body=found.raw), sessions.get(SESSION))
    assert (read.id, read.backend, read.mode) == (SESSION, "ibm_manila", "dedicated")
    assert (read.max_time, read.active_timeout, read.interactive_timeout) == (5400, 5400, 60)
    assert (read.state, read.accepting_jobs, read.usage_time) == ("open", True, 0)


def test_times_are_read() -> None:
    """Times are aware; what is absent or no time is `None`."""
    record = {
        "id": "S",
        "started_at": "2026-11-20T04:47:33.3Z",
        "closed_at": "soon",
        "max_ttl": "long",
        "state": 5,
    }
    read = sessions.parse_session(Reply(status=200, body=json.dumps(record).encode()), ANY)
    assert read.started_at == datetime(2026, 11, 20, 4, 47, 33, 300_000, tzinfo=UTC)
    assert (read.closed_at, read.max_time, read.state, read.status) == (None, None, None, None)


@pytest.mark.parametrize(
    ("state", "accepting", "status"),
    [
        ("open", True, "Pending"),
        ("inactive", True, "Pending"),
        ("active", True, "In progress, accepting new jobs"),
        ("active", False, "In progress, not accepting new jobs"),
        ("pending_inactive", True, "In progress, accepting new jobs"),
        ("pending_closed", False, "In progress, not accepting new jobs"),
        ("closed", False, "Closed"),
    ],
)
def test_the_status_is_that_of_ibms_client(state: str, accepting: bool, status: str) -> None:  # noqa: FBT001 - a parameter of the table
    """State and acceptance give IBM's words; an undocumented state gives none."""
    assert SessionDetails(id="S", state=state, accepting_jobs=accepting).status == status
    assert SessionStatus(status).value == status
    assert SessionDetails(id="S", state="pondering").status is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":5}', b'{"id":"a/b"}', b"<html>"])
def test_malformed_details_are_protocol_errors(body: bytes) -> None:
    """An answer without a usable id is refused."""
    with pytest.raises(ProtocolError):
        sessions.parse_session(Reply(status=200, body=body), ANY)


@pytest.mark.parametrize("status", [200, 202, 204, 404, 409])
def test_an_end_that_was_not_needed_is_none_too_few(status: int) -> None:
    """That a session had ended, or is not there, is what was wanted."""
    sessions.parse_ended(Reply(status=status), ANY)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthError), (403, RejectedError), (429, ThrottledError)]
)
def test_a_refused_end_is_an_error(status: int, kind: type[Exception]) -> None:
    """Other refusals are told."""
    with pytest.raises(kind):
        sessions.parse_ended(Reply(status=status), ANY)


@pytest.mark.parametrize("session_id", ["", "a/b", "..", "a b", "é", "a?b", "x" * 65, None])
@pytest.mark.parametrize("build", [sessions.get, sessions.close, sessions.cancel])
def test_a_wrong_session_id_is_refused(build: Any, session_id: Any) -> None:
    """Nothing that could change the path gets into it."""
    with pytest.raises(ConfigError, match="not a session id"):
        build(session_id)


@pytest.mark.anyio
async def test_the_service_speaks_as_recorded() -> None:
    """Opening, details and both ends go through with the recorded answers."""
    async with service() as (ibm, router):
        for found in (openings()[0], exchange(RECORDED, "GET", SESSION)):
            answered(router, found)
        patch = router.patch(f"{API}/sessions/{SESSION}").mock(return_value=httpx.Response(204))
        gone = router.delete(f"{API}/sessions/{SESSION}/close").mock(
            return_value=httpx.Response(204)
        )
        details = await ibm.open_session(SessionRequest(backend="ibm_manila", mode="dedicated"))
        assert (await ibm.session(details.id)) == details
        await ibm.close_session(details.id)
        await ibm.cancel_session(details.id)
        assert (patch.call_count, gone.call_count) == (1, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="{")])
async def test_a_delivered_opening_without_a_sound_answer_is_unknown(
    answer: httpx.Response,
) -> None:
    """A session may be there, so nobody may repeat it unseen."""
    async with service() as (ibm, router):
        router.post(f"{API}/sessions").mock(return_value=answer)
        with pytest.raises(UnknownOutcomeError):
            await ibm.open_session(SessionRequest(backend="ibm_fez", mode="batch"))
