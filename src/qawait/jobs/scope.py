"""A scope owns jobs as a task group owns tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import anyio

from qawait.errors import ConfigError
from qawait.jobs import caller

if TYPE_CHECKING:
    from types import TracebackType

    from qawait.jobs.driver import Driver


class OwnedJobs:
    """The jobs of one scope: a normal exit waits for them, any other cancels each once.

    `max_pending` bounds how many of them are on their way at a time; a submit
    beyond it waits for its turn.
    """

    def __init__(self, *, max_pending: int | None) -> None:
        if max_pending is not None and (type(max_pending) is not int or max_pending < 1):
            raise ConfigError(
                f"max_pending must be a number of jobs, 1 or more, not {max_pending!r}"
            )
        self._places = anyio.Semaphore(max_pending) if max_pending else None
        self._drivers: list[Driver] = []
        self._closed = False

    async def place(self) -> None:
        """Wait until one more job may be on its way.

        Raises:
            ConfigError: the scope has been left.
        """
        if self._places is not None:
            await self._places.acquire()
        if self._closed:
            self.give_back()
            raise ConfigError(_LEFT)

    def give_back(self) -> None:
        """Return a place that was not used."""
        if self._places is not None:
            self._places.release()

    def own(self, driver: Driver) -> None:
        """Take a job into the scope; its place is free again when it has ended.

        Raises:
            ConfigError: the scope was left while the job was being prepared.
        """
        if self._closed:
            raise ConfigError(_LEFT)
        self._drivers = [known for known in self._drivers if not known.is_ended]
        self._drivers.append(driver)
        driver.on_end(lambda _: self.give_back())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        if error is not None:
            await self._cancel_all(error)
            return
        try:
            for driver in self._drivers:
                await caller.wait_ended(driver)
        except BaseException as stopped:
            await self._cancel_all(stopped)
            raise

    async def _cancel_all(self, stopped: BaseException) -> None:
        caller.raise_absorbed(await caller.leave(self._drivers, stopped), stopped)


_LEFT: Final = "this scope has been left: open a new one for more jobs"
