"""Submit and run, wherever jobs can be sent from: a client, a scope, a primitive."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm import primitives
from qawait.jobs.budget import Budget
from qawait.jobs.job import Job, check_tags
from qawait.preparing import LayerFinder, Way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias, Unpack

    from qiskit.primitives import PrimitiveResult, PubResult, SamplerPubResult

    from qawait.ibm.backend import Backend
    from qawait.ibm.primitives import Choice, Environment, Program, RawProgram
    from qawait.jobs.driver import Driver
    from qawait.types import OnCancel, Update

    SamplerResult: TypeAlias = PrimitiveResult[SamplerPubResult]
    EstimatorResult: TypeAlias = PrimitiveResult[PubResult]
    Prepare: TypeAlias = Callable[[Callable[[], Awaitable[Backend]], Callable[[], None]], Any]


class JobKeywords(TypedDict, total=False):
    """What every submit and run takes beside its circuits, by keyword.

    `tags` are the user's own; `max_execution_time` is in seconds of quantum
    processor time, an hour unless given; a `private` job's result can be read
    once and its input never; a `dry_run` goes to the backend's mock, which checks
    everything, answers with made-up data and charges nothing.
    `on_cancel` says what becomes of the remote job when nobody waits for it any
    more; `on_update` is called with every update, from the first stage on.
    """

    tags: Sequence[str]
    max_execution_time: int | None
    private: bool
    dry_run: bool
    on_cancel: OnCancel | None
    on_update: Callable[[Update], object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The checked values of `JobKeywords`, and the budgets of where the job is submitted."""

    tags: Sequence[str] = ()
    max_execution_time: int | None = None
    private: bool = False
    dry_run: bool = False
    on_cancel: OnCancel | None = None
    on_update: Callable[[Update], object] | None = None
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        check_tags(self.tags)
        _check_seconds(self.max_execution_time)
        if self.on_cancel is not None:
            check_policy(self.on_cancel)
        _check_callback(self.on_update)
        for name in ("private", "dry_run"):
            _check_flag(name, getattr(self, name))

    def within(self, environment: Environment) -> JobOptions:
        """Return these options, with what the environment says where they say nothing."""
        seconds = self.max_execution_time
        return replace(
            self,
            tags=tuple(dict.fromkeys((*self.tags, *environment.tags))),
            max_execution_time=environment.max_execution_time if seconds is None else seconds,
            private=self.private or environment.private,
        )


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r:.100}")


def _check_callback(callback: object) -> None:
    if callback is None:
        return
    if not callable(callback):
        raise ConfigError(f"on_update must be a function of one update, not {callback!r:.100}")
    if inspect.iscoroutinefunction(callback):
        raise ConfigError("on_update must be a plain function: a coroutine would never be run")


def _check_seconds(seconds: int | None) -> None:
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ConfigError(f"max_execution_time must be whole seconds, not {seconds!r}")
    if not 0 < seconds <= limits.MAX_EXECUTION_SECONDS:
        most = limits.MAX_EXECUTION_SECONDS
        raise ConfigError(f"max_execution_time must be 1 to {most} seconds, not {seconds}")


def budgets_of(budget: Budget | None) -> tuple[Budget, ...]:
    """Return the budget, if there is one.

    Raises:
        ConfigError: it is something else.
    """
    if budget is None:
        return ()
    if not isinstance(budget, Budget):
        raise ConfigError(f"budget must be a qawait.Budget, not {budget!r:.100}")
    return (budget,)


def check_policy(policy: object) -> None:
    """Refuse an `on_cancel` that is none.

    Raises:
        ConfigError: it is neither `"cancel"` nor `"detach"`.
    """
    if policy not in ("cancel", "detach"):
        raise ConfigError(f'on_cancel must be "cancel" or "detach", not {policy!r}')


