"""A request and its reply, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qawait.secret import Secret

API_VERSION: Final = "2026-04-15"
"""The version of the API whose shapes this package reads (`IBM-API-Version`)."""

JSON: Final = "application/json"

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, complete but for its base URL and its credentials.

    `name` is the path template: it stands in errors and logs, where `path` and
    `query` would tell too much. A body that holds a credential is a `Secret`.
    `deadline` is in seconds for the whole call, `max_bytes` bounds the reply
    both as transferred and as decompressed. `safe` marks a call that may be
    repeated whatever became of it, `bulk` one that carries circuits or results,
    `urgent` one that goes before all others.
    """

    name: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | Secret | None = field(default=None, repr=False)
    content_type: str | None = None
    accept: str | None = JSON
    deadline: float = limits.CALL_SECONDS
    max_bytes: int = limits.SMALL_BODY_BYTES
    safe: bool = False
    bulk: bool = False
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One complete answer; header names are in lower case.

    `at` is when it came, in seconds since the epoch, if known.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    at: float | None = None


def is_job_id(value: object) -> bool:
    """Whether a value has the form of a job's id."""
    return isinstance(value, str) and _JOB_ID.fullmatch(value) is not None


def job_path(job_id: str, rest: str = "") -> str:
    """Return the path of a job, or raise `ConfigError` if the id cannot be one."""
    if not is_job_id(job_id):
        raise ConfigError(
            f"{job_id!r:.100} is not a job id: 1 to 64 letters, digits, '-' and '_' are expected"
        )
    return f"/jobs/{quote(job_id, safe='')}{rest}"


def backend_path(name: str, rest: str) -> str:
    """Return the path of a backend, or raise `ConfigError` if the name cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r:.100} is not a backend name: letters, digits, '_', '.' and '-' are expected"
        )
    return f"/backends/{quote(name, safe='')}{rest}"


def time_text(value: datetime | None) -> str | None:
    """Return a time as a query has it, with its zone: the local one if it has none.

    Raises:
        ConfigError: it is no time, or one that cannot be reckoned with.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise ConfigError(f"a datetime is expected, not {value!r:.100}")
    try:
        return value.isoformat() if value.tzinfo is not None else value.astimezone().isoformat()
    except (OverflowError, ValueError, OSError):
        raise ConfigError(f"this time is out of range: {value}") from None
