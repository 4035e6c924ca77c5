"""One poller for all of a client's jobs: one task, one heap of due times."""

from __future__ import annotations

import heapq
import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.jobs.waiting import Signal
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.jobs.schedule import PollSchedule
    from qawait.jobs.service import Service
    from qawait.types import Snapshot

_log = logging.getLogger("qawait.poller")


class Watcher(Protocol):
    """Whoever wants to know what becomes of a job."""

    @property
    def job_id(self) -> str:
        """The job to ask for."""
        ...

    @property
    def status(self) -> JobStatus:
        """The job's status as last seen."""
        ...

    def seen(self, snapshot: Snapshot) -> None:
        """Take note of what the service said."""
        ...

    def missed(self, error: QawaitError) -> None:
        """Take note that the service could not be asked."""
        ...


@dataclass(slots=True, eq=False)
class _Watch:
    watcher: Watcher
    due: float = 0.0
    polls: int = 0
    status: JobStatus = JobStatus.QUEUED
    asking: bool = False
    hurried: bool = False


class Poller:
    """Asks for every watched job when it is due, a bounded number at a time."""

    def __init__(
        self,
        service: Service,
        schedule: PollSchedule,
        random: Callable[[], float],
    ) -> None:
        self._service = service
        self._schedule = schedule
        self._random = random
        self._watches: dict[Watcher, _Watch] = {}
        self._due: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._earlier = Signal()
        self._not_before = 0.0

    def watch(self, watcher: Watcher) -> None:
        """Ask for this job from now on, first after the schedule's shortest pause."""
        watch = _Watch(watcher, status=watcher.status)
        self._watches[watcher] = watch
        self._plan_next(watch)

    def adopt(self, watcher: Watcher) -> bool:
        """Watch a job that should be watched; false if it is."""
        if watcher in self._watches:
            return False
        self.watch(watcher)
        return True

    def refresh(self) -> None:
        """Ask for every job once, spread over a moment: what was planned means nothing now."""
        now = anyio.current_time()
        for watch in list(self._watches.values()):
            if not watch.asking:
                self._plan(watch, now + self._random() * limits.REFRESH_SECONDS)

    def hurry(self, watcher: Watcher) -> None:
        """Ask for this job as soon as possible, and often again from then on."""
        watch = self._watches.get(watcher)
        if watch is None:
            return
        watch.polls = 0
        if watch.asking:
            watch.hurried = True
        else:
            self._plan(watch, anyio.current_time())

    def forget(self, watcher: Watcher) -> None:
        """Ask for this job no more."""
        self._watches.pop(watcher, None)

    async def run(self) -> None:
        """Poll until cancelled."""
        asking = anyio.CapacityLimiter(limits.REQUESTS_IN_FLIGHT)
        async with anyio.create_task_group() as queries:
            while True:
                await self._until_due()
                for watch in self._take_due():
                    queries.start_soon(self._ask, watch, asking)

    async def _until_due(self) -> None:
        while (wait := self._seconds_to_due()) > 0:
            with anyio.move_on_after(wait):
                await self._earlier.wait()

    def _seconds_to_due(self) -> float:
        while self._due and self._is_stale(*self._due[0]):
            heapq.heappop(self._due)
        if not self._due:
            return float("inf")
        return max(self._due[0][0], self._not_before) - anyio.current_time()

    def _is_stale(self, due: float, _: int, watch: _Watch) -> bool:
        return watch.asking or due != watch.due or watch.watcher not in self._watches

    def _take_due(self) -> list[_Watch]:
        now = anyio.current_time()
        taken = []
        while self._due and self._due[0][0] <= now:
            entry = heapq.heappop(self._due)
            if not self._is_stale(*entry):
                entry[2].asking = True
                taken.append(entry[2])
        return taken

    async def _ask(self, watch: _Watch, asking: anyio.CapacityLimiter) -> None:
        answer: Snapshot | QawaitError
        try:
            async with asking:
                answer = await self._service.status(watch.watcher.job_id)
        except QawaitError as error:
            answer = error
            self._heed(error)
        if not (watch.hurried and _is_live(answer)):  # it is older than what there was to hurry for
            self._tell(watch.watcher, answer)
        self._answered(watch)

    def _tell(self, watcher: Watcher, answer: Snapshot | QawaitError) -> None:
        try:
            if isinstance(answer, QawaitError):
                watcher.missed(answer)
            else:
                watcher.seen(answer)
        except Exception:  # noqa: BLE001 - one job's bug must not end the polling of the others
            _log.exception("following job %s failed", watcher.job_id)

    def _answered(self, watch: _Watch) -> None:
        watch.asking = False
        if watch.watcher not in self._watches:
            return
        if watch.hurried:
            watch.hurried = False
            self._plan(watch, anyio.current_time())
        else:
            self._plan_next(watch)

    def _heed(self, error: QawaitError) -> None:
        if isinstance(error, ThrottledError) and error.retry_after:
            self._not_before = anyio.current_time() + error.retry_after

    def _plan_next(self, watch: _Watch) -> None:
        status = watch.watcher.status
        if status is not watch.status:
            watch.status, watch.polls = status, 0
        pause = self._schedule.pause(status, watch.polls, self._random())
        watch.polls += 1
        self._plan(watch, anyio.current_time() + pause)

    def _plan(self, watch: _Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._due, (due, next(self._order), watch))
        if self._due[0][2] is watch:
            self._earlier.set()


def _is_live(answer: Snapshot | QawaitError) -> bool:
    return not isinstance(answer, QawaitError) and not answer.is_final
