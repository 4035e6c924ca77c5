"""`QawaitBackend`: what divi calls a circuit runner and an asynchronous job backend."""

from __future__ import annotations

import copy
import logging
import math
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qawait import limits
from qawait.adapters.divi import batch, versions
from qawait.adapters.divi.versions import CircuitRunner, ExecutionCancelledError, ExecutionResult
from qawait.adapters.divi.waiting import StoppedError, unless, until
from qawait.errors import ConfigError, QawaitError, RejectedError
from qawait.portal import check_not_on_loop
from qawait.sync import reach
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import qawait
    import qawait.sync
    from qawait.adapters.divi.batch import Observed, Samples
    from qawait.runner import JobKeywords
    from qawait.types import CancelOutcome, Update

T = TypeVar("T")

_log = logging.getLogger("qawait.adapters.divi")
_END: Final = None
_NOT_FOUND: Final = 404


class QawaitBackend(CircuitRunner):
    """Runs divi's circuits on one backend of IBM Quantum, as jobs of a qawait client.

    `client` is a client of `qawait.sync`, or an asynchronous one whose loop runs in
    another thread. Each batch of circuits is one job of the sampler with `shots`
    for each circuit, or of the estimator if divi asks for expectation values, which
    it does unless `force_sampling`; they are aimed at `precision`, by default the
    standard error of `shots` samples. `options` are those of IBM's primitives and
    `tags` go on every job. A circuit that does not fit is transpiled with
    `optimization_level`.

    The jobs are the client's: each is cancelled once, however the program stops, also
    if nobody waits for it any more when the client is closed or the process dies. It
    may be used from many threads at once, except one that runs an event loop.
    """

    max_retries = None
    resolves_parameters = False

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        client: qawait.sync.Client | qawait.Client,
        *,
        backend: str,
        shots: int = 1024,
        track_depth: bool = False,
        force_sampling: bool = False,
        precision: float | None = None,
        options: Mapping[str, Any] | None = None,
        optimization_level: int | None = 1,
        tags: Sequence[str] = (),
    ) -> None:
        super().__init__(shots=shots, track_depth=track_depth)
        self._portal, self._client = reach(client)
        self._force_sampling = force_sampling
        self._aim = precision or 1 / math.sqrt(shots)
        self._device: dict[str, Any] = {
            "backend": backend,
            "options": options,
            "optimization_level": optimization_level,
        }
        self._tags = tuple(tags)
        self._sent: dict[str, _Sent] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<QawaitBackend {self._device['backend']} shots={self.shots}>"

    @property
    def supports_expval(self) -> bool:
        """Whether expectation values are asked for as such."""
        return not self._force_sampling

    @property
    def is_async(self) -> bool:
        """True: a submit returns before the circuits have run."""
        return True

    # --- what divi calls ---------------------------------------------------------------------

    def submit_circuits(
        self,
        payloads: Any,
        *,
        ham_ops: str | None = None,
        circuit_ham_map: Sequence[Sequence[int]] | None = None,
        shot_groups: Sequence[Sequence[int]] | None = None,
        cancellation_event: threading.Event | None = None,
        **unknown: Any,
    ) -> Any:
        """Submit a batch as one job and return its handle once the service has given an id.

        An event that is set meanwhile, or before the job is polled, cancels the job,
        once.

        Raises:
            ExecutionCancelledError: the event was set; no job is left running.
            TypeError: an option is unknown, or what was given is no batch.
            ValueError: the batch and its options do not fit; nothing has been sent.
            QawaitError: as for `qawait.Client.submit`.
        """
        _check_thread()
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.submit_circuits() got unexpected keyword "
                f"arguments {sorted(unknown)}."
            )
        stopped = self._stopped_by(cancellation_event)
        if stopped():
            raise ExecutionCancelledError("cancelled before anything was sent")
        work = self._batch(payloads, ham_ops, circuit_ham_map, shot_groups)
        if self.track_depth:
            self._depth_history.append([circuit.depth() for circuit in work.circuits])
        try:
            job = self._portal.run(unless, stopped, lambda: self._send(work))
        except StoppedError as stop:
            raise ExecutionCancelledError(f"cancelled while it was submitted: {stop}") from stop
        sent = self._keep(_Sent(job, work))
        if cancellation_event is not None:
            self._portal.start(_cancel_if_left, sent, stopped)
        return ExecutionResult(job_id=job.id)

    def poll_job_status(
        self,
        execution_result: Any,
        loop_until_complete: bool = False,  # noqa: FBT001, FBT002 - divi's signature
        verbose: bool = True,  # noqa: FBT001, FBT002 - divi's signature
        progress_callback: Callable[[int, str], object] | None = None,
        cancellation_event: threading.Event | None = None,
        on_complete: Callable[[dict[str, Any]], object] | None = None,
    ) -> Any:
        """Return the job's status; if it is to loop, wait until it is completed.

        What divi was told of a job that waits is told in the calling thread. An
        event that is set interrupts the wait, whatever request is on its way, and
        cancels the job once; a job that was outrun to its end counts as completed.

        Raises:
            ExecutionCancelledError: the event was set.
            QoroJobError: the job failed, was cancelled or ran too long: divi's class for it.
            QawaitError: the job cannot be followed; if it was sent from here, it was cancelled.
        """
        _check_thread()
        sent = self._sent_as(execution_result)
        if not loop_until_complete:
            return versions.status_of(self._ask(sent.job.poll), sent.job.last_seen)
        heard: SimpleQueue[Update | None] = SimpleQueue()
        stopped = self._stopped_by(cancellation_event)
        call = self._portal.start(_follow, sent.job, heard.put, stopped)
        call.when_done(lambda: heard.put(_END))
        with call.interruptible():
            _report(heard, progress_callback, verbose=verbose)
        try:
            call.result()
        except StoppedError as stop:
            raise ExecutionCancelledError(f"job {sent.job.id}: {stop}") from stop
        except QawaitError as error:
            raise versions.error_of(error, sent.job.id) from error
        if on_complete is not None:
            on_complete({"status": versions.COMPLETED.value, "run_time": sent.seconds})
        return versions.COMPLETED

    def get_job_results(self, execution_result: Any) -> Any:
        """Return the handle with the results of a job that is completed, by their labels.

        The circuits of a job that was not sent from here are labelled by position.

        Raises:
            ConfigError: the job has not ended.
            QawaitError: the result cannot be had, or lacks shots.
        """
        _check_thread()
        sent = self._sent_as(execution_result)
        try:
            result = self._ask(sent.job.fetch)
        except QawaitError as error:
            raise versions.error_of(error, sent.job.id) from error
        work = sent.work or batch.Unlabelled()
        return versions.with_results(execution_result, work.results(result), sent.seconds)

    def cancel_job(self, execution_result: Any) -> CancelOutcome | None:
        """Cancel the job; again, or if it has ended or does not exist, changes nothing.

        Returns what became of it, `None` if there is no such job.

        Raises:
            QawaitError: the service cannot be asked.
        """
        _check_thread()
        try:
            sent = self._sent_as(execution_result)
        except RejectedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return self._portal.run(sent.job.cancel)

    # --- beneath -----------------------------------------------------------------------------

    def stoppable(self, stop: threading.Event) -> QawaitBackend:
        """Return this backend for one run, all of whose calls end once `stop` is set."""
        view = copy.copy(self)
        view._stop = stop  # noqa: SLF001 - of its own class
        return view

    def _ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the service says, unless this run is stopped before it does."""
        try:
            answer: T = self._portal.run(unless, self._stop.is_set, work)
        except StoppedError as stop:
            raise ExecutionCancelledError("cancelled while the service was asked") from stop
        return answer

    def _stopped_by(self, event: threading.Event | None) -> Callable[[], bool]:
        return lambda: self._stop.is_set() or (event is not None and event.is_set())

    def _batch(
        self,
        payloads: Any,
        ham_ops: str | None,
        ham_map: Sequence[Sequence[int]] | None,
        groups: Sequence[Sequence[int]] | None,
    ) -> Samples | Observed:
        labelled = versions.circuits_of(payloads)
        labels, circuits = tuple(labelled), batch.parsed(labelled)
        if ham_ops is None:
            shots = batch.shots_of(groups, len(circuits), self.shots)
            return batch.Samples(labels, circuits, shots)
        if groups is not None:
            raise ValueError("shot_groups are for sampling: give either them or ham_ops")
        return batch.Observed(labels, circuits, batch.terms_of(ham_ops, ham_map, circuits))

    async def _send(self, work: Samples | Observed) -> qawait.Job[Any]:
        job: JobKeywords = {"on_cancel": "cancel", "tags": self._tags}
        if isinstance(work, batch.Samples):
            return await self._client.sampler(**self._device).submit(work.pubs, **job)
        estimator = self._client.estimator(**self._device, precision=self._aim)
        return await estimator.submit(work.pubs, **job)

    def _keep(self, sent: _Sent) -> _Sent:
        with self._lock:
            ended = [name for name, known in self._sent.items() if known.job.status.is_final]
            for name in ended[: -limits.ADAPTER_JOBS_KEPT]:
                del self._sent[name]
            return self._sent.setdefault(sent.job.id, sent)

    def _sent_as(self, handle: Any) -> _Sent:
        """Return the job of a handle, whoever made it; it is looked after from now on."""
        if not handle.job_id:
            raise ValueError("this ExecutionResult has no job_id: it is not of a submitted job")
        sent = self._sent.get(handle.job_id)
        if sent is None:
            attached = self._portal.run(self._client.attach, handle.job_id)
            sent = self._keep(_Sent(attached, None))
        sent.is_taken = True
        return sent


@dataclass(slots=True)
class _Sent:
    """A job, what was sent with it if that is known, and whether divi has come back for it."""

    job: qawait.Job[Any]
    work: Samples | Observed | None
    is_taken: bool = False

    @property
    def seconds(self) -> float:
        """The quantum processor's time that the job took, as far as the service says."""
        seen = self.job.last_seen
        return (seen and seen.usage_seconds) or 0.0


