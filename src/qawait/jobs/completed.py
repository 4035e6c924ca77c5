"""Jobs in the order in which they end."""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from qawait.jobs import caller
from qawait.jobs.waiting import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.jobs.driver import Driver
    from qawait.jobs.job import Job

ResultT = TypeVar("ResultT")


class AsCompleted(Generic[ResultT]):
    """Async iterator over jobs, each as soon as it has ended, whatever its end.

    A job that makes no sense to wait for (an undocumented status, refused
    credentials) is given too: awaiting it says why.

    It is one of the waiters of each of its jobs until it has given the job out.
    A loop that is left early disturbs nobody; one that is cancelled applies each
    remaining job's policy, as a cancelled `await job` does.
    """

    def __init__(self, jobs: Iterable[Job[ResultT]]) -> None:
        self._ready: deque[Job[ResultT]] = deque()
        self._arrived = Signal()
        self._pending: dict[Driver, Job[ResultT]] = {}
        for job in jobs:
            self.add(job)

    def add(self, job: Job[ResultT]) -> None:
        """Take one more job into the iteration."""
        driver = job.driver
        if driver in self._pending:
            return
        self._pending[driver] = job
        driver.waiters += 1
        # weakly: the driver lives as long as the client, this iterator only as its loop
        iterator = weakref.ref(self)
        driver.follow()
        driver.on_end(lambda ended: _hand_over(iterator(), ended))
        driver.on_trouble(lambda worried: _hand_over(iterator(), worried))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job[ResultT]:
        if not self._pending and not self._ready:
            raise StopAsyncIteration
        try:
            await self._arrived.until(lambda: bool(self._ready))
        except BaseException as stopped:
            await caller.abandon(self._let_go(), stopped)
            raise
        return self._ready.popleft()

    def __del__(self) -> None:
        self._let_go()

    def _let_go(self) -> list[Driver]:
        drivers = list(self._pending)
        self._pending.clear()
        for driver in drivers:
            driver.waiters -= 1
        return drivers

    def _end(self, driver: Driver) -> None:
        job = self._pending.pop(driver, None)
        if job is not None:
            driver.waiters -= 1
            self._ready.append(job)
            self._arrived.set()


def _hand_over(iterator: AsCompleted[ResultT] | None, ended: Driver) -> None:
    if iterator is not None:
        iterator._end(ended)  # noqa: SLF001 - its other half
