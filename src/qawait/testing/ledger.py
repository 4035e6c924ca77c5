"""What a simulated service keeps of its jobs and of every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qawait.types import JobStatus

if TYPE_CHECKING:
    from qawait.testing.faults import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one job: how long it waits and runs, and how it ends.

    With `outruns_cancel` the service accepts its cancel, and the job ends as it
    would have without one. `estimated_seconds` is the running time that the
    service tells its clients to expect.
    """

    queue_seconds: float = 1.0
    run_seconds: float = 1.0
    ends_as: JobStatus = JobStatus.DONE
    outruns_cancel: bool = False
    estimated_seconds: float | None = None


@dataclass(slots=True)
class SimulatedJob:
    """A job of the simulated service; times are in seconds on the service's clock."""

    job_id: str
    tag: str
    created: float
    queue_seconds: float
    run_seconds: float
    ends_as: JobStatus = JobStatus.DONE
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    cancelled_at: float | None = None
    cancels: int = 0
    raw_status: str | None = None
    outruns_cancel: bool = False
    estimated_seconds: float | None = None
    is_accepted: bool = False
    """Whether a cancel of it was accepted, even if the job outruns it."""

    @property
    def ends(self) -> float:
        """When it ends, as far as is known now."""
        end = self.created + self.queue_seconds + self.run_seconds
        return end if self.cancelled_at is None else min(end, self.cancelled_at)

    def status(self, now: float) -> JobStatus:
        """Return where the job is at `now`."""
        end = self.created + self.queue_seconds + self.run_seconds
        if self.cancelled_at is not None and self.cancelled_at < end and self.cancelled_at <= now:
            return JobStatus.CANCELLED
        if now < self.created + self.queue_seconds:
            return JobStatus.QUEUED
        return JobStatus.RUNNING if now < end else self.ends_as


@dataclass(slots=True, eq=False)
class Request:
    """One request: who sent it, when it took effect, and what its sender was told.

    `landed` is `None` if it never had an effect, and `answered` if its sender was
    never told of it: killed, cancelled, or left with an error in `error`. `order`
    numbers the requests of a service; one sent before `answered_before` was sent
    before this one was answered.
    """

    time: float
    call: Call
    what: str
    client: str
    order: int
    landed: float | None = None
    answered: float | None = None
    answered_before: int | None = None
    answer: Any = field(default=None, repr=False)
    error: BaseException | None = None

    def __str__(self) -> str:
        landed = "-" if self.landed is None else f"{self.landed:.6f}"
        told = type(self.error).__name__ if self.error else _short(self.answer)
        answered = "-" if self.answered is None else f"{self.answered:.6f} {told}"
        return f"{self.time:.6f} {self.client} {self.call} {self.what} {landed} {answered}"


def _short(answer: Any) -> str:
    return str(getattr(answer, "raw_status", answer))
