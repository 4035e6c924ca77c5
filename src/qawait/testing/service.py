"""A service that exists only in memory, with scripted faults and a ledger of requests.

A request takes effect on the service's own timeline: once it is on the wire it
lands, even if whoever sent it was cancelled or killed meanwhile.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from qawait import limits
from qawait.errors import RejectedError
from qawait.jobs.service import CancelReply, Fetched
from qawait.testing.ledger import Outcome, Request, SimulatedJob
from qawait.testing.loop import process_name
from qawait.testing.timeline import Timeline
from qawait.types import JobStatus, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qawait.jobs.service import Group
    from qawait.testing.faults import Call, Fault, Outage
    from qawait.types import SubmitRequest

_WORDS = {
    JobStatus.QUEUED: "Queued",
    JobStatus.RUNNING: "Running",
    JobStatus.DONE: "Completed",
    JobStatus.ERROR: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}
_NOT_FOUND = 404


@dataclass(slots=True, eq=False)
class _Message:
    """A request on the wire; `effect` gets the time at which it arrives."""

    request: Request
    effect: Callable[[float], Any]


@dataclass(slots=True)
class SimulatedService:
    """A `qawait.jobs.service.Service` in memory; every request takes `latency` seconds.

    The nth job has the nth of `outcomes`; those beyond have the service's own
    times and end. `outruns_cancel` makes it accept cancels that have no effect.
    `listing_lag` hides a new job from look-ups for so many seconds. Where
    `cut_lands` is false, a request whose sender is cancelled while it is on the
    wire never arrives. In `outages` every request fails. The service's clock is
    `slept` seconds ahead of the loop's: what passed while the client's machine
    was suspended.
    """

    queue_seconds: float = 1.0
    run_seconds: float = 1.0
    latency: float = 0.01
    connect_seconds: float = 0.0
    faults: Sequence[Fault] = ()
    outruns_cancel: bool = False
    listing_lag: float = 0.0
    ends_as: JobStatus = JobStatus.DONE
    result: Any = "result"
    outcomes: Sequence[Outcome] = ()
    cut_lands: bool = True
    outages: Sequence[Outage] = ()
    slept: float = 0.0
    jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    ledger: list[Request] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _wire: Timeline[_Message] = field(default_factory=Timeline)
    _sent: Counter[Call] = field(default_factory=Counter)
    _shown: dict[str, Snapshot] = field(default_factory=dict)

    # --- what a test sees ------------------------------------------------------------------------

    def count(self, call: Call) -> int:
        """Return how many requests of one kind have been sent."""
        return self._sent[call]

    def now(self) -> float:
        """Return the time on the service's clock, which no suspended machine stops."""
        return anyio.current_time() + self.slept

    def live(self) -> list[SimulatedJob]:
        """Return the jobs that have not ended."""
        self.land(anyio.current_time())
        now = self.now()
        return [job for job in self.jobs.values() if not job.status(now).is_final]

    def land(self, now: float) -> None:
        """Let everything take effect that has arrived by `now`."""
        for due, message in self._wire.take(now):
            self._carry_out(message, due)

    def cut(self, client: str) -> None:
        """Lose what the simulated process `client` has on the wire: none of it arrives."""
        self.land(anyio.current_time())
        self._wire.drop(lambda message: message.request.client == client)

    # --- the protocol of qawait.jobs.service ---------------------------------------------------

    async def submit(
        self, request: SubmitRequest, *, on_sending: Callable[[], None] | None = None
    ) -> str:
        """Make one job; connecting takes `connect_seconds` before anything is sent."""
        await anyio.sleep(self.connect_seconds)
        await checkpoint_if_cancelled()
        if on_sending is not None:
            on_sending()
        made: str = await self._request(
            "submit", request.tag, lambda now: self._create(request, now)
        )
        return made

    async def find(self, tag: str) -> Sequence[Snapshot]:
        """Return the jobs with this tag."""
        found: list[Snapshot] = await self._request(
            "find", tag, lambda now: self._with_tag(tag, now)
        )
        return found

    async def status(self, job_id: str) -> Snapshot:
        """Return one job's status."""
        seen: Snapshot = await self._request(
            "status", job_id, lambda now: self._snapshot(self._job(job_id), now)
        )
        return seen

    async def pending(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
    ) -> Sequence[Snapshot]:
        """Return one page of the jobs of this group that have not ended, oldest first."""
        page: list[Snapshot] = await self._request(
            "pending", _name(group), lambda now: self._page(group, after, before, now, ended=False)
        )
        return page[offset : offset + limits.LIST_PAGE]

    async def ended(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
    ) -> Sequence[Snapshot]:
        """Return one page of the jobs of this group that have ended, oldest first."""
        page: list[Snapshot] = await self._request(
            "ended", _name(group), lambda now: self._page(group, after, before, now, ended=True)
        )
        return page[offset : offset + limits.LIST_PAGE]

    async def fetch(
        self, job_id: str, *, program: str | None = None, private: bool = False
    ) -> Fetched | None:
        """Return the scripted result of a job that is DONE, else nothing; it takes no memory."""
        del program, private
        result = await self._request("fetch", job_id, lambda now: self._result_of(job_id, now))
        return None if result is None else Fetched(result, 0)

    async def failure_text(self, job_id: str) -> str | None:
        """Return a traceback's text."""
        text: str = await self._request("failure_text", job_id, lambda _: _TRACEBACK)
        return text

    async def cancel(self, job_id: str) -> CancelReply:
        """Cancel one job."""
        reply: CancelReply = await self._request(
            "cancel", job_id, lambda now: self._cancel(job_id, now)
        )
        return reply

    # --- one request -----------------------------------------------------------------------------

    async def _request(self, call: Call, what: str, effect: Callable[[float], Any]) -> Any:
        now = anyio.current_time()
        fault = self._fault(call, now)
        request = Request(now, call, what, process_name(), len(self.ledger))
        self.ledger.append(request)
        self._sent[call] += 1
        arrives = now + self.latency / 2
        if fault is None or fault.spares_effect:
            told = _as_told(effect, fault) if fault else effect
            self._wire.put(arrives + (fault.late if fault else 0.0), _Message(request, told))
        try:
            await self._answer(request, arrives, fault)
        except anyio.get_cancelled_exc_class():
            if not self.cut_lands:
                self.land(anyio.current_time())
                self._wire.drop(lambda message: message.request is request)
            raise
        request.answered = anyio.current_time()
        request.answered_before = len(self.ledger)
        if request.error is not None:
            raise request.error
        return request.answer

    def _fault(self, call: Call, now: float) -> Fault | None:
        for outage in self.outages:
            if outage.begins <= now < outage.ends:
                return outage.fault(call)
        nth = self.count(call)
        return next((fault for fault in self.faults if fault.befalls(call, nth)), None)

    async def _answer(self, request: Request, arrives: float, fault: Fault | None) -> None:
        """Return when the sender is told, with what it is told in the request."""
        delay = fault.delay if fault else 0.0
        if fault is not None and fault.error is not None:
            await anyio.sleep(self.latency + delay)
            request.error = fault.error()
            return
        lands = arrives + (fault.late if fault else 0.0)
        await anyio.sleep(lands - anyio.current_time())
        self.land(max(lands, anyio.current_time()))  # a sleep may end one rounding too early
        await anyio.sleep(self.latency / 2 + delay)

    def _carry_out(self, message: _Message, now: float) -> None:
        request = message.request
        request.landed = now
        try:
            request.answer = message.effect(now + self.slept)
        except RejectedError as error:
            if request.answered is None:
                request.error = error

    # --- effects ---------------------------------------------------------------------------------

    def _create(self, request: SubmitRequest, now: float) -> str:
        number = next(self._ids)
        outcome = self.outcomes[number] if number < len(self.outcomes) else self._default()
        job = SimulatedJob(
            job_id=f"job{number}",
            tag=request.tag,
            tags=(*request.tags, request.tag),
            session_id=request.session_id,
            created=now,
            queue_seconds=outcome.queue_seconds,
            run_seconds=outcome.run_seconds,
            ends_as=outcome.ends_as,
            outruns_cancel=outcome.outruns_cancel,
            estimated_seconds=outcome.estimated_seconds,
        )
        self.jobs[job.job_id] = job
        return job.job_id

    def _default(self) -> Outcome:
        return Outcome(
            queue_seconds=self.queue_seconds,
            run_seconds=self.run_seconds,
            ends_as=self.ends_as,
            outruns_cancel=self.outruns_cancel,
        )

    def _job(self, job_id: str) -> SimulatedJob:
        try:
            return self.jobs[job_id]
        except KeyError:
            raise RejectedError("no such job", status=_NOT_FOUND) from None

    def _snapshot(self, job: SimulatedJob, now: float) -> Snapshot:
        status = None if job.raw_status else job.status(now)
        word = job.raw_status or (_WORDS[status] if status else "?")
        shown = self._shown.get(job.job_id)
        if shown is None or shown.raw_status != word:  # most answers say what the last one said
            shown = self._shown[job.job_id] = Snapshot(
                job_id=job.job_id,
                status=status,
                raw_status=word,
                created=_at(job.created),
                tags=job.tags,
                session_id=job.session_id,
                estimated_seconds=job.estimated_seconds,
            )
        return shown

    def _page(
        self,
        group: Group,
        after: datetime | None,
        before: datetime | None,
        now: float,
        *,
        ended: bool,
    ) -> list[Snapshot]:
        jobs = list(self.jobs.values())  # in the order in which they were made
        first = bisect_left(jobs, after, key=_created) if after else 0
        last = bisect_right(jobs, before, key=_created) if before else len(jobs)
        return [
            self._snapshot(job, now)
            for job in jobs[first:last]
            if (group.tag is None or group.tag in job.tags)
            and (group.session_id is None or group.session_id == job.session_id)
            and job.created <= now - self.listing_lag
            and job.status(now).is_final is ended
        ]

    def _result_of(self, job_id: str, now: float) -> Any | None:
        return self.result if self._job(job_id).status(now) is JobStatus.DONE else None

    def _with_tag(self, tag: str, now: float) -> list[Snapshot]:
        jobs = [job for job in self.jobs.values() if job.tag == tag]
        oldest = now - self.listing_lag
        return [self._snapshot(job, now) for job in jobs if job.created <= oldest]

    def _cancel(self, job_id: str, now: float) -> CancelReply:
        job = self.jobs.get(job_id)
        if job is None:
            return CancelReply.NOT_FOUND
        job.cancels += 1
        if job.status(now).is_final:
            return CancelReply.NOT_CANCELLABLE
        job.is_accepted = True
        if not job.outruns_cancel:
            job.cancelled_at = now
        return CancelReply.ACCEPTED


def _name(group: Group) -> str:
    return group.tag or group.session_id or ""


def _at(seconds: float) -> datetime:
    """Return a time on the loop's clock as the service writes it."""
    return _EPOCH + timedelta(seconds=seconds)


def _created(job: SimulatedJob) -> datetime:
    return _at(job.created)


def _as_told(effect: Callable[[float], Any], fault: Fault) -> Callable[[float], Any]:
    """Return `effect` with an answer that is stale or spoilt, as the fault says."""

    def told(now: float) -> Any:
        answer = effect(now - fault.stale)
        return fault.spoil(answer) if fault.spoil is not None else answer

    return told


_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_TRACEBACK = "Traceback: it failed"
