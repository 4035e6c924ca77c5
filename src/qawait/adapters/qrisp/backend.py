"""qrisp's backend: circuits of qrisp in, jobs of a qawait client out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from qrisp import QuantumCircuit
from qrisp.interface import Backend as QrispBackend
from qrisp.interface import MeasurementResult

from qawait.adapters.qrisp.batched import QawaitBatchedBackend
from qawait.adapters.qrisp.circuits import job_result, pub, shots_for
from qawait.adapters.qrisp.job import QawaitJob, ended
from qawait.errors import ConfigError, DeadlineExceededError, QawaitError, RejectedError
from qawait.ibm.backend import Backend
from qawait.jobs.job import checked_timeout
from qawait.sync import Job, reach

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from qiskit.primitives import PrimitiveResult, SamplerPubResult

    from qawait.client import Client as AsyncClient
    from qawait.ibm.primitives import Choice
    from qawait.jobs.job import Job as AsyncJob
    from qawait.runner import JobKeywords
    from qawait.sync import Client

_NOT_FOUND = 404


class QawaitBackend(QrispBackend):
    """A backend of a qawait client, for everything in qrisp that takes one.

    `client` is a `qawait.sync` client, or one that was opened on another thread's
    event loop. `backend` is a name or a `qawait.Backend`, `options` are qrisp's
    (`shots`, 1024 unless given), `sampler_options` the sampler's own as IBM
    documents them, and `program` is as for `Client.sampler`. `timeout`, in seconds,
    is for `run`: when it passes, the job is dealt with as its `on_cancel` says.
    `max_circuits` is the most that one job is given. The rest, by keyword, is as
    for `JobKeywords`.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        client: Client | AsyncClient,
        *,
        backend: Backend | str,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        sampler_options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
        timeout: float | None = None,
        max_circuits: int | None = None,
        **job: Unpack[JobKeywords],
    ) -> None:
        super().__init__(name=name or str(backend), options=options)
        self._validate_shots(self._options.get("shots"))
        self._validate_shots(max_circuits)
        self.portal, self.client = reach(client)  # not for users: shared with its batches
        self.limit = checked_timeout(timeout)
        self._backend = backend
        self._max_circuits = max_circuits
        self._sampler = self.client.sampler(
            backend,
            options=sampler_options,
            program=program,
            optimization_level=optimization_level,
        )
        self._keywords = job

    @property
    def max_circuits(self) -> int | None:
        """The most circuits that one job is given; `None` is no limit."""
        return self._max_circuits

    @property
    def num_qubits(self) -> int:
        """How many qubits the backend has."""
        return self._described().num_qubits

    @property
    def connectivity(self) -> tuple[tuple[int, int], ...]:
        """The pairs of qubits that have a gate, in its direction."""
        return self._described().coupling_map

    @property
    def gate_set(self) -> tuple[str, ...]:
        """The names of the backend's own gates."""
        return self._described().basis_gates

    def run_async(
        self,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        shots: int | Sequence[int] | None = None,
    ) -> QawaitJob:
        """Submit circuits as one job and return it once the service has given an id.

        Each circuit gets its own number of shots, if `shots` is a sequence.

        Raises:
            TypeError: a number of shots is none.
            ValueError: there are too many circuits, or not as many shots as circuits.
            RejectedError: the service refuses the job.
        """
        pubs = self.pubs(circuits, shots)
        return QawaitJob(self, Job(self.portal, self.portal.run(self.submit, pubs)))

    def run(
        self,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        shots: int | Sequence[int] | None = None,
    ) -> MeasurementResult | list[MeasurementResult]:
        """Submit circuits, wait and return their counts: one for each circuit of a sequence.

        A Ctrl-C cancels the remote job once, at whatever point of the way it comes.

        Raises:
            JobFailureError: the job failed; the others as for `run_async` and `QawaitJob.result`.
            TimeoutError: the backend's `timeout` passed; it names the job.
        """
        result = self.portal.run(self._run, self.pubs(circuits, shots))
        counts = job_result(result).all_counts
        results = [_populated(one) for one in counts]
        return results[0] if isinstance(circuits, QuantumCircuit) else results

    def batched(self) -> QawaitBatchedBackend:
        """Return a backend that gathers circuits and runs them together on this one."""
        return QawaitBatchedBackend(self)

    def retrieve_job(self, job_id: str) -> QawaitJob:
        """Return a handle on a job that exists already; it is not cancelled with whoever waits.

        Raises:
            LookupError: the instance has no such job.
        """
        try:
            job = self.portal.run(self.client.attach, job_id)
        except RejectedError as refused:
            if refused.status != _NOT_FOUND:
                raise
            raise LookupError(f"the service has no job {job_id!r}") from refused
        return QawaitJob(self, Job(self.portal, job))

    def pubs(
        self,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        shots: int | Sequence[int] | None,
    ) -> list[Any]:
        """Return circuits, within the limit and each with its shots, as Qiskit takes them."""
        listed = [circuits] if isinstance(circuits, QuantumCircuit) else list(circuits)
        self._check_circuit_limit(listed)
        chosen = self._options.get("shots") if shots is None else shots
        if chosen is None:
            raise ConfigError("there are no shots: give them to the call, or as an option")
        each = shots_for(listed, chosen)
        return [pub(circuit, number) for circuit, number in zip(listed, each, strict=True)]

    async def submit(self, pubs: list[Any]) -> AsyncJob[PrimitiveResult[SamplerPubResult]]:
        """Submit pubs as one job, on the client's loop."""
        return await self._sampler.submit(pubs, **self._keywords)

    async def _run(self, pubs: list[Any]) -> Any:
        job = None
        try:
            with anyio.fail_after(self.limit):
                job = await self.submit(pubs)
                return await job.result()
        except QawaitError as error:
            translated = ended(error, job.status) if job else None
            if translated is None:
                raise
            raise translated from error
        except TimeoutError as passed:
            message = f"the job had not ended after {self.limit:g} s"
            raise DeadlineExceededError(message, job_id=job.id if job else None) from passed

    def _described(self) -> Backend:
        if isinstance(self._backend, Backend):
            return self._backend
        return self.portal.run(self.client.backend, self._backend)


def _populated(counts: dict[str, int]) -> MeasurementResult:
    result = MeasurementResult()
    result._inject(counts)  # noqa: SLF001 - qrisp's own backends do so
    return result
