"""Qiskit's primitives on a qawait client: for algorithms and functions that take a V2 primitive.

    with qawait.sync.connect() as client:
        sampler = QawaitSampler(client, "ibm_fez", default_shots=4096)
        energy = VQE(QawaitEstimator(client, "ibm_fez"), ansatz, optimizer)

What runs is the client's: one cancel at most for each job, no job left behind,
results as Qiskit's own classes.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, BasePrimitiveJob, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import JobStatus
from qiskit.providers.exceptions import JobTimeoutError

from qawait import adapters
from qawait.client import Client as AsyncClient
from qawait.errors import DeadlineExceededError
from qawait.sync import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from qiskit.primitives.containers.estimator_pub import EstimatorPubLike
    from qiskit.primitives.containers.sampler_pub import SamplerPubLike

    from qawait.ibm.backend import Backend
    from qawait.ibm.primitives import Choice
    from qawait.runner import EstimatorResult, JobKeywords, SamplerResult
    from qawait.sync import Job, Scope, Session

ResultT = TypeVar("ResultT")

__all__ = ["QawaitEstimator", "QawaitJobTimeoutError", "QawaitPrimitiveJob", "QawaitSampler"]


class QawaitJobTimeoutError(DeadlineExceededError, JobTimeoutError):
    """A time limit passed; the job itself is as it was. Qiskit's own callers know it too."""


class QawaitPrimitiveJob(BasePrimitiveJob, Generic[ResultT]):
    """A job of a primitive, with the methods of Qiskit's `JobV1` beside those of its base.

    All of them can be called from any thread, and again. A Ctrl-C while one waits
    cancels the remote job once.
    """

    def __init__(self, job: Job[ResultT]) -> None:
        super().__init__(job.id)
        self._job = job

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._job!r}>"

    @property
    def job(self) -> Job[ResultT]:
        """The same job as qawait's blocking face gives it."""
        return self._job

    def result(self, timeout: float | None = None) -> ResultT:
        """Wait for the end of the job and return its result; the same at every call.

        A `timeout`, in seconds, leaves the job alone when it passes.

        Raises:
            QawaitJobTimeoutError: the timeout passed.
            QawaitError: as for `qawait.Job.result`.
        """
        try:
            return self._job.result(timeout)
        except DeadlineExceededError as passed:
            raise QawaitJobTimeoutError(passed.message, job_id=self._job.id) from passed

    def status(self) -> JobStatus:
        """Ask the service for the job's status; one that has ended is not asked for again.

        Raises:
            UnknownStatusError: the service names one that is not documented.
            QawaitError: the service could not be asked; the job is as it was.
        """
        return JobStatus[adapters.asked(self._job).name]

    def done(self) -> bool:
        """Whether the job has ended with a result."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Whether the job is running now."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Whether the job has been cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Whether the job has ended, however it did."""
        self.status()
        return self._job.status.is_final

    def cancel(self) -> bool:
        """Cancel the remote job, once however often asked; return whether there was one to cancel.

        Raises:
            UnknownOutcomeError: the service did not say within 10 s what became of it.
        """
        return adapters.cancelled(self._job)

    def wait_for_final_state(
        self,
        timeout: float | None = None,
        wait: float = 5.0,
        callback: Callable[[str, JobStatus, QawaitPrimitiveJob[ResultT]], object] | None = None,
    ) -> None:
        """Wait for the end of the job; `callback` is told every `wait` seconds how it stands.

        Returns at once when the job ends. Times are in seconds; `callback` gets the
        job's id, its status and this handle, as Qiskit's does.

        Raises:
            QawaitJobTimeoutError: the timeout passed; the job is as it was.
        """
        ends = time.monotonic() + (math.inf if timeout is None else timeout)
        pause = math.inf if callback is None else wait
        while not self._ends_within(min(pause, ends - time.monotonic())):
            if callback is not None:
                callback(self._job_id, JobStatus[self._job.status.name], self)
            if time.monotonic() >= ends:
                message = f"the job is still {self._job.status} after {timeout:g} s of waiting"
                raise QawaitJobTimeoutError(message, job_id=self._job_id)

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._job.wait(max(seconds, 0.0))
        except DeadlineExceededError:
            return False
        return True


class QawaitSampler(BaseSamplerV2):
    """Qiskit's `BaseSamplerV2` on one backend of a client, of a scope, or on a session's.

    A client that was opened on an event loop is used from other threads than the loop's.

    `default_shots` is for pubs that name none; the rest is as for
    `Client.sampler` and, by keyword, `JobKeywords`.
    """

    def __init__(
        self,
        client: Client | AsyncClient | Scope | Session,
        backend: Backend | str | None = None,
        *,
        default_shots: int | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
        **job: Unpack[JobKeywords],
    ) -> None:
        self.default_shots = default_shots
        self._job = job
        self._sampler = _face(client).sampler(
            backend, options=options, program=program, optimization_level=optimization_level
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._sampler!r}>"

    def run(
        self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None
    ) -> QawaitPrimitiveJob[SamplerResult]:
        """Submit the pubs as one job and return it once the service has given an id.

        Raises:
            ConfigError: something given is wrong; nothing has been sent.
            RejectedError: the service refuses the job.
        """
        shots = self.default_shots if shots is None else shots
        coerced = [SamplerPub.coerce(pub, shots) for pub in _listed(pubs)]
        return QawaitPrimitiveJob(self._sampler.submit(coerced, shots=shots, **self._job))


class QawaitEstimator(BaseEstimatorV2):
    """Qiskit's `BaseEstimatorV2` on one backend of a client, of a scope, or on a session's.

    A client that was opened on an event loop is used from other threads than the loop's.

    `default_precision`, the standard error aimed at, is for pubs that name none;
    the rest is as for `Client.estimator` and, by keyword, `JobKeywords`.
    """

    def __init__(
        self,
        client: Client | AsyncClient | Scope | Session,
        backend: Backend | str | None = None,
        *,
        default_precision: float | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
        **job: Unpack[JobKeywords],
    ) -> None:
        self.default_precision = default_precision
        self._job = job
        self._estimator = _face(client).estimator(
            backend, options=options, program=program, optimization_level=optimization_level
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._estimator!r}>"

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> QawaitPrimitiveJob[EstimatorResult]:
        """Submit the pubs as one job and return it once the service has given an id.

        Raises:
            ConfigError: something given is wrong; nothing has been sent.
            RejectedError: the service refuses the job.
        """
        precision = self.default_precision if precision is None else precision
        coerced = [EstimatorPub.coerce(pub, precision) for pub in _listed(pubs)]
        return QawaitPrimitiveJob(self._estimator.submit(coerced, precision=precision, **self._job))


def _face(client: Client | AsyncClient | Scope | Session) -> Client | Scope | Session:
    """Return what blocks; of a client whose loop runs in another thread, its blocking face."""
    return Client.of(client) if isinstance(client, AsyncClient) else client


def _listed(pubs: Iterable[Any]) -> list[Any]:
    """Return the pubs as a list; a circuit alone, which is an iterable too, is one of them."""
    return [pubs] if isinstance(pubs, QuantumCircuit) else list(pubs)
