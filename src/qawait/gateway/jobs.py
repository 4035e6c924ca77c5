"""All jobs of a gateway: accepted, walked to their ends, cancelled, and kept for a while."""

from __future__ import annotations

import json
import logging
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from qawait import limits
from qawait.errors import ConfigError
from qawait.gateway.events import Changes
from qawait.gateway.problems import ProblemError
from qawait.gateway.readers import ReaderError, Readers
from qawait.gateway.record import Record
from qawait.gateway.store import Store
from qawait.gateway.walk import Walk
from qawait.types import CancelOutcome, JobStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from qawait.client import Client
    from qawait.gateway.order import Order
    from qawait.gateway.settings import Settings

_log = logging.getLogger("qawait.gateway")
_BUSY: Final = 429
_GONE: Final = 410
_UNKNOWN: Final = 404


class Jobs:
    """All jobs of a gateway, on one client; `clock` gives seconds since the epoch."""

    def __init__(
        self, client: Client, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self.client = client
        self.settings = settings
        self.clock = clock
        self.store = Store(settings.where)
        self.readers = Readers(settings)
        self.changes = Changes(clock)
        self.submits = anyio.Semaphore(max(1, settings.submits_at_once))
        self.is_stopping = False
        self._records: dict[str, Record] = {}
        self._walks: dict[str, Walk] = {}
        self._group: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the jobs known from before, and those to come, while the block runs.

        Leaving it applies each live job's policy. What was not yet submitted is
        submitted when a gateway is next started, unless its policy is `cancel`.

        Raises:
            ConfigError: the folder cannot be used.
        """
        records = await self.store.open()
        try:
            self._records = {record.job_id: record for record in records}
            self.changes.restore(records)
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._sweep_often)
                group.start_soon(self.readers.warm)
                for record in records:
                    if not record.is_final:
                        self._walk(record)
                try:
                    yield
                finally:
                    self.stop()
                    group.cancel_scope.cancel()  # each walk applies its job's policy
        finally:
            with anyio.CancelScope(shield=True):
                await self.readers.close()
                await self.store.close()

    def stop(self) -> None:
        """Accept nothing more, and end the streams and synchronous runs."""
        self.is_stopping = True
        self.changes.close()

    # --- asked for by callers --------------------------------------------------------------------

    async def accept(self, order: Order) -> Record:
        """Return a new job, which is on disk; it is read, submitted and followed from then on.

        Raises:
            ProblemError: too many jobs are on their way, the circuit was found wrong at
                once, or the disk failed.
        """
        self._check_room()
        record = Record(
            job_id=secrets.token_hex(12),
            number=next((each.number for each in self._newest()), 0) + 1,
            name=order.name,
            backend=order.backend,
            shots=order.shots,
            on_cancel=order.on_cancel or self.settings.on_cancel,
            created=self.clock(),
        )
        self._records[record.job_id] = record
        try:
            await self._check_quickly(order.code, record)
            self.changes.add(record)
            await self.store.keep(record, order.code)
        except BaseException as error:
            del self._records[record.job_id]
            if isinstance(error, OSError):
                raise ProblemError(507, "the gateway's disk takes no more jobs") from error
            raise
        self._walk(record)
        return record

    def _check_room(self) -> None:
        if self.is_stopping:
            raise ProblemError(503, "the gateway is being stopped", headers={"Retry-After": "5"})
        if len(self._walks) >= self.settings.pending_jobs:
            raise ProblemError(
                _BUSY,
                f"{len(self._walks)} jobs are on their way, which is as many as are taken",
                headers={"Retry-After": str(limits.GATEWAY_QUEUED_SECONDS)},
            )

    async def _check_quickly(self, code: str, record: Record) -> None:
        """Refuse a wrong circuit if that is found out at once; else its job ends as ERROR."""
        if not self.readers.is_idle:
            return
        with anyio.move_on_after(limits.GATEWAY_ANSWER_SECONDS):
            try:
                record.circuit = await self.readers.size(code)
            except ConfigError as error:
                raise ProblemError(422, error.message, errors=[{"pointer": "/code"}]) from error
            except ReaderError as error:
                _log.warning("a circuit was not read: %s", error)

    def get(self, job_id: str) -> Record:
        """Return a job.

        Raises:
            ProblemError: there is none, or it has expired.
        """
        record = self._records.get(job_id)
        if record is None:
            raise ProblemError(_UNKNOWN, "there is no such job")
        if record.has_expired(self.clock()):
            raise ProblemError(_GONE, "the job has expired", job_id=job_id)
        return record

    def listed(self, *, before: int | None, status: JobStatus | None) -> Iterator[Record]:
        """Yield jobs, newest first: those below a number, in a status."""
        now = self.clock()
        for record in self._newest():
            if before is not None and record.number >= before:
                continue
            if status in (None, record.status) and not record.has_expired(now):
                yield record

    def _newest(self) -> Iterator[Record]:
        return reversed(self._records.values())

    def count(self) -> dict[JobStatus, int]:
        """Return how many jobs are in each status."""
        counts = dict.fromkeys(JobStatus, 0)
        for record in self._records.values():
            counts[record.status] += not record.is_expired
        return counts

    async def result(self, record: Record) -> bytes:
        """Return the counts of a job that is done, as JSON.

        Raises:
            ProblemError: the job is not done, or the result cannot be read.
        """
        if record.status is not JobStatus.DONE:
            raise self._not_done(record)
        try:
            body = await self.store.result(record.job_id)
        except OSError as error:
            raise ProblemError(503, "the gateway's disk cannot be read") from error
        if body is None:
            raise ProblemError(_GONE, "the result is no longer there", job_id=record.job_id)
        return body

    def _not_done(self, record: Record) -> ProblemError:
        wait = record.retry_after(self.clock())
        why = f": {record.reason}" if record.reason else ""
        return ProblemError(
            409,
            f"the job is {record.status.value} and has no result{' yet' if wait else ''}{why}",
            headers={} if wait is None else {"Retry-After": str(wait)},
            job_id=record.job_id,
            job_status=record.status.value,
        )

    async def cancel(self, record: Record) -> CancelOutcome:
        """Cancel a job, and return what became of that; asking again changes nothing."""
        walk = self._walks.get(record.job_id)
        if walk is not None:
            record.cancel = (await walk.cancel()).value
            self.store.put(record)
        elif record.cancel is None:
            return CancelOutcome.ALREADY_FINAL
        return CancelOutcome(record.cancel)

    def abandon(self, record: Record) -> None:
        """Apply the policy of a job whose caller has gone."""
        if self._group is not None and record.on_cancel == "cancel" and not record.is_final:
            self._group.start_soon(self.cancel, record)

    async def ended(self, record: Record) -> None:
        """Return when a job has ended, or the gateway is being stopped."""
        while not (record.is_final or self.changes.is_closed):
            await self.changes.wait(record)

    # --- for walks -------------------------------------------------------------------------------

    def tell(self, record: Record) -> None:
        """Take down a job as it is now, and tell of it."""
        self.changes.add(record)
        self.store.put(record)

    async def done(self, record: Record, counts: dict[str, dict[str, int]]) -> None:
        """Keep a job's result, and then tell that it is done.

        Raises:
            OSError: it cannot be kept.
        """
        body = json.dumps(counts, separators=(",", ":")).encode()
        record.result_bytes = len(body)
        self.end(record, JobStatus.DONE)
        await self.store.keep_result(record, body)
        self.changes.add(record)
        self.store.put(record)

    def end(self, record: Record, status: JobStatus) -> None:
        """Mark a job as ended now."""
        self._walks.pop(record.job_id, None)
        record.status = status
        record.stage = status.value
        record.ended = self.clock()
        record.expires = record.ended + self.settings.keep_seconds

    def _walk(self, record: Record) -> None:
        if self._group is not None:
            walk = self._walks[record.job_id] = Walk(self, record)
            self._group.start_soon(self._walked, walk)

    async def _walked(self, walk: Walk) -> None:
        try:
            await walk.main()
        except Exception:  # noqa: BLE001 - ours, whatever it is: the job must not be shown as live for ever
            _log.exception("following job %s failed", walk.record.job_id)
            walk.fail("the gateway failed; its log says why")

    # --- what is kept ----------------------------------------------------------------------------

    async def _sweep_often(self) -> None:
        while True:
            self.sweep()
            await anyio.sleep(limits.GATEWAY_SWEEP_SECONDS)

    def sweep(self) -> None:
        """Remove what has expired, and the oldest beyond what is kept."""
        now = self.clock()
        ended = [record for record in self._records.values() if record.is_final]
        for record in ended:
            if record.has_expired(now) and not record.is_expired:
                self._expire(record)
        left = self.settings.keep_bytes
        for record in reversed(ended):
            left -= record.result_bytes
            if left < 0 and not record.is_expired:
                self._expire(record)
        for record in ended[: max(0, len(self._records) - self.settings.keep_jobs)]:
            del self._records[record.job_id]
            self.store.forget(record.job_id)

    def _expire(self, record: Record) -> None:
        record.is_expired = True
        record.result_bytes = 0
        record.events.clear()
        self.store.empty(record)
