"""Sessions and batches: jobs that the service keeps together, and how they end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.jobs import caller
from qawait.jobs.session import End
from qawait.jobs.waiting import is_urgent
from qawait.runner import Runner, budgets_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import TracebackType

    from qawait.ibm.backend import Backend
    from qawait.jobs.budget import Budget
    from qawait.jobs.driver import Driver
    from qawait.jobs.session import SessionDriver
    from qawait.launching import Launcher
    from qawait.runner import JobOptions, Prepare
    from qawait.types import OnCancel, SessionDetails, SessionStatus


class Session(Runner):
    """A session or a batch, opened by `async with` or by `await`; jobs are sent from it.

    Its jobs need no `backend`: all run on the session's own. A clean exit of its
    `async with` closes it: jobs that were submitted run on. An exit by an exception
    or a cancellation ends it at once: its live jobs are cancelled, each once, and
    the service drops what is queued. Jobs with `on_cancel="detach"` go on in either
    case.
    """

    def __init__(
        self,
        client: Launcher,
        driver: SessionDriver,
        open_: Callable[[], Awaitable[Backend | None]],
        *,
        on_cancel: OnCancel,
        budget: Budget | None = None,
    ) -> None:
        self._budgets = budgets_of(budget)
        self._client = client
        self._driver = driver
        self._open = open_
        self._backend: Backend | None = None
        self._on_cancel = on_cancel
        self._jobs: list[Driver] = []
        self._is_used = False
        self._has_been_left = False

    def __repr__(self) -> str:
        opened = self._driver.opened
        if opened is None:
            return "<Session not open>"
        return f"<Session {opened.id} {opened.mode} on {opened.backend}>"

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._opened().__await__()

    async def __aenter__(self) -> Self:
        return await self._opened()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._has_been_left = True
        if error is not None:
            await self._abort(error)
            return
        try:
            await self.close()
        except anyio.get_cancelled_exc_class() as stopped:
            await self._driver.settle(seconds=limits.CANCEL_BOUND_SECONDS)
            self._driver.take_note(stopped)
            raise

    async def _opened(self) -> Self:
        if not self._is_used:
            self._is_used = True
            self._backend = await self._open()
        elif self._has_been_left or self._driver.opened is None or not self._driver.is_wanted:
            raise ConfigError("this session has been opened before: make another for more jobs")
        return self

    @property
    def id(self) -> str:
        """The service's id of the session.

        Raises:
            ConfigError: it has not been opened.
        """
        return self._known.id

    @property
    def mode(self) -> str | None:
        """What it is: `dedicated` for a session, `batch` for a batch."""
        return self._known.mode

    @property
    def backend(self) -> str | None:
        """The name of the backend that it is on."""
        return self._known.backend

    async def details(self) -> SessionDetails:
        """Ask the service about the session, now.

        Raises:
            QawaitError: the service could not be asked.
        """
        return await self._driver.details()

    async def status(self) -> SessionStatus | None:
        """Ask the service what the session does, now; `None` for a state nobody documented.

        Raises:
            QawaitError: the service could not be asked.
        """
        return (await self.details()).status

    async def usage(self) -> float | None:
        """Ask the service how many seconds are charged so far; `None` if it does not say.

        For a session that is the time since its first job began, for a batch the
        time of its jobs on the quantum processor.

        Raises:
            QawaitError: the service could not be asked.
        """
        return (await self.details()).usage_time

    async def close(self) -> None:
        """Let the session take no more jobs; those that are there run to their end.

        Raises:
            QawaitError: it could not be closed; leaving the client tries again.
        """
        await self._end(End.CLOSE)

    async def cancel(self) -> None:
        """Let the session take no more jobs and drop the queued ones; running ones finish.

        Raises:
            QawaitError: it could not be ended; leaving the client tries again.
        """
        await self._end(End.CANCEL)

    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
    ) -> Driver:
        """Submit a job that belongs to the session."""
        self._check_accepts(backend)
        options = replace(
            options,
            on_cancel=options.on_cancel or self._on_cancel,
            budgets=(*options.budgets, *self._budgets),
        )

        def own(driver: Driver) -> None:
            self._check_accepts(backend)
            self._own(driver)

        return await self._client.launch(
            prepare,
            backend or self._backend or self.backend,
            options,
            delivers=delivers,
            own=own,
            session_id=self.id,
        )

    def _own(self, driver: Driver) -> None:
        self._jobs = [known for known in self._jobs if not known.is_ended]
        self._jobs.append(driver)
        if driver.on_cancel == "detach":
            self._driver.keep_jobs()

    @property
    def _known(self) -> SessionDetails:
        if self._driver.opened is None:
            raise ConfigError("this session is not open: `async with` or `await` opens it")
        return self._driver.opened

    def _check_accepts(self, backend: Backend | str | None) -> None:
        if self._has_been_left or not self._driver.is_wanted:
            raise ConfigError(f"the session {self.id} has been closed: open another for more jobs")
        if backend is not None and str(backend) != self.backend:
            raise ConfigError(f"the session {self.id} is on {self.backend}, not on {backend}")

    async def _end(self, how: End) -> None:
        if self._driver.opened is not None and self._driver.done < how:
            self._driver.check()
            self._driver.end(how)
            await self._driver.ended()

    async def _abort(self, stopped: BaseException) -> None:
        """End session and jobs because of an exception, which gets a note about each."""
        self._driver.abandon()
        absorbed = await caller.leave(self._jobs, stopped)
        if not is_urgent(stopped):
            later = await self._driver.settle(seconds=limits.CANCEL_BOUND_SECONDS)
            self._driver.take_note(stopped)
            absorbed = absorbed or later
        caller.raise_absorbed(absorbed, stopped)
