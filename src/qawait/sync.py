"""The same verbs, blocking: for programs and threads without an event loop.

Each client runs on an event loop of its own, on a thread of its own; everything
here is the asynchronous client's, called there. It can be used from any thread
but one that runs an event loop, which it would hold up. A Ctrl-C during a call
cancels what the call waits for, the remote job included, once.

    with qawait.sync.local() as client:
        result = client.run(circuit, backend="ibm_fez", shots=1024)
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

from qawait import opening
from qawait import scope as scopes
from qawait import session as sessions
from qawait.client import Client as AsyncClient
from qawait.errors import ConfigError
from qawait.jobs.job import Job as AsyncJob
from qawait.portal import OwnLoop, check_not_on_loop
from qawait.runner import Estimator as AsyncEstimator
from qawait.runner import NoiseLearner as AsyncNoiseLearner
from qawait.runner import Runner as AsyncRunner
from qawait.runner import Sampler as AsyncSampler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType

    from qawait.opening import Opening
    from qawait.panels.panel import Panel as AsyncPanel
    from qawait.portal import Portal
    from qawait.types import JobStatus, OnCancel, Update

P = ParamSpec("P")
T = TypeVar("T")
ResultT = TypeVar("ResultT")
FaceT = TypeVar("FaceT", bound="_Face")

_END: Final = object()


class _Face:
    """Something on the portal's loop, seen from any other thread."""

    def __init__(self, portal: Portal, inner: Any) -> None:
        self._portal = portal
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def _run(self, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Return what a coroutine method of the inner one returns."""
        return self._portal.run(method, self._inner, *args, **kwargs)

    def _do(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return what a plain method of the inner one returns, called on the loop."""
        return self._portal.do(method, self._inner, *args, **kwargs)

    def _beside(self, face: type[FaceT], inner: Any) -> FaceT:
        """Return another face on the same loop."""
        return face(self._portal, inner)

    def _iterate(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        async def advance() -> Any:
            return await anext(iterator, _END)

        while (value := self._portal.run(advance)) is not _END:
            yield value


class _Method(Generic[P, T]):
    """A method of the asynchronous client, as one that blocks; `call` says what it returns."""

    def __init__(self, method: Callable[Concatenate[Any, P], Any], call: Callable[..., T]) -> None:
        self._method = method
        self._call = call
        self.__doc__ = method.__doc__

    def __get__(self, face: _Face, _: type[_Face] | None = None) -> Callable[P, T]:
        if face is None:
            return self  # type: ignore[unreachable]  # looked up on the class, as help() does
        call = self._call

        @wraps(self._method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            return call(face, *args, **kwargs)

        return bound


def _blocking(method: Callable[Concatenate[Any, P], Awaitable[T]]) -> _Method[P, T]:
    """Return a coroutine method, as one that blocks until it has returned."""

    def call(face: _Face, *args: Any, **kwargs: Any) -> T:
        return face._run(method, *args, **kwargs)  # noqa: SLF001 - its face

    return _Method(method, call)


def _submitting(
    method: Callable[Concatenate[Any, P], Awaitable[AsyncJob[ResultT]]],
) -> _Method[P, Job[ResultT]]:
    """Return a coroutine method that returns a job, as one that blocks until there is one."""

    def call(face: _Face, *args: Any, **kwargs: Any) -> Job[ResultT]:
        return face._beside(Job, face._run(method, *args, **kwargs))  # noqa: SLF001 - its face

    return _Method(method, call)


def _making(method: Callable[Concatenate[Any, P], Any], face: type[FaceT]) -> _Method[P, FaceT]:
    """Return a plain method, called on the loop, whose value is given as a face."""
    made = face

    def call(face: _Face, *args: Any, **kwargs: Any) -> FaceT:
        return face._beside(made, face._do(method, *args, **kwargs))  # noqa: SLF001 - its face

    return _Method(method, call)


class _Value(Generic[T]):
    """A property of the asynchronous one, which costs no request."""

    def __init__(self, value: Callable[[Any], T]) -> None:
        self.__doc__ = value.__doc__

    def __set_name__(self, _: type[_Face], name: str) -> None:
        self._name = name

    def __get__(self, face: _Face, _: type[_Face] | None = None) -> T:
        if face is None:
            return self  # type: ignore[unreachable]  # looked up on the class, as help() does
        value: T = getattr(face._inner, self._name)  # noqa: SLF001 - its face
        return value


class Job(_Face, Generic[ResultT]):
    """One remote job; the blocking face of `qawait.Job`."""

    _inner: AsyncJob[ResultT]

    id = _Value(AsyncJob.id)
    tag = _Value(AsyncJob.tag)
    status = _Value(AsyncJob.status)
    last_seen = _Value(AsyncJob.last_seen)
    last_update = _Value(AsyncJob.last_update)
    on_cancel = _Value(AsyncJob.on_cancel)
    backend = _Value(AsyncJob.backend)
    program = _Value(AsyncJob.program)
    session_id = _Value(AsyncJob.session_id)
    created = _Value(AsyncJob.created)
    tags = _Value(AsyncJob.tags)
    private = _Value(AsyncJob.private)
    image = _Value(AsyncJob.image)
    estimated_seconds = _Value(AsyncJob.estimated_seconds)
    error_message = _Value(AsyncJob.error_message)

    poll = _blocking(AsyncJob.poll)
    wait = _blocking(AsyncJob.wait)
    cancel = _blocking(AsyncJob.cancel)
    usage = _blocking(AsyncJob.usage)
    metrics = _blocking(AsyncJob.metrics)
    logs = _blocking(AsyncJob.logs)
    inputs = _blocking(AsyncJob.inputs)
    set_tags = update_tags = _blocking(AsyncJob.set_tags)
    delete = _blocking(AsyncJob.delete)

    def result(self, timeout: float | None = None) -> ResultT:
        """Wait for the end of the job and return its result; the same at every call.

        A `timeout`, in seconds, leaves the job alone when it passes.

        Raises:
            DeadlineExceededError: the timeout passed; it is a `TimeoutError`.
            QawaitError: as for `qawait.Job.result`.
        """

        async def wait() -> ResultT:
            if timeout is not None:
                await self._inner.wait(timeout)
            return await self._inner.result()

        return self._portal.run(wait)

    def fetch(self) -> ResultT:
        """Return the result of a job that has ended; see `qawait.Job.fetch`."""
        return self._portal.run(self._inner.fetch)

    def updates(self) -> Iterator[Update]:
        """Return an iterator over the job's updates; see `qawait.Job.updates`."""
        return self._iterate(self._portal.do(self._inner.updates))


class Sampler(_Face):
    """Samples circuits on one backend; the blocking face of `qawait.Sampler`."""

    backend = _Value(AsyncSampler.backend)

    submit = _submitting(AsyncSampler.submit)
    run = _blocking(AsyncSampler.run)
    find_unique_layers = _blocking(AsyncSampler.find_unique_layers)
    finalize_options = _blocking(AsyncSampler.finalize_options)


class Estimator(_Face):
    """Estimates expectation values on one backend; the blocking face of `qawait.Estimator`."""

    backend = _Value(AsyncEstimator.backend)

    submit = _submitting(AsyncEstimator.submit)
    run = _blocking(AsyncEstimator.run)
    find_unique_layers = _blocking(AsyncEstimator.find_unique_layers)
    finalize_options = _blocking(AsyncEstimator.finalize_options)


class NoiseLearner(_Face):
    """Learns the noise of layers on one backend; the blocking face of `qawait.NoiseLearner`."""

    backend = _Value(AsyncNoiseLearner.backend)

    submit = _submitting(AsyncNoiseLearner.submit)
    run = _blocking(AsyncNoiseLearner.run)


class Panel(_Face):
    """Shows jobs while its `with` block runs; the blocking face of `qawait.Panel`."""

    _inner: AsyncPanel

    def __enter__(self) -> Self:
        self._portal.run(self._inner.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._portal.run(self._inner.aclose)


class _Runner(_Face):
    """What client and scopes share."""

    _inner: AsyncRunner

    submit = _submitting(AsyncRunner.submit)
    run = _blocking(AsyncRunner.run)
    submit_program = _submitting(AsyncRunner.submit_program)
    sampler = _making(AsyncRunner.sampler, Sampler)
    estimator = _making(AsyncRunner.estimator, Estimator)
    noise_learner = _making(AsyncRunner.noise_learner, NoiseLearner)


class Scope(_Runner):
    """Owns the jobs submitted through it; the blocking face of `qawait.Scope`."""

    _inner: scopes.Scope

    def __enter__(self) -> Self:
        self._portal.run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.run(self._inner.__aexit__, kind, error, traceback)


class Session(_Runner):
    """A session or batch, opened by `with`; the blocking face of `qawait.Session`."""

    _inner: sessions.Session

    id = _Value(sessions.Session.id)
    mode = _Value(sessions.Session.mode)
    backend = _Value(sessions.Session.backend)

    details = _blocking(sessions.Session.details)
    usage = _blocking(sessions.Session.usage)
    status = _blocking(sessions.Session.status)
    close = _blocking(sessions.Session.close)
    cancel = _blocking(sessions.Session.cancel)

    def __enter__(self) -> Self:
        self._portal.run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.run(self._inner.__aexit__, kind, error, traceback)


class Client(_Runner):
    """A connection to one instance of the service; the blocking face of `qawait.Client`."""

    _inner: AsyncClient

    active_instance = _Value(AsyncClient.active_instance)

    attach = job = _submitting(AsyncClient.attach)
    backend = _blocking(AsyncClient.backend)
    backends = _blocking(AsyncClient.backends)
    least_busy = _blocking(AsyncClient.least_busy)
    instances = _blocking(AsyncClient.instances)
    usage = _blocking(AsyncClient.usage)
    recover = _blocking(AsyncClient.recover)
    scope = _making(AsyncClient.scope, Scope)
    session = _making(AsyncClient.session, Session)
    batch = _making(AsyncClient.batch, Session)
    panel = _making(AsyncClient.panel, Panel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    @classmethod
    def of(cls, client: AsyncClient) -> Self:
        """Return the blocking face of a client whose loop runs in another thread.

        It may be made in any thread and used in any that runs no loop. The client
        stays its opener's: the face ends with it, and cannot close it.
        """
        return cls(client._host.portal(), client)  # noqa: SLF001 - a face of ours

    def close(self) -> None:
        """Apply the policy of each live job and close every connection; again does nothing."""
        self._leave(None)

    def _leave(self, error: BaseException | None) -> None:
        if self._portal.is_closed:
            return
        if not isinstance(self._portal, OwnLoop):
            raise ConfigError("this client was opened on another thread's loop: close it there")
        # On a loop the first Ctrl-C is a cancellation, and only a second one an interrupt.
        stopped = _Stopped() if isinstance(error, KeyboardInterrupt) else error
        try:
            self._portal.run(self._inner.leave, stopped)
        finally:
            if error is not None and stopped is not error:
                for note in getattr(stopped, "__notes__", []):
                    error.add_note(note)
            self._portal.close()

    def attach_session(self, session_id: str, *, on_cancel: OnCancel | None = None) -> Session:
        """Return a session that is open already; see `qawait.Client.attach_session`."""
        attach = self._inner.attach_session
        return Session(self._portal, self._portal.run(attach, session_id, on_cancel=on_cancel))

    def jobs(self, **conditions: Any) -> Iterator[Job[Any]]:
        """Return an iterator over the instance's jobs; see `qawait.Client.jobs`."""
        listing = self._portal.do(self._inner.jobs, **conditions)
        return (Job(self._portal, job) for job in self._iterate(listing))

    def as_completed(self, jobs: Iterable[Job[ResultT]]) -> Iterator[Job[ResultT]]:
        """Return an iterator over `jobs`, each as soon as it has ended."""
        given = {job._inner.driver: job for job in jobs}  # noqa: SLF001 - a face of ours
        inner = [job._inner for job in given.values()]  # noqa: SLF001
        completed = self._portal.do(self._inner.as_completed, inner)
        return (given[job.driver] for job in self._iterate(completed))

    def wait_all(self, jobs: Iterable[Job[Any]], timeout: float | None = None) -> list[JobStatus]:
        """Wait for the end of all `jobs`; see `qawait.Client.wait_all`."""
        inner = [job._inner for job in jobs]  # noqa: SLF001 - a face of ours
        return self._portal.run(self._inner.wait_all, inner, timeout)

    def wait_any(self, jobs: Iterable[Job[ResultT]], timeout: float | None = None) -> Job[ResultT]:
        """Wait until one of `jobs` has ended; see `qawait.Client.wait_any`."""
        given = {job._inner.driver: job for job in jobs}  # noqa: SLF001 - a face of ours
        inner = [job._inner for job in given.values()]  # noqa: SLF001
        return given[self._portal.run(self._inner.wait_any, inner, timeout).driver]


def reach(client: Client | AsyncClient) -> tuple[Portal, AsyncClient]:
    """Return a portal onto the loop of a client, and the client there: for adapters.

    Raises:
        ConfigError: it is no client.
    """
    if not isinstance(client, Client | AsyncClient):
        kind = type(client).__name__  # type: ignore[unreachable]  # as users may
        raise ConfigError(f"client must be one that connect() or local() has opened, not {kind}")
    face = client if isinstance(client, Client) else Client.of(client)
    return face._portal, face._inner  # noqa: SLF001 - a face of ours


class _Stopped(BaseException):
    """What the asynchronous client is told that it is left because of."""


def _opening(open_: Callable[P, Opening]) -> Callable[P, Client]:
    @wraps(open_)
    def call(*args: P.args, **kwargs: P.kwargs) -> Client:
        check_not_on_loop()
        chosen = open_(*args, **kwargs)
        portal = OwnLoop()

        async def opened() -> AsyncClient:
            return await chosen

        try:
            return Client(portal, portal.run(opened))
        except BaseException:
            portal.close()
            raise

    return call


connect = _opening(opening.connect)
local = _opening(opening.local)
