"""The values qawait speaks in: immutable, without I/O, the same for every service."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

OnCancel: TypeAlias = Literal["cancel", "detach"]
"""What a cancelled caller leaves behind: a cancelled remote job, or a running one."""


class JobStatus(enum.StrEnum):
    """Where a job is, in the field's words."""

    INITIALIZING = "INITIALIZING"
    SUBMITTING = "SUBMITTING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether a job in this status never changes again."""
        return self in _FINAL_STATUSES


_FINAL_STATUSES = frozenset({JobStatus.DONE, JobStatus.ERROR, JobStatus.CANCELLED})


class Stage(enum.IntEnum):
    """The steps of a run, in the order in which they come."""

    AUTHENTICATING = 1
    FETCHING_BACKEND = 2
    TRANSPILING = 3
    SUBMITTING = 4
    QUEUED = 5
    RUNNING = 6
    FETCHING = 7
    DONE = 8
    ERROR = 9
    CANCELLED = 10

    @property
    def is_final(self) -> bool:
        """Whether no further update follows one with this stage."""
        return self >= Stage.DONE


class CancelOutcome(enum.StrEnum):
    """What a request to cancel a job came to."""

    REQUESTED = "requested"
    """The service accepted the cancel; the job may still outrun it."""
    ALREADY_FINAL = "already final"
    """The job had ended before a cancel could be sent or take effect."""
    NOT_SUBMITTED = "not submitted"
    """The job never reached the service."""
    UNKNOWN = "unknown"
    """The bound passed before the service said what became of it."""


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class Snapshot:
    """What the service said about one job in one answer.

    `status` is `None` when the service used a word that is not documented;
    `raw_status` always holds its word. `ran_too_long` marks a job that the
    service ended at its time limit. `estimated_seconds` is the service's own
    estimate of the running time. `image` is the runtime image that was asked for.
    `usage_seconds` is what the job was charged, in
    seconds of quantum processor time; `None` until the service has settled it.
    """

    job_id: str
    status: JobStatus | None
    raw_status: str
    reason: str | None = None
    code: int | None = None
    solution: str | None = None
    ran_too_long: bool = False
    backend: str | None = None
    session_id: str | None = None
    program: str | None = None
    created: datetime | None = None
    tags: tuple[str, ...] = ()
    private: bool = False
    image: str | None = None
    estimated_seconds: float | None = None
    usage_seconds: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job never changes again."""
        return self.status is not None and self.status.is_final


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceUsage:
    """What an instance has used of its quantum processor time, in seconds.

    `limit_seconds` is what it may use within the period, `allocation_seconds` what
    its plan gives it; both are `None` where there is no such limit.
    """

    consumed_seconds: float
    limit_seconds: float | None = None
    allocation_seconds: float | None = None
    is_limit_reached: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None

    @property
    def remaining_seconds(self) -> float | None:
        """What is left of the limit; `None` without one."""
        if self.limit_seconds is None:
            return None
        return max(self.limit_seconds - self.consumed_seconds, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One step of a job, as `updates()` and `on_update` give it.

    `time` is seconds since the epoch, for display. `attempt` counts the status
    queries so far. `raw_status` and `reason` are the service's own words.
    `disconnected_since` is when the service was first not to be reached, as `time`,
    while it is not; the rest is then what was last known.
    `estimated_seconds` is the running time that the service expects.
    `estimated_start` and `estimated_end` are qawait's own guesses at when the job
    will begin to run and end, in seconds from `time`; `None` where nothing is known.
    """

    stage: Stage
    time: float
    attempt: int = 0
    job_id: str | None = None
    raw_status: str | None = None
    reason: str | None = None
    estimated_seconds: float | None = None
    estimated_start: float | None = None
    estimated_end: float | None = None
    disconnected_since: float | None = None

    @property
    def _is_plain(self) -> bool:
        return self.raw_status is None or self.raw_status.upper() == self.stage.name

    def __str__(self) -> str:
        parts = [self.stage.name]
        if not (self.stage.is_final or self._is_plain):
            parts.append(f"({self.raw_status})")
        if self.job_id:
            parts.append(self.job_id)
        if self.reason:
            parts.append(f"— {self.reason}")
        if self.disconnected_since is not None:
            since = time.strftime("%H:%M:%S", time.localtime(self.disconnected_since))
            parts.append(f"— disconnected since {since}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """One job as the service is asked to make it.

    `params` is the program's own JSON, or its encoded bytes. `tag` is unique to
    this submit: it is how a job whose id was lost is found again. Times are in
    seconds. `image` is the runtime image that is to run the program.
    """

    program: str
    backend: str
    params: Mapping[str, object] | bytes = field(repr=False)
    tag: str
    tags: tuple[str, ...] = ()
    max_execution_time: int | None = None
    session_id: str | None = None
    private: bool = False
    log_level: str | None = None
    image: str | None = None
    calibration_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCache:
    """How much of its jobs' results a client keeps, so that asking again costs nothing.

    Beyond `memory_bytes` of decoded results, the least recently used are let go
    of and downloaded anew when asked for. With `disk_bytes`, so much of the last
    results of 1 MiB or more stays on disk as it came, and is decoded anew instead:
    in a file of the user's state folder that has no name and ends with the client.

    While somebody holds a result, every call gives that same object, whatever
    the limits. As long as its job's handle is held, the result of a private job
    is never let go of, nor is a plain dict or list.

    Raises:
        ConfigError: a size that is none.
    """

    memory_bytes: int = limits.RESULT_CACHE_BYTES
    disk_bytes: int = 0

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "disk_bytes"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ConfigError(f"{name} must be a number of bytes from 0 on, not {value!r:.60}")


class SessionStatus(enum.StrEnum):
    """What a session or batch does, in IBM's words."""

    PENDING = "Pending"
    """It is open, and no job of it runs or ran within its idle time."""
    IN_PROGRESS = "In progress, accepting new jobs"
    CLOSING = "In progress, not accepting new jobs"
    CLOSED = "Closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails:
    """What the service said about a session or batch; `None` where it said nothing.

    Times are in seconds: `max_time` bounds the whole, `interactive_timeout` the
    pause between two jobs of a session. `usage_time` is what is charged so far:
    for a session the time since its first job began, for a batch that of its
    jobs on the processor. `state` is the service's word.
    """

    id: str
    backend: str | None = None
    mode: str | None = None
    state: str | None = None
    accepting_jobs: bool | None = None
    max_time: float | None = None
    active_timeout: float | None = None
    interactive_timeout: float | None = None
    usage_time: float | None = None
    started_at: datetime | None = None
    activated_at: datetime | None = None
    closed_at: datetime | None = None
    last_job_started: datetime | None = None
    last_job_completed: datetime | None = None

    @property
    def status(self) -> SessionStatus | None:
        """The state and whether jobs are accepted, in one; `None` for a state nobody documented."""
        match self.state:
            case "open" | "inactive":
                return SessionStatus.PENDING
            case "active":
                is_closing = self.accepting_jobs is False
                return SessionStatus.CLOSING if is_closing else SessionStatus.IN_PROGRESS
            case "pending_inactive":
                return SessionStatus.IN_PROGRESS
            case "pending_closed":
                return SessionStatus.CLOSING
            case "closed":
                return SessionStatus.CLOSED
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """One session or batch as the service is asked to open it; `max_time` is in seconds."""

    backend: str
    mode: Literal["dedicated", "batch"]
    max_time: int | None = None
