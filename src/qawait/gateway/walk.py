"""One job's way through the gateway: read, submitted, followed, fetched, kept.

A job that was on its way when an earlier gateway ended, however it did, is taken
up where it was: by the service's id, or by its tag if no id was learnt. It is
submitted only if nothing was sent for it, or certainly nothing arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait import limits
from qawait.errors import (
    JobCancelledError,
    JobFailedError,
    NotSentError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)
from qawait.gateway.counts import counts_of
from qawait.gateway.readers import ReaderError
from qawait.ibm.programs.program import RawProgram
from qawait.jobs.job import Job
from qawait.jobs.lifecycle import JobState
from qawait.runner import JobOptions
from qawait.threads import in_thread
from qawait.types import CancelOutcome, JobStatus, Stage, Update

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait.gateway.jobs import Jobs
    from qawait.gateway.record import Record
    from qawait.ibm.backend import Backend
    from qawait.jobs.driver import Driver

_FOR_NOW: Final = (NotSentError, ThrottledError, UnknownOutcomeError, ReaderError)
"""Errors after which the same thing is tried again."""
_SERVER_ERROR: Final = 500
_STATUS_OF: Final = {
    Stage.QUEUED: JobStatus.QUEUED,
    Stage.RUNNING: JobStatus.RUNNING,
    Stage.SUBMITTING: JobStatus.SUBMITTING,
}


class Walk:
    """Takes one job to its end."""

    def __init__(self, jobs: Jobs, record: Record) -> None:
        self._jobs = jobs
        self.record = record
        self._job: Job[Any] | None = None
        self._is_sought = record.may_exist  # somewhere there may be a job of unknown id
        self._is_left_over = record.may_exist  # by an earlier gateway
        self._preparing = anyio.CancelScope()

    async def main(self) -> None:
        """Return when the job has ended; cancelled, apply its policy."""
        try:
            with self._preparing:
                await self._persistently(self._take_up)
            if self._job is None:  # nothing was sent, or what was sought is not there
                self.cancelled()
                return
            await self._persistently(self._conclude)
        except anyio.get_cancelled_exc_class():
            self._leave()
            raise

    def _leave(self) -> None:
        """Note how the gateway's end leaves the job."""
        self._identify()
        record = self.record
        if not (record.is_final or self._job is not None or self._is_sought):
            record.may_exist = False
            if record.on_cancel == "cancel":
                record.reason = "the gateway was stopped before the job was submitted"
                self.cancelled()
        self._jobs.store.put(record)

    # --- trying ----------------------------------------------------------------------------------

    async def _persistently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, again and again while what it meets is only for now."""
        pause = limits.GATEWAY_RETRY_SECONDS
        for _ in range(limits.GATEWAY_RETRIES):
            try:
                await work()
            except (QawaitError, OSError) as error:
                if not self._may_pass(error):
                    self._end_with(error)
                    return
                self._note(str(error))
            else:
                return
            await anyio.sleep(pause)
            pause = min(2 * pause, limits.GATEWAY_RETRY_CAP_SECONDS)
        self.fail(f"given up: {self.record.reason}")

    def _may_pass(self, error: QawaitError | OSError) -> bool:
        if self._job is not None and not self._job.driver.is_ended:
            return True  # a job that exists is not given up
        if isinstance(error, RejectedError):
            return isinstance(error, ThrottledError) or error.status >= _SERVER_ERROR
        return isinstance(error, (*_FOR_NOW, OSError))

    def _end_with(self, error: QawaitError | OSError) -> None:
        if isinstance(error, JobCancelledError):
            self.cancelled()
        elif isinstance(error, JobFailedError) and error.text:
            self.fail(f"{error.message}\n{error.text}")
        else:
            self.fail(getattr(error, "message", "") or str(error))

    # --- getting a remote job --------------------------------------------------------------------

    async def _take_up(self) -> None:
        record = self.record
        if record.is_final or self._job is not None:
            return
        if record.remote_id is not None:
            await self._attach(record.remote_id)
        elif self._is_sought:
            await self._seek()
        elif record.is_cancel_wanted or self._is_given_up():
            self.cancelled()
        else:
            async with self._jobs.submits:
                await self._submit()

    def _is_given_up(self) -> bool:
        """Whether the job should have ended with an earlier gateway."""
        return self._is_left_over and self.record.on_cancel == "cancel"

    async def _attach(self, remote_id: str) -> None:
        job = await self._jobs.client.attach(remote_id, on_cancel=self.record.on_cancel)
        self._hold(job)
        job.driver.updates.listen(self._on_update)
        job.driver.follow()
        if (update := job.last_update) is not None:
            self._on_update(update)
        if self.record.is_cancel_wanted:
            await job.cancel()

    async def _seek(self) -> None:
        """Look for the job by its tag, more than once, as listings may lag."""
        for attempt in range(limits.LOOKUP_TRIES):
            if attempt:
                await anyio.sleep(limits.LOOKUP_SPACING_SECONDS)
            found = self._jobs.client.jobs(tags=[self.record.tag], limit=1, oldest_first=True)
            async for job in found:
                await self._attach(job.id)
                return
        self._is_sought = False
        await self._take_up()

    async def _submit(self) -> None:
        record = self.record
        record.may_exist = True
        await self._jobs.store.keep(record)
        code = await self._jobs.store.code(record.job_id)
        options = JobOptions(
            tags=[record.tag], on_cancel=record.on_cancel, on_update=self._on_update
        )

        async def prepare(
            target: Callable[[], Awaitable[Backend]], on_transpile: Callable[[], None]
        ) -> RawProgram:
            backend = await target()
            on_transpile()
            prepared = await self._jobs.readers.prepare(code, record.shots, backend)
            record.circuit = prepared.circuit
            return RawProgram(name=prepared.program, params=prepared.params)

        try:
            await self._jobs.client.launch(
                prepare, record.backend, options, delivers=False, own=self._own
            )
        except UnknownOutcomeError:
            self._job, self._is_sought = None, True
            raise
        except QawaitError:
            if self._job is not None and self._job.driver.state.job is JobState.NOT_SUBMITTED:
                self._job = None
            raise
        self._identify()

    def _own(self, driver: Driver) -> None:
        """Hold the job from before it is sent, so that it can be withdrawn."""
        if self.record.is_cancel_wanted:
            raise JobCancelledError("the job was cancelled before it was submitted")
        self._hold(Job(driver))

    def _hold(self, job: Job[Any]) -> None:
        self._job = job
        self._identify()

    def _identify(self) -> None:
        job, record = self._job, self.record
        if job is not None and job.id and record.remote_id is None:
            record.remote_id = job.id
            record.submitted = record.submitted or self._jobs.clock()
            self._jobs.store.put(record)

    # --- following it ----------------------------------------------------------------------------

    def _on_update(self, update: Update) -> None:
        record = self.record
        if record.is_final:
            return
        before = _shown(record)
        self._identify()
        if update.stage is Stage.DONE:  # for the gateway once the result is kept
            record.stage = Stage.FETCHING.name
        elif not update.stage.is_final:
            record.stage = update.stage.name
        record.status = _STATUS_OF.get(update.stage, record.status)
        if update.stage is Stage.RUNNING and record.started is None:
            record.started = update.time
        record.raw_status = update.raw_status
        record.reason = update.reason
        record.estimated_seconds = update.estimated_seconds
        record.disconnected_since = update.disconnected_since
        if _shown(record) != before:
            self._jobs.tell(record)

    async def _conclude(self) -> None:
        if self._job is None or self.record.is_final:
            return
        result = await self._job.result()
        await self._jobs.done(self.record, await in_thread(lambda: counts_of(result)))

    # --- its end ---------------------------------------------------------------------------------

    async def cancel(self) -> CancelOutcome:
        """Cancel the job, and return what became of that, within a bound."""
        record = self.record
        if not record.is_cancel_wanted:
            record.is_cancel_wanted = True
            await self._jobs.store.keep(record)
        if self._job is None and self._is_sought:
            with anyio.move_on_after(limits.CANCEL_BOUND_SECONDS):
                while self._job is None and not record.is_final:
                    await self._jobs.changes.wait(record)
        if self._job is not None:
            return await self._job.cancel()
        if not (record.is_final or self._is_sought):
            self._preparing.cancel()
            self.cancelled()
        return CancelOutcome.NOT_SUBMITTED if record.is_final else CancelOutcome.UNKNOWN

    def cancelled(self) -> None:
        """Note that the job was cancelled."""
        self._end(JobStatus.CANCELLED)

    def fail(self, reason: str) -> None:
        """Note that the job has failed."""
        self.record.reason = reason[: limits.GATEWAY_REASON_CHARACTERS]
        self._end(JobStatus.ERROR)

    def _end(self, status: JobStatus) -> None:
        if not self.record.is_final:
            self._jobs.end(self.record, status)
            self._jobs.tell(self.record)

    def _note(self, reason: str) -> None:
        if self.record.reason != reason:
            self.record.reason = reason
            self._jobs.tell(self.record)


def _shown(record: Record) -> tuple[object, ...]:
    return (
        record.stage,
        record.raw_status,
        record.reason,
        record.estimated_seconds,
        record.disconnected_since,
    )
