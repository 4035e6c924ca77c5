"""A service that exists only in memory, with scripted faults and a ledger of requests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio

from qawait.errors import QawaitError, RejectedError, UnknownOutcomeError
from qawait.jobs.service import CancelReply
from qawait.types import JobStatus, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qawait.types import SubmitRequest

T = TypeVar("T")
Call = Literal["submit", "find", "status", "fetch", "failure_text", "cancel"]

_WORDS = {
    JobStatus.QUEUED: "Queued",
    JobStatus.RUNNING: "Running",
    JobStatus.DONE: "Completed",
    JobStatus.ERROR: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}
_NOT_FOUND = 404


@dataclass(slots=True)
class SimulatedJob:
    """A job of the simulated service; times are in seconds on the loop's clock."""

    job_id: str
    tag: str
    created: float
    queue_seconds: float
    run_seconds: float
    ends_as: JobStatus = JobStatus.DONE
    cancelled_at: float | None = None
    cancels: int = 0
    raw_status: str | None = None

    def status(self, now: float) -> JobStatus:
        """Return where the job is at `now`."""
        end = self.created + self.queue_seconds + self.run_seconds
        if self.cancelled_at is not None and self.cancelled_at < end:
            return JobStatus.CANCELLED
        if now < self.created + self.queue_seconds:
            return JobStatus.QUEUED
        return JobStatus.RUNNING if now < end else self.ends_as


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: the request numbered `nth` of its call, from 0.

    `error` is raised before the request takes effect or, with `after`, once it
    has; with no error the request is only `delay` seconds late.
    """

    call: Call
    nth: int
    error: Callable[[], QawaitError] | None = lambda: UnknownOutcomeError("the answer was lost")
    after: bool = False
    delay: float = 0.0


@dataclass(slots=True)
class SimulatedService:
    """A `qawait.jobs.service.Service` in memory; every request takes `latency` seconds.

    `outruns_cancel` makes the service accept cancels that have no effect.
    `listing_lag` hides a new job from look-ups for so many seconds.
    """

    queue_seconds: float = 1.0
    run_seconds: float = 1.0
    latency: float = 0.01
    faults: Sequence[Fault] = ()
    outruns_cancel: bool = False
    listing_lag: float = 0.0
    ends_as: JobStatus = JobStatus.DONE
    result: Any = "result"
    jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    ledger: list[tuple[float, Call, str]] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def count(self, call: Call) -> int:
        """Return how many requests of one kind have arrived."""
        return sum(1 for _, kind, _ in self.ledger if kind == call)

    def live(self) -> list[SimulatedJob]:
        """Return the jobs that have not ended."""
        now = anyio.current_time()
        return [job for job in self.jobs.values() if not job.status(now).is_final]

    async def submit(self, request: SubmitRequest) -> str:
        """Make one job."""
        return await self._request("submit", request.tag, lambda: self._create(request))

    async def find(self, tag: str) -> Sequence[Snapshot]:
        """Return the jobs with this tag."""
        return await self._request("find", tag, lambda: self._with_tag(tag))

    async def status(self, job_id: str) -> Snapshot:
        """Return one job's status."""
        return await self._request("status", job_id, lambda: self._snapshot(self._job(job_id)))

    async def statuses(self, job_ids: Sequence[str]) -> Sequence[Snapshot]:
        """Return several jobs' status."""
        return [await self.status(job_id) for job_id in job_ids]

    async def fetch(self, job_id: str) -> Any | None:
        """Return the scripted result."""
        return await self._request("fetch", job_id, lambda: self.result)

    async def failure_text(self, job_id: str) -> str | None:
        """Return a traceback's text."""
        return await self._request("failure_text", job_id, lambda: "Traceback: it failed")

    async def cancel(self, job_id: str) -> CancelReply:
        """Cancel one job."""
        return await self._request("cancel", job_id, lambda: self._cancel(job_id))

    async def _request(self, call: Call, what: str, effect: Callable[[], T]) -> T:
        nth = self.count(call)
        self.ledger.append((anyio.current_time(), call, what))
        fault = next((f for f in self.faults if (f.call, f.nth) == (call, nth)), None)
        await anyio.sleep(self.latency / 2)
        if fault is not None and fault.error is not None and not fault.after:
            await anyio.sleep(fault.delay)
            raise fault.error()
        reply = effect()
        await anyio.sleep(self.latency / 2 + (fault.delay if fault else 0.0))
        if fault is not None and fault.error is not None:
            raise fault.error()
        return reply

    def _create(self, request: SubmitRequest) -> str:
        job = SimulatedJob(
            job_id=f"job{next(self._ids)}",
            tag=request.tag,
            created=anyio.current_time(),
            queue_seconds=self.queue_seconds,
            run_seconds=self.run_seconds,
            ends_as=self.ends_as,
        )
        self.jobs[job.job_id] = job
        return job.job_id

    def _job(self, job_id: str) -> SimulatedJob:
        try:
            return self.jobs[job_id]
        except KeyError:
            raise RejectedError("no such job", status=_NOT_FOUND) from None

    def _snapshot(self, job: SimulatedJob) -> Snapshot:
        status = None if job.raw_status else job.status(anyio.current_time())
        return Snapshot(
            job_id=job.job_id,
            status=status,
            raw_status=job.raw_status or (_WORDS[status] if status else "?"),
            tags=(job.tag,),
        )

    def _with_tag(self, tag: str) -> list[Snapshot]:
        oldest = anyio.current_time() - self.listing_lag
        jobs = [job for job in self.jobs.values() if job.tag == tag]
        return [self._snapshot(job) for job in jobs if job.created <= oldest]

    def _cancel(self, job_id: str) -> CancelReply:
        job = self.jobs.get(job_id)
        if job is None:
            return CancelReply.NOT_FOUND
        job.cancels += 1
        now = anyio.current_time()
        if job.status(now).is_final:
            return CancelReply.NOT_CANCELLABLE
        if not self.outruns_cancel:
            job.cancelled_at = now
        return CancelReply.ACCEPTED
