"""One job as the gateway knows it, and how it tells of it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qawait import limits
from qawait.types import JobStatus, Stage

if TYPE_CHECKING:
    from qawait.types import OnCancel

TAG_PREFIX = "qawait-gateway-"


@dataclass(slots=True, kw_only=True)
class Record:
    """One job, from its acceptance until it is forgotten; times are seconds since the epoch.

    `remote_id` is the service's id of it. `may_exist` is on disk before anything
    is sent: without it there is certainly no remote job. `events` are its changes,
    oldest first, each with a number that no other event of the gateway has.
    """

    job_id: str
    number: int
    backend: str
    shots: int
    on_cancel: OnCancel
    created: float
    name: str | None = None
    status: JobStatus = JobStatus.INITIALIZING
    stage: str = Stage.AUTHENTICATING.name
    raw_status: str | None = None
    reason: str | None = None
    remote_id: str | None = None
    may_exist: bool = False
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    estimated_seconds: float | None = None
    disconnected_since: float | None = None
    is_cancel_wanted: bool = False
    cancel: str | None = None
    circuit: dict[str, int] | None = None
    result_bytes: int = 0
    expires: float | None = None
    is_expired: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """The tag on the remote job, by which it is found again."""
        return TAG_PREFIX + self.job_id

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.status.is_final

    def has_expired(self, now: float) -> bool:
        """Whether the job can be asked for no more."""
        return self.is_expired or (self.expires is not None and self.expires <= now)

    def to_json(self) -> str:
        """Return the record as text for the disk."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Return the record that the disk held."""
        values = json.loads(text)
        return cls(**{**values, "status": JobStatus(values["status"])})

    def note(self, number: int, now: float) -> dict[str, Any]:
        """Take down where the job is now as an event, and return that.

        A job that changes more often than is kept loses its middle, never its end.
        """
        event = {
            "id": number,
            "time": now,
            "stage": self.stage,
            "status": self.status.value,
            "raw_status": self.raw_status,
            "reason": self.reason,
            "estimated_seconds": self.estimated_seconds,
            "cancel": self.cancel,
        }
        self.events.append(event)
        if len(self.events) > limits.GATEWAY_EVENTS_PER_JOB:
            del self.events[limits.GATEWAY_EVENTS_PER_JOB // 2]
        return event

    def view(self) -> dict[str, Any]:
        """Return what callers are told of the job."""
        return {
            "job_id": self.job_id,
            "number": self.number,
            "name": self.name,
            "backend": self.backend,
            "shots": self.shots,
            "on_cancel": self.on_cancel,
            "status": self.status.value,
            "stage": self.stage,
            "raw_status": self.raw_status,
            "reason": self.reason,
            "remote_id": self.remote_id,
            "cancel": self.cancel,
            "circuit": self.circuit,
            "estimated_seconds": self.estimated_seconds,
            "times": {
                "created": told(self.created),
                "submitted": told(self.submitted),
                "started": told(self.started),
                "ended": told(self.ended),
                "expires": told(self.expires),
                "disconnected_since": told(self.disconnected_since),
            },
        }

    def retry_after(self, now: float) -> int | None:
        """Return in how many seconds asking again may tell something new; `None` once ended."""
        if self.is_final:
            return None
        if self.status is JobStatus.QUEUED:
            return limits.GATEWAY_QUEUED_SECONDS
        seconds = (now - self.created) * limits.GATEWAY_AGE_SHARE
        if self.started is not None and self.estimated_seconds is not None:
            seconds = self.started + self.estimated_seconds - now
        return max(1, min(math.ceil(seconds), limits.GATEWAY_QUEUED_SECONDS))


def told(moment: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