def _check_thread() -> None:
    try:
        check_not_on_loop()
    except ConfigError:
        raise ConfigError(
            "divi blocks its thread, and this thread runs an event loop, which would stand "
            "still: await qawait.adapters.divi.arun(program) instead of calling program.run()"
        ) from None


async def _cancel_if_left(sent: _Sent, stopped: Callable[[], bool]) -> None:
    """Cancel a job if the program is stopped before it has come back for it."""
    await until(lambda: sent.is_taken or stopped())
    if not sent.is_taken:
        await sent.job.cancel()


async def _follow(
    job: qawait.Job[Any], hear: Callable[[Update], object], stopped: Callable[[], bool]
) -> None:
    """Return once the job is done; nobody is left to cancel it if this raises."""

    async def tell() -> None:
        async for update in job.updates():
            hear(update)

    try:
        status = await unless(stopped, job.wait, beside=tell)
    except StoppedError:
        await job.cancel()
        if job.status is not JobStatus.DONE:
            raise
        return
    except QawaitError:
        if job.on_cancel == "cancel":
            await job.cancel()
        raise
    if status is not JobStatus.DONE:
        if stopped():  # the job's end is the doing of whoever has set the event
            raise StoppedError(f"the job ended as {status}")
        await job.result()


def _report(
    heard: SimpleQueue[Update | None],
    callback: Callable[[int, str], object] | None,
    *,
    verbose: bool,
) -> None:
    """Tell of each update of a job that waits, until there are no more."""
    updates = (update for update in iter(heard.get, _END) if not update.stage.is_final)
    for attempt, update in enumerate(updates, start=1):
        word = versions.word_of(update)
        if callback is not None:
            _tell(callback, attempt, word)
        elif verbose:
            _log.info("job %s is %s (update %d)", update.job_id, word, attempt)


def _tell(callback: Callable[[int, str], object], attempt: int, word: str) -> None:
    try:
        callback(attempt, word)
    except Exception as error:  # noqa: BLE001 - a display must not end the run
        # by type only: the message may hold what a log must not
        _log.warning("a progress_callback failed with %s", type(error).__name__)
