"""Jobs in the order in which they end."""

from __future__ import annotations

import math
import weakref
from collections import deque
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio

from qawait.errors import ConfigError, DeadlineExceededError
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
        # weakly: a driver lives as long as the client, this iterator only as its loop
        self._hand_over = partial(_hand_over, weakref.ref(self))
        for job in jobs:
            self.add(job)

    def add(self, job: Job[ResultT]) -> None:
        """Take one more job into the iteration."""
        driver = job.driver
        if driver in self._pending:
            return
        self._pending[driver] = job
        driver.waiters += 1
        driver.follow()
        driver.on_end(self._hand_over)
        driver.on_trouble(self._hand_over)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job[ResultT]:
        job = await self.next_within(math.inf)
        if job is None:
            raise StopAsyncIteration
        return job

    async def next_within(self, seconds: float) -> Job[ResultT] | None:
        """Return the next job that has ended; `None` if there is none, or none in time.

        The time limit is the caller's only: when it passes, the jobs are as they were.
        """
        if not self._pending and not self._ready:
            return None
        try:
            with anyio.move_on_after(seconds):
                await self._arrived.until(lambda: bool(self._ready))
        except BaseException as stopped:
            await caller.abandon(self._let_go(), stopped)
            raise
        return self._ready.popleft() if self._ready else None

    @property
    def remaining(self) -> int:
        """How many jobs it has not given out."""
        return len(self._pending) + len(self._ready)

    def __del__(self) -> None:
        self._let_go()

    def close(self) -> None:
        """Wait for no job any more; each is as it was."""
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


async def wait_all(jobs: Iterable[Job[Any]], *, seconds: float) -> None:
    """Return when all of the jobs have ended, whatever their ends.

    Raises:
        DeadlineExceededError: the time limit passed; the jobs are as they were.
        QawaitError: waiting for one of them makes no sense at the moment.
    """
    give_up = anyio.current_time() + seconds
    with closing(AsCompleted(jobs)) as left:
        while left.remaining:
            job = await left.next_within(give_up - anyio.current_time())
            if job is None:
                message = f"{left.remaining} jobs have not ended after {seconds:g} s of waiting"
                raise DeadlineExceededError(message)
            _check_ended(job)


async def wait_any(jobs: Iterable[Job[ResultT]], *, seconds: float) -> Job[ResultT]:
    """Return the first of the jobs that has ended; the others go on.

    Raises:
        ConfigError: there are no jobs.
        DeadlineExceededError: the time limit passed; the jobs are as they were.
        QawaitError: waiting for one of them makes no sense at the moment.
    """
    with closing(AsCompleted(jobs)) as left:
        if not left.remaining:
            raise ConfigError("wait_any needs at least one job")
        job = await left.next_within(seconds)
    if job is None:
        raise DeadlineExceededError(f"no job has ended after {seconds:g} s of waiting")
    _check_ended(job)
    return job


def _check_ended(job: Job[Any]) -> None:
    if not job.driver.is_ended and job.driver.trouble is not None:
        raise job.driver.trouble.again()


def _hand_over(reference: weakref.ref[AsCompleted[ResultT]], ended: Driver) -> None:
    iterator = reference()
    if iterator is not None:
        iterator._end(ended)  # noqa: SLF001 - its other half
