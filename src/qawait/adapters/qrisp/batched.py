"""qrisp's batch: circuits are gathered, sent together, and waited for as often as it takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from qrisp.interface import BatchedBackend

from qawait.adapters.qrisp.circuits import job_result
from qawait.adapters.qrisp.job import QawaitJob, ended
from qawait.errors import (
    AuthError,
    DeadlineExceededError,
    NotSentError,
    QawaitError,
    ThrottledError,
)
from qawait.sync import Job
from qawait.types import JobStatus

if TYPE_CHECKING:
    from qrisp import QuantumCircuit
    from qrisp.interface import MeasurementResult

    from qawait.adapters.qrisp.backend import QawaitBackend
    from qawait.jobs.job import Job as AsyncJob

_AGAIN = (AuthError, DeadlineExceededError, NotSentError, ThrottledError)
"""Why a submit certainly made no job, and may make one when it is tried again."""


@dataclass(slots=True, eq=False)
class _Chunk:
    """The circuits of one job, and how far it has come."""

    queries: list[tuple[QuantumCircuit, int, MeasurementResult]]
    pubs: list[Any]
    job: AsyncJob[Any] | None = None
    result: Any = None
    error: QawaitError | None = None

    @property
    def counts(self) -> list[dict[str, int]]:
        """The counts of each circuit of a job that is DONE."""
        counts: list[dict[str, int]] = job_result(self.result).all_counts
        return counts

    @property
    def is_lost(self) -> bool:
        """Whether its error stays, however often it is tried again."""
        if self.job is None:
            return not isinstance(self.error, _AGAIN)
        return self.job.status in (JobStatus.ERROR, JobStatus.CANCELLED)

    def raised(self) -> Exception:
        """Return its error as qrisp knows it."""
        assert self.error is not None  # noqa: S101 - asked of a chunk that has one
        translated = ended(self.error, self.job.status) if self.job else None
        if translated is None:
            return self.error
        translated.__cause__ = self.error
        return translated


class QawaitBatchedBackend(BatchedBackend):
    """Gathers circuits and runs them together: as one job, or as few as its backend takes.

    Jobs that had not ended when a `dispatch` was given up are kept: the next one
    waits for them again.
    """

    def __init__(self, backend: QawaitBackend, name: str | None = None) -> None:
        super().__init__(backend, name)
        self._queries: list[tuple[Any, ...]] = []
        self._qawait = backend
        self._chunks: list[_Chunk] = []

    @property
    def jobs(self) -> list[QawaitJob]:
        """The jobs that have been sent and whose results are still missing."""
        backend, sent = self._qawait, [chunk.job for chunk in self._chunks if chunk.job]
        return [QawaitJob(backend, Job(backend.portal, job)) for job in sent]

    @property
    def pending_count(self) -> int:
        """How many circuits wait for a `dispatch`, those whose jobs are under way included."""
        return len(self._queries) + sum(len(chunk.queries) for chunk in self._chunks)

    def dispatch(self, timeout: float | None = None) -> None:
        """Submit all that was gathered, every job at once, wait and fill in the results.

        After a `timeout`, in seconds for each job, after a lost connection or a
        refused key, the results that are missing stay as they were, their jobs go
        on, and another `dispatch` waits for them. A Ctrl-C cancels each live job
        once, and its circuits are gathered again. A job that failed, was cancelled
        or refused has its error in each of its results.

        Raises:
            TimeoutError: the timeout passed.
            JobFailureError: a job failed; the first error is raised, of whatever kind.
        """
        self._take_gathered()
        if not self._chunks:
            return
        try:
            self._qawait.portal.run(self._drive_all, timeout)
        except BaseException:
            self._gather_again()
            raise
        self._fill_in()

    def clear(self) -> None:
        """Forget all that was gathered; what is under way is cancelled."""
        super().clear()
        chunks, self._chunks = self._chunks, []
        for job in [chunk.job for chunk in chunks if chunk.job is not None]:
            self._qawait.portal.run(job.cancel)

    # --- sending ---------------------------------------------------------------------------------

    def _take_gathered(self) -> None:
        queries, self._queries = self._queries, []
        size = self._qawait.max_circuits or max(len(queries), 1)
        if len(queries) > size:
            jobs = -(-len(queries) // size)
            message = f"{len(queries)} circuits are sent as {jobs} jobs of up to {size}"
            warnings.warn(message, UserWarning, stacklevel=3)
        try:
            chunks = [queries[start : start + size] for start in range(0, len(queries), size)]
            self._chunks += [self._chunk(chunk) for chunk in chunks]
        except Exception as error:
            for query in queries:
                query[2]._inject_error(error)  # noqa: SLF001 - qrisp's own batch does so
            raise

    def _chunk(self, queries: list[Any]) -> _Chunk:
        circuits, shots, _ = zip(*queries, strict=True)
        return _Chunk(queries, self._qawait.pubs(circuits, shots))

    async def _drive_all(self, timeout: float | None) -> None:  # noqa: ASYNC109 - leaves jobs alone
        async with anyio.create_task_group() as group:
            for chunk in self._chunks:
                group.start_soon(self._drive, chunk, timeout)

    async def _drive(self, chunk: _Chunk, timeout: float | None) -> None:  # noqa: ASYNC109 - as above
        chunk.error = None
        try:
            if chunk.job is None:
                chunk.job = await self._qawait.submit(chunk.pubs)
            if timeout is not None:
                await chunk.job.wait(timeout)
            chunk.result = await chunk.job.result()
        except QawaitError as error:
            chunk.error = error

    # --- what came of it -------------------------------------------------------------------------

    def _gather_again(self) -> None:
        """Let the circuits of jobs that were cancelled be sent anew; the other jobs go on."""
        for chunk in self._chunks:
            job = chunk.job
            if job is not None and job.driver.is_unwanted and job.status is not JobStatus.DONE:
                chunk.job = None

    def _fill_in(self) -> None:
        chunks, self._chunks = self._chunks, []
        raised = [error for chunk in chunks if (error := self._settle(chunk)) is not None]
        if raised:
            raise raised[0]

    def _settle(self, chunk: _Chunk) -> Exception | None:
        """Fill in a job's results, or keep it for another time; return what is to be raised."""
        if chunk.error is None:
            for query, counts in zip(chunk.queries, chunk.counts, strict=True):
                query[2]._inject(counts)  # noqa: SLF001 - qrisp's own batch does so
            return None
        error = chunk.raised()
        if not chunk.is_lost:
            self._chunks.append(chunk)
            return error
        for query in chunk.queries:
            query[2]._inject_error(error)  # noqa: SLF001 - qrisp's own batch does so
        return error
