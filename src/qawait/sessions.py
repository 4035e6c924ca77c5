"""The part of a client that opens sessions and batches, and ends those that are left open."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakSet

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.jobs.session import SessionDriver
from qawait.runner import check_policy
from qawait.session import Session
from qawait.types import SessionRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait.ibm.backend import Backend
    from qawait.ibm.backends import Backends
    from qawait.ibm.service import IBMService
    from qawait.jobs.budget import Budget
    from qawait.jobs.calls import Calls
    from qawait.jobs.host import TaskHost
    from qawait.jobs.session import SessionKeeper
    from qawait.launching import Launcher
    from qawait.types import OnCancel

_SPAN: Final = re.compile(
    r"(?:(?P<h>\d+)\s*h)?\s*(?:(?P<m>\d+)\s*m)?\s*(?:(?P<s>\d+)\s*s)?", re.IGNORECASE
)
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}


class SessionMaker(ABC):
    """Opens sessions and batches for one client."""

    _service: IBMService
    _calls: Calls
    _backends: Backends
    _host: TaskHost

    def __init__(self) -> None:
        self._sessions: list[SessionDriver] = []
        self._session_drivers: WeakSet[SessionDriver] = WeakSet()

    @abstractmethod
    def _check_usable(self) -> None:
        """Refuse to work for a client that is closed, or for another loop."""

    @abstractmethod
    def _session_keeper(self) -> SessionKeeper:
        """Return whoever ends sessions when this process cannot."""

    @property
    @abstractmethod
    def _launcher(self) -> tuple[Launcher, OnCancel]:
        """What jobs are submitted through, and their policy where nobody names one."""

    def session(
        self,
        backend: Backend | str,
        *,
        max_time: float | str | None = None,
        on_cancel: OnCancel | None = None,
        budget: Budget | None = None,
    ) -> Session:
        """Return a session on a backend, which `async with` or `await` opens.

        While it is active the backend runs its jobs only; the time is charged from
        its first job on. `max_time` bounds it, in seconds or as in `"1h 30m"`; the
        service has a limit of its own. `on_cancel` is the policy of jobs that name
        none, and all of them together may cost `budget`.

        Raises:
            ConfigError: something given makes no sense.
        """
        return self._new_session(backend, "dedicated", max_time, on_cancel, budget)

    def batch(
        self,
        backend: Backend | str,
        *,
        max_time: float | str | None = None,
        on_cancel: OnCancel | None = None,
        budget: Budget | None = None,
    ) -> Session:
        """Return a batch on a backend, which `async with` or `await` opens.

        Its jobs are scheduled together, and only their own time is charged. The
        rest is as for `session`.

        Raises:
            ConfigError: something given makes no sense.
        """
        return self._new_session(backend, "batch", max_time, on_cancel, budget)

    async def attach_session(
        self, session_id: str, *, on_cancel: OnCancel | None = None
    ) -> Session:
        """Return a session or batch that is open already, whoever opened it.

        It goes on when the client is left; `async with` around it makes it the
        client's own, to be closed at the end.

        Raises:
            RejectedError: the instance has no such session (`status` is 404).
        """
        self._check_usable()
        details = await self._calls.retrying(lambda: self._service.session(session_id))
        driver = self._new_driver()
        driver.attach(details)

        async def take() -> None:
            self._check_usable()
            keeper = self._session_keeper()
            await driver.take(keeper)
            self._own_session(driver)

        return self._made(driver, take, on_cancel)

    def _new_session(
        self,
        backend: Backend | str,
        mode: Literal["dedicated", "batch"],
        max_time: float | str | None,
        on_cancel: OnCancel | None,
        budget: Budget | None,
    ) -> Session:
        self._check_usable()
        seconds = _seconds(max_time)
        driver = self._new_driver()

        async def open_() -> Backend:
            self._check_usable()
            described = await self._backends.ready(backend)
            self._check_usable()
            self._own_session(driver)
            request = SessionRequest(backend=described.name, mode=mode, max_time=seconds)
            await driver.open(request, self._session_keeper())
            return described

        return self._made(driver, open_, on_cancel, budget)

    def _made(
        self,
        driver: SessionDriver,
        open_: Callable[[], Awaitable[Backend | None]],
        on_cancel: OnCancel | None,
        budget: Budget | None = None,
    ) -> Session:
        client, usual = self._launcher
        if on_cancel is not None:
            check_policy(on_cancel)
        policy = on_cancel or usual
        driver.keeps_jobs = policy == "detach"
        return Session(client, driver, open_, on_cancel=policy, budget=budget)

    def _new_driver(self) -> SessionDriver:
        driver = SessionDriver(self._service, self._host, self._calls)
        self._session_drivers.add(driver)
        return driver

    def _wake_sessions(self) -> None:
        """Let whoever waits for a session look again: nothing more will be done about it."""
        for driver in tuple(self._session_drivers):
            driver.changed.set()

    def _own_session(self, driver: SessionDriver) -> None:
        self._sessions = [known for known in self._sessions if not known.is_over]
        self._sessions.append(driver)

    def _end_sessions(self) -> None:
        """Begin to end every session that is open still."""
        for driver in self._sessions:
            if not driver.is_over:
                driver.abandon()

    async def _settle_sessions(self, error: BaseException | None) -> BaseException | None:
        """Wait until they are ended, within a bound; return a cancellation absorbed meanwhile."""
        absorbed: BaseException | None = None
        deadline = anyio.current_time() + limits.CANCEL_BOUND_SECONDS
        for driver in self._sessions:
            if not driver.is_settled:
                cancelled = await driver.settle(seconds=deadline - anyio.current_time())
                absorbed = absorbed or cancelled
                if error is not None:
                    driver.take_note(error)
        return absorbed


def _seconds(max_time: object) -> int | None:
    """Return whole seconds of a number or of a text such as `1h 30m`."""
    if max_time is None:
        return None
    seconds: float = 0
    if isinstance(max_time, str) and (found := _SPAN.fullmatch(max_time.strip())):
        seconds = sum(int(found[unit] or 0) * size for unit, size in _UNITS.items())
    elif isinstance(max_time, int | float) and not isinstance(max_time, bool):
        seconds = max_time
    if not 1 <= seconds < math.inf:
        raise ConfigError(
            f'max_time must be seconds, 1 or more, or such as "1h 30m", not {max_time!r:.100}'
        )
    return math.ceil(seconds)
