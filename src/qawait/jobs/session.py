"""The client's side of one session or batch: opened once, and ended once, by tasks of the client.

As for a job, callers only wait: one that is cancelled cuts no request in two. A
session has no tag, so one whose opening was not answered cannot be found again.
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from qawait import limits
from qawait.errors import ConfigError, JobCancelledError, QawaitError, UnknownOutcomeError
from qawait.jobs.retry import backoff
from qawait.jobs.submitting import Submission
from qawait.jobs.waiting import Signal, outlast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from qawait.jobs.calls import Calls
    from qawait.jobs.host import TaskHost
    from qawait.jobs.service import SessionService
    from qawait.types import SessionDetails, SessionRequest

_log = logging.getLogger("qawait.session")


class End(enum.IntEnum):
    """How a session is ended, from not at all on."""

    NONE = 0
    CLOSE = 1
    """No more jobs; those that are there run to their end."""
    CANCEL = 2
    """No more jobs; the queued ones are dropped, running ones finish."""


class SessionKeeper(Protocol):
    """Whoever is told of each open session, so that it can be ended when this process cannot."""

    async def ready(self) -> None:
        """Return once a session may be opened.

        Raises:
            QawaitError: nobody could end it if this process died.
        """
        ...

    async def keep_session(self, session: SessionDriver) -> None:
        """Return once a session that is open now would be ended if this process died."""
        ...

    def note_session(self, session: SessionDriver) -> None:
        """Take down where a session is now; called at every change."""
        ...


class NoSessionKeeper:
    """Keeps nothing: the sessions of a killed process stay open until the service ends them."""

    async def ready(self) -> None:
        """Return at once."""

    async def keep_session(self, session: SessionDriver) -> None:
        """Return at once."""

    def note_session(self, session: SessionDriver) -> None:
        """Do nothing."""


class SessionDriver:
    """One session's state, and whoever waits for it.

    `keeps_jobs` says that jobs in it are to go on whatever becomes of its client:
    then it is only ever closed, and not cancelled.
    """

    def __init__(self, service: SessionService, host: TaskHost, calls: Calls) -> None:
        self._service = service
        self._host = host
        self._calls = calls
        self._keeper: SessionKeeper = NoSessionKeeper()
        self._submission: Submission[SessionDetails] | None = None
        self._is_working = False
        self._wanted = End.NONE
        self.done = End.NONE
        self.opened: SessionDetails | None = None
        self.error: QawaitError | None = None
        self.keeps_jobs = False
        self.is_asked = False  # a request to end it is under way, or its answer was lost
        self.changed = Signal()

    def __repr__(self) -> str:
        name = self.opened.id if self.opened else "?"
        return f"<SessionDriver {name} wanted={self._wanted.name} done={self.done.name}>"

    @property
    def is_wanted(self) -> bool:
        """Whether nobody has asked to end it."""
        return self._wanted is End.NONE

    @property
    def is_settled(self) -> bool:
        """Whether nothing is being done about it."""
        return not self._is_working or not self._host.is_running

    @property
    def is_over(self) -> bool:
        """Whether there is no open session that could be ended."""
        return not self._is_working and (self.opened is None or self.done is not End.NONE)

    def check(self) -> None:
        """Make sure that something can be done about it.

        Raises:
            ConfigError: the client is closed, or another loop is running.
        """
        self._host.check()

    async def details(self) -> SessionDetails:
        """Ask the service about the session.

        Raises:
            QawaitError: it is not open, or the service could not be asked.
        """
        self.check()
        if self.opened is None:
            raise ConfigError("this session is not open: `async with` or `await` opens it")
        session_id = self.opened.id
        return await self._calls.retrying(lambda: self._service.session(session_id))

    # --- opening ---------------------------------------------------------------------------------

    async def open(self, request: SessionRequest, keeper: SessionKeeper) -> None:
        """Open the session.

        A caller that is cancelled meanwhile gets it ended before the cancellation
        goes on, within a bound.

        Raises:
            UnknownOutcomeError: the answer was lost; the session may be open.
            QawaitError: it is certainly not open.
        """
        self.check()
        self._keeper = keeper

        async def send(on_sending: Callable[[], None]) -> SessionDetails:
            return await self._service.open_session(request, on_sending=on_sending)

        submission = self._submission = Submission(send, self._calls)
        self._start(lambda: self._open(submission))
        try:
            await self.changed.until(lambda: self.is_settled)
        except GeneratorExit:  # nobody runs this any more, so nothing can be awaited
            self.abandon()
            raise
        except BaseException as stopped:
            self.abandon()
            await self.settle(seconds=limits.CANCEL_BOUND_SECONDS)
            self.take_note(stopped)
            raise
        if self.error is not None:
            raise self.error
        if self.opened is None or not self.is_wanted:
            raise ConfigError("the client was closed while the session was being opened")

    def attach(self, details: SessionDetails) -> None:
        """Go on with a session that is open already."""
        self.opened = details

    async def take(self, keeper: SessionKeeper) -> None:
        """Make an attached session one that is ended with its client.

        Raises:
            QawaitError: nobody could end it if this process died.
        """
        await keeper.ready()
        self._keeper = keeper
        await keeper.keep_session(self)

    async def _open(self, submission: Submission[SessionDetails]) -> None:
        try:
            self.opened = await submission.post(self._keeper.ready)
        except UnknownOutcomeError as error:
            self.error = UnknownOutcomeError(f"{error.message}; {_UNANSWERED}")
        except JobCancelledError:
            self.error = ConfigError("the session was given up before it was opened")
        except QawaitError as error:
            self.error = error
        else:
            await self._keeper.keep_session(self)
            await self._until_ended()

    # --- ending ----------------------------------------------------------------------------------

    def keep_jobs(self) -> None:
        """Let jobs in it go on from now on, whatever becomes of the client."""
        if not self.keeps_jobs:
            self.keeps_jobs = True
            self._keeper.note_session(self)

    def end(self, how: End) -> None:
        """Ask for the session's end; asking again, or for less, changes nothing.

        Jobs that are to go on are not dropped with it, unless its user says so.
        """
        self._wanted = max(self._wanted, how)
        if self._is_working:
            if self.opened is None and self._submission is not None:
                self._submission.withdraw()
        elif self.opened is not None and self.done < self._wanted and self._host.is_running:
            self.error = None
            self._start(self._until_ended)

    def abandon(self) -> None:
        """Ask for the end of a session that its user has left: its jobs may be meant to go on."""
        self.end(End.CLOSE if self.keeps_jobs else End.CANCEL)

    async def settle(self, *, seconds: float) -> BaseException | None:
        """Wait, through any cancellation, until nothing more is done; return the first absorbed."""

        def reached() -> bool:
            return self.is_settled

        return await outlast(lambda: self.changed.until(reached), reached, seconds=seconds)

    async def ended(self) -> None:
        """Wait until it is ended as was asked.

        Raises:
            QawaitError: it could not be ended.
        """
        await self.changed.until(lambda: self.is_settled)
        if self.done < self._wanted:
            raise self.error or ConfigError("the client was closed before the session was")

    def take_note(self, stopped: BaseException) -> None:
        """Say on an exception what became of the session, if there is one or may be."""
        if self.opened is None:
            if isinstance(self.error, UnknownOutcomeError):
                stopped.add_note(f"qawait: {self.error.message}")
            return
        what = {
            End.NONE: "may still be open",
            End.CLOSE: "was closed: its jobs go on",
            End.CANCEL: "was closed: its queued jobs were dropped",
        }
        stopped.add_note(f"qawait: the session {self.opened.id} {what[self.done]}")

    async def _until_ended(self) -> None:
        while self.done < self._wanted and self.opened is not None:
            self.is_asked = True
            self._keeper.note_session(self)
            try:
                await self._end_as(self._wanted, self.opened.id)
            except QawaitError as error:
                self.error = error
                _log.warning("session %s is not closed: %s", self.opened.id, error.message)
                return
            self._keeper.note_session(self)

    async def _end_as(self, how: End, session_id: str) -> None:
        """Send one request to end it; another only if that one certainly had no effect."""
        ask = self._service.cancel_session if how is End.CANCEL else self._service.close_session
        for attempt in range(1, limits.SESSION_ENDS + 1):
            try:
                await ask(session_id)
            except UnknownOutcomeError:
                if await self._has_ended(how, session_id):
                    break
                await anyio.sleep(backoff(attempt, self._calls.random()))
            except QawaitError as error:
                pause = self._calls.pause(error, attempt)
                if pause is None:
                    raise
                await anyio.sleep(pause)
            else:
                break
        else:
            raise UnknownOutcomeError(f"nobody can tell whether session {session_id} was closed")
        self.done = max(self.done, how)

    async def _has_ended(self, how: End, session_id: str) -> bool:
        """Whether a request whose answer was lost did what it was to do."""
        seen = await self._calls.retrying(lambda: self._service.session(session_id))
        is_first = self.done is End.NONE
        return seen.state == "closed" or (
            seen.accepting_jobs is False and (is_first or how is End.CLOSE)
        )

    # --- tasks of the client's host --------------------------------------------------------------

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._is_working = True
        try:
            self._host.start_soon(lambda: self._guarded(work))
        except BaseException:
            self._is_working = False
            raise

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as bug:  # noqa: BLE001 - ours, whatever it is: waiters must learn of it
            _log.exception("a task for a session failed")
            self.error = QawaitError("qawait failed while it drove the session")
            self.error.__cause__ = bug
        except BaseException:
            if self.opened is None:
                self.error = UnknownOutcomeError(f"the opening was cut short; {_UNANSWERED}")
            raise
        finally:
            self._is_working = False
            self.changed.set()


_UNANSWERED: Final = (
    "a session may be open that cannot be found again, because the service lists none. It has no "
    "jobs, so nothing is charged for it, and the service closes it by itself"
)
