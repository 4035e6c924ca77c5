"""From a job record of the service to a `Snapshot`.

Source: schema `JobResponse` of the service's OpenAPI document, and what the
service sent before it: only `id` and a status are required here.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ProtocolError
from qawait.ibm.wire.message import is_job_id
from qawait.ibm.wire.reading import printable
from qawait.types import JobStatus, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qawait.ibm.wire.message import Request

RAN_TOO_LONG_CODE: Final = 1305
_RAN_TOO_LONG: Final = "cancelled - ran too long"
_STATUSES: Final = {
    "queued": JobStatus.QUEUED,
    "running": JobStatus.RUNNING,
    "completed": JobStatus.DONE,
    "failed": JobStatus.ERROR,
    "cancelled": JobStatus.CANCELLED,
    _RAN_TOO_LONG: JobStatus.ERROR,
}
_CODE = re.compile(r"[0-9]{1,9}")
_FIRST_YEAR: Final = 1
_LAST_YEAR: Final = 9999
_FOREVER_SECONDS: Final = 1e12
_PENDING: Final = "pending"
_USAGE_KEYS: Final = ("qpu_charge_time_seconds", "quantum_seconds", "seconds")


def snapshot(record: object, request: Request) -> Snapshot:
    """Return what a job record says, or raise `ProtocolError` if it lacks an id or a status.

    `state.status` counts; the older top-level `status` is read where it is
    missing, and for jobs that ran too long. Fields that are absent or not of
    their type are as if the service had not sent them.
    """
    if not isinstance(record, dict) or not is_job_id(record.get("id")):
        raise ProtocolError(f"{request.name}: a job record has no usable id")
    state = _mapping(record.get("state"))
    raw = _word(state.get("status")) or _word(record.get("status"))
    if raw is None:
        raise ProtocolError(f"{request.name}: a job record has no status", job_id=record["id"])
    code = _integer(state.get("reason_code", state.get("reasonCode")))
    status = _STATUSES.get(raw.lower())
    too_long = _ran_too_long(raw, record, status, code)
    return Snapshot(
        job_id=record["id"],
        status=JobStatus.ERROR if too_long else status,
        raw_status=sys.intern(raw),  # most jobs say the same: kept once for all
        reason=_word(state.get("reason")),
        code=code,
        solution=_word(state.get("reason_solution", state.get("reasonSolution"))),
        ran_too_long=too_long,
        backend=_shared_word(record.get("backend")),
        session_id=_shared_word(record.get("session_id")),
        program=_shared_word(_mapping(record.get("program")).get("id")),
        created=timestamp(record.get("created")),
        tags=_words(record.get("tags")),
        private=record.get("private") is True,
        image=_shared_word(record.get("runtime")),
        estimated_seconds=seconds(record.get("estimated_running_time_seconds")),
        usage_seconds=_usage(_mapping(record.get("usage"))),
    )


def unchanged(record: object, known: Mapping[str, Snapshot]) -> Snapshot | None:
    """Return the snapshot of a record that says what it said before, else `None`.

    Most records of most pages do; making each of them anew would be most of the
    work of polling.
    """
    if type(record) is not dict or type(record.get("id")) is not str:
        return None
    seen = known.get(record["id"])
    state = record.get("state")
    if seen is None or type(state) is not dict:
        return None
    tags = record.get("tags", ())
    same = (
        state.get("status") == seen.raw_status
        and state.get("reason") == seen.reason
        and state.get("reason_code") == seen.code
        and record.get("estimated_running_time_seconds") == seen.estimated_seconds
        and record.get("session_id") == seen.session_id
        and isinstance(tags, list | tuple)
        and tuple(tags) == seen.tags
        and _usage(_mapping(record.get("usage"))) == seen.usage_seconds
    )
    return seen if same else None


def _ran_too_long(
    raw: str, record: Mapping[str, Any], status: JobStatus | None, code: int | None
) -> bool:
    words = {raw.lower(), (_word(record.get("status")) or "").lower()}
    if status not in {JobStatus.CANCELLED, JobStatus.ERROR}:
        return False
    return code == RAN_TOO_LONG_CODE or _RAN_TOO_LONG in words


def params_of(record: object, request: Request) -> Mapping[str, Any] | None:
    """Return the input in a decoded job record; `None` where the service keeps it back."""
    params = record.get("params") if isinstance(record, dict) else None
    if params is not None and not isinstance(params, dict):
        raise ProtocolError(f"{request.name}: the job's params are no object")
    return params


def timestamp(value: object) -> datetime | None:
    """Return an ISO 8601 time as an aware datetime; without a zone it is UTC, as the service's."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if not _FIRST_YEAR < time.year < _LAST_YEAR:
        return None  # no time of a job, and at the very ends nothing can be reckoned with
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    text = printable(value).strip() if isinstance(value, str) else ""
    return text or None


def _shared_word(value: object) -> str | None:
    word = _word(value)
    return None if word is None else sys.intern(word)


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(tag for tag in value if isinstance(tag, str))


def _integer(value: object) -> int | None:
    number = isinstance(value, int | str) and not isinstance(value, bool)
    return int(str(value)) if number and _CODE.fullmatch(str(value)) else None


def seconds(value: object) -> float | None:
    """Return a duration, or `None` for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _FOREVER_SECONDS else None


def _usage(usage: Mapping[str, Any]) -> float | None:
    """Return the charge, unless the service says that it is still to come."""
    if (_word(usage.get("status")) or "").lower() == _PENDING:
        return None
    return next((s for key in _USAGE_KEYS if (s := seconds(usage.get(key))) is not None), None)