class Runner(ABC):
    """Something that jobs can be sent from.

    `backend` must be given, except in a session or batch, which is on one.
    """

    @abstractmethod
    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
    ) -> Driver:
        """Prepare and submit one job; return its driver once there is an id."""

    def sampler(
        self,
        backend: Backend | str | None = None,
        *,
        shots: int | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
    ) -> Sampler:
        """Return a sampler on `backend`: circuits in, measured bits out.

        `shots` is for pubs that name none. A circuit that does not fit the
        backend is transpiled with `optimization_level`, 0 to 3; `None` sends it
        as it is. `options` are the sampler's own, as IBM documents them: in a
        mapping, or its options object. `program` is `"executor"` (circuits,
        twirling and mitigation are prepared here, with IBM's code) or `"legacy"` (the
        service prepares them); unless given, it is the one whose options object
        is given, else `"legacy"`.
        """
        return Sampler(self, backend, shots, Way(options, program, optimization_level))

    def estimator(
        self,
        backend: Backend | str | None = None,
        *,
        precision: float | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
    ) -> Estimator:
        """Return an estimator on `backend`: circuits and observables in, expectation values out.

        `precision` is the standard error aimed at, for pubs that name none. The
        rest is as for `sampler`.
        """
        return Estimator(self, backend, precision, Way(options, program, optimization_level))

    def noise_learner(
        self,
        backend: Backend | str | None = None,
        *,
        options: Any = None,
        optimization_level: int | None = 1,
    ) -> NoiseLearner:
        """Return a noise learner on `backend`: circuits or layers in, the noise of layers out.

        `options` are IBM's: those of `NoiseLearner` for circuits, those of
        `NoiseLearnerV3` for layers, in a mapping or as its options object.
        """
        return NoiseLearner(self, backend, Way(options, None, optimization_level))

    async def submit(
        self,
        pubs: Any,
        *,
        backend: Backend | str | None = None,
        shots: int | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
        **job: Unpack[JobKeywords],
    ) -> Job[SamplerResult]:
        """Submit circuits to be sampled and return the job once the service has given an id.

        `pubs` is a circuit (a `QuantumCircuit` or OpenQASM 3 text), a pub or a
        list of pubs. The rest is as for `sampler` and `JobKeywords`.

        Raises:
            ConfigError: something given is wrong; nothing has been sent.
            RejectedError: the service refuses the job.
            UnknownOutcomeError: nobody can tell whether the job exists; `tag` finds it.
        """
        sampler = Sampler(self, backend, shots, Way(options, program, optimization_level))
        return await sampler.submit(pubs, **job)

    async def run(
        self,
        pubs: Any,
        *,
        backend: Backend | str | None = None,
        shots: int | None = None,
        options: Any = None,
        program: Choice | None = None,
        optimization_level: int | None = 1,
        **job: Unpack[JobKeywords],
    ) -> SamplerResult:
        """Sample circuits and return the result: submit, wait and fetch in one.

        Cancelling the task that awaits this cancels the remote job, once.

        Raises:
            JobFailedError: the job failed; the others as for `submit` and `Job.result`.
        """
        sampler = Sampler(self, backend, shots, Way(options, program, optimization_level))
        return await sampler.run(pubs, **job)

    async def submit_program(
        self,
        program_id: str,
        params: Any,
        *,
        backend: Backend | str | None = None,
        options: Any = None,
        **job: Unpack[JobKeywords],
    ) -> Job[Any]:
        """Submit any program of the service with its input as it stands.

        `params` is a mapping, JSON as bytes, or for `"executor"` a `QuantumProgram`
        with its `options`. A mapping that names a `schema_version` is checked
        against it; nothing is transpiled.

        Raises:
            ConfigError: the input is not what its schema wants; nothing has been sent.
            RejectedError: the service refuses the job.
        """

        async def prepare(_: Any, __: Any) -> RawProgram:
            return await primitives.prepare_program(program_id, params, options=options)

        driver = await self.launch(prepare, backend, JobOptions(**job), delivers=False)
        return Job(driver)


