"""Sessions and batches: open, look at, close, cancel.

Source: paths below `/sessions` of the service's OpenAPI document, version
2026-04-15, and what IBM's own client sends to them.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.wire.message import JSON, Request, is_job_id
from qawait.ibm.wire.reading import object_of
from qawait.ibm.wire.records import timestamp
from qawait.ibm.wire.refusals import expect
from qawait.types import SessionDetails

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.ibm.wire.message import Reply
    from qawait.secret import Secret
    from qawait.types import SessionRequest

_DONE: Final = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
_ENDED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


def create(session: SessionRequest, *, instance: str) -> Request:
    """Open a session or a batch; there is nothing by which a lost one could be found."""
    body: dict[str, object] = {
        "mode": session.mode,
        "backend": session.backend,
        "instance": instance,
    }
    if session.max_time is not None:
        body["max_ttl"] = session.max_time
    return Request(
        name="POST /sessions",
        method="POST",
        path="/sessions",
        body=json.dumps(body).encode(),
        content_type=JSON,
    )


def get(session_id: str) -> Request:
    """Ask for one session."""
    return Request(
        name="GET /sessions/{id}", method="GET", path=session_path(session_id), safe=True
    )


def parse_session(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> SessionDetails:
    """Return what the service says about a session; what it does not say is `None`."""
    expect(reply, request, statuses=(HTTPStatus.OK, HTTPStatus.CREATED), hide=hide)
    record = object_of(reply, request)
    session_id, accepting = record.get("id"), record.get("accepting_jobs")
    if not isinstance(session_id, str) or not is_job_id(session_id):
        raise ProtocolError(f"{request.name}: the answer has no usable session id")
    return SessionDetails(
        id=session_id,
        backend=_text(record, "backend_name"),
        mode=_text(record, "mode"),
        state=_text(record, "state"),
        accepting_jobs=accepting if isinstance(accepting, bool) else None,
        max_time=_seconds(record, "max_ttl"),
        active_timeout=_seconds(record, "active_ttl"),
        interactive_timeout=_seconds(record, "interactive_ttl"),
        usage_time=_seconds(record, "elapsed_time"),
        started_at=timestamp(record.get("started_at")),
        activated_at=timestamp(record.get("activated_at")),
        closed_at=timestamp(record.get("closed_at")),
        last_job_started=timestamp(record.get("last_job_started")),
        last_job_completed=timestamp(record.get("last_job_completed")),
    )


def _text(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    return value if isinstance(value, str) and value else None


def _seconds(record: dict[str, Any], key: str) -> float | None:
    value = record.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None


def close(session_id: str) -> Request:
    """Take no more jobs; those that are there run to their end."""
    return Request(
        name="PATCH /sessions/{id}",
        method="PATCH",
        path=session_path(session_id),
        body=b'{"accepting_jobs":false}',
        content_type=JSON,
        accept=None,
        urgent=True,
    )


def cancel(session_id: str) -> Request:
    """Take no more jobs and drop the queued ones; those that run finish."""
    return Request(
        name="DELETE /sessions/{id}/close",
        method="DELETE",
        path=session_path(session_id, "/close"),
        accept=None,
        urgent=True,
    )


def parse_ended(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> None:
    """Return if the session takes no more jobs; that it had ended, or is not there, is no error."""
    if reply.status not in _ENDED:
        expect(reply, request, statuses=_DONE, hide=hide)


def session_path(session_id: str, rest: str = "") -> str:
    """Return the path of a session, or raise `ConfigError` if the id cannot be one."""
    if not is_job_id(session_id):
        raise ConfigError(
            f"{session_id!r:.100} is not a session id: 1 to 64 letters, digits, '-' and '_' are "
            "expected"
        )
    return f"/sessions/{session_id}{rest}"