class _Primitive:
    """What sampler and estimator share: one way to the service, two verbs."""

    def __init__(self, runner: Runner, backend: Backend | str | None, way: Way) -> None:
        self._runner = runner
        self._backend = backend
        self._way = way

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._backend}>"

    @property
    def backend(self) -> str | None:
        """The name of its backend; `None` for that of the session that it belongs to."""
        return None if self._backend is None else str(self._backend)

    async def _send(self, prepare: Prepare, job: JobKeywords, *, delivers: bool) -> Job[Any]:
        options = JobOptions(**job)
        driver = await self._runner.launch(prepare, self._backend, options, delivers=delivers)
        return Job(driver)

    def _preparing(self, make: Callable[..., Awaitable[Program]], pubs: Any, **aim: Any) -> Prepare:
        async def prepare(
            target: Callable[[], Awaitable[Backend]], on_transpile: Callable[[], None]
        ) -> Program:
            return await make(
                pubs,
                target=target,
                optimization_level=self._way.optimization_level,
                options=self._way.options,
                on_transpile=on_transpile,
                **aim,
            )

        return prepare


class Sampler(_Primitive, LayerFinder):
    """Samples circuits on one backend."""

    _kind = "sampler"

    def __init__(
        self, runner: Runner, backend: Backend | str | None, shots: int | None, way: Way
    ) -> None:
        super().__init__(runner, backend, way)
        self._shots = shots

    async def submit(
        self, pubs: Any, *, shots: int | None = None, **job: Unpack[JobKeywords]
    ) -> Job[SamplerResult]:
        """Submit and return the job once the service has given an id; see `Runner.submit`."""
        return await self._send(self._prepare(pubs, shots), job, delivers=False)

    async def run(
        self, pubs: Any, *, shots: int | None = None, **job: Unpack[JobKeywords]
    ) -> SamplerResult:
        """Submit, wait and return the result; see `Runner.run`."""
        sent: Job[SamplerResult]
        sent = await self._send(self._prepare(pubs, shots), job, delivers=True)
        return await sent.result()

    def _prepare(self, pubs: Any, shots: int | None) -> Prepare:
        shots = self._shots if shots is None else shots
        return self._preparing(
            primitives.prepare_sampler, pubs, shots=shots, program=self._way.program
        )


class Estimator(_Primitive, LayerFinder):
    """Estimates expectation values on one backend."""

    _kind = "estimator"

    def __init__(
        self,
        runner: Runner,
        backend: Backend | str | None,
        precision: float | None,
        way: Way,
    ) -> None:
        super().__init__(runner, backend, way)
        self._precision = precision

    async def submit(
        self, pubs: Any, *, precision: float | None = None, **job: Unpack[JobKeywords]
    ) -> Job[EstimatorResult]:
        """Submit and return the job once the service has given an id; see `Runner.submit`."""
        return await self._send(self._prepare(pubs, precision), job, delivers=False)

    async def run(
        self, pubs: Any, *, precision: float | None = None, **job: Unpack[JobKeywords]
    ) -> EstimatorResult:
        """Submit, wait and return the result; see `Runner.run`."""
        sent: Job[EstimatorResult]
        sent = await self._send(self._prepare(pubs, precision), job, delivers=True)
        return await sent.result()

    def _prepare(self, pubs: Any, precision: float | None) -> Prepare:
        precision = self._precision if precision is None else precision
        return self._preparing(
            primitives.prepare_estimator, pubs, precision=precision, program=self._way.program
        )


class NoiseLearner(_Primitive):
    """Learns the noise of layers on one backend."""

    async def submit(self, given: Any, **job: Unpack[JobKeywords]) -> Job[Any]:
        """Submit and return the job once the service has given an id.

        `given` is a circuit, a list of circuits or of pubs of an estimator, or a
        list of layers: boxed instructions, as IBM's `find_unique_layers` gives
        them. The result is IBM's own: `NoiseLearnerResult` of circuits,
        `NoiseLearnerV3Results` of layers.

        Raises:
            ConfigError: something given is wrong; nothing has been sent.
            QawaitError: as for `Runner.submit`.
        """
        return await self._send(self._prepare(given), job, delivers=False)

    async def run(self, given: Any, **job: Unpack[JobKeywords]) -> Any:
        """Submit, wait and return the result; see `submit` and `Runner.run`."""
        sent = await self._send(self._prepare(given), job, delivers=True)
        return await sent.result()

    def _prepare(self, given: Any) -> Prepare:
        return self._preparing(primitives.prepare_noise_learner, given)
