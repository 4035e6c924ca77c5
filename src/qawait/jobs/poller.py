"""One poller for all of a client's jobs: due times on shared ticks, asked for together.

Of the jobs that are due at a tick, a few are asked for one by one; where it takes
fewer requests, the client's pending jobs are listed instead, which refreshes them
all. A job that is missing from the list has probably ended, and is asked for by
itself before anybody believes it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.jobs.schedule import PollSchedule, Sight
from qawait.jobs.survey import survey
from qawait.jobs.waiting import Signal
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

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

    @property
    def estimate(self) -> float | None:
        """The job's running time in seconds, as the service expects it."""
        ...

    @property
    def is_tagged(self) -> bool:
        """Whether the job carries the client's tag, so that a list of those shows it."""
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
    due: float
    asked: float  # when it was last asked for, or began to be watched
    since: float  # when it was first seen in its status
    status: JobStatus = JobStatus.QUEUED
    polls: int = 0
    gap: float = 0.0
    created: datetime | None = None  # as the list has it; `None` while no list has shown it
    entry: float | None = None  # when the heap brings it up; never after it is due
    is_asking: bool = False
    hurried: float = -math.inf  # when somebody last wanted to know at once


class Poller:
    """Asks for every watched job when it is due, a bounded number of requests at a time.

    `tag` is what all jobs submitted by the client carry; without one each job is
    asked for by itself.
    """

    def __init__(
        self,
        service: Service,
        schedule: PollSchedule,
        random: Callable[[], float],
        *,
        tag: str | None = None,
    ) -> None:
        self._service = service
        self._schedule = schedule
        self._random = random
        self._tag = tag
        self._watches: dict[Watcher, _Watch] = {}
        self._listed: dict[str, _Watch] = {}  # those that a list would show, by id
        self._due: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._earlier = Signal()
        self._not_before = 0.0
        self._is_surveying = False

    def watch(self, watcher: Watcher) -> None:
        """Ask for this job from now on, first after the schedule's shortest pause."""
        now = anyio.current_time()
        watch = _Watch(watcher, now, now, now, status=watcher.status)
        self._watches[watcher] = watch
        if self._tag is not None and watcher.is_tagged:
            self._listed[watcher.job_id] = watch
        self._plan_next(watch, now)

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
            if not watch.is_asking:
                self._plan(watch, now + self._random() * limits.REFRESH_SECONDS)

    def hurry(self, watcher: Watcher) -> None:
        """Ask for this job as soon as possible, and often again from then on."""
        watch = self._watches.get(watcher)
        if watch is None:
            return
        now = anyio.current_time()
        watch.polls, watch.hurried = 0, now
        if not watch.is_asking:
            self._plan(watch, now)

    def forget(self, watcher: Watcher) -> None:
        """Ask for this job no more."""
        self._watches.pop(watcher, None)
        self._listed.pop(watcher.job_id, None)

    async def run(self) -> None:
        """Poll until cancelled."""
        self._is_surveying = False
        asking = anyio.CapacityLimiter(limits.POLLS_IN_FLIGHT)
        async with anyio.create_task_group() as queries:
            while True:
                await self._until_due()
                together, alone = self._divided(self._take_due())
                for watch in alone:
                    queries.start_soon(self._ask, watch, asking)
                if together:
                    queries.start_soon(self._survey, together, asking)

    # --- what is due -----------------------------------------------------------------------------

    async def _until_due(self) -> None:
        while (wait := self._seconds_to_due()) > 0:
            with anyio.move_on_after(wait):
                await self._earlier.wait()

    def _seconds_to_due(self) -> float:
        self._drop_stale()
        if not self._due:
            return math.inf
        return max(self._due[0][0], self._not_before) - anyio.current_time()

    def _drop_stale(self) -> None:
        """Bring up what is really due first: a job put off stays where it was in the heap."""
        while self._due:
            entry, _, watch = self._due[0]
            if entry == watch.entry and entry == watch.due and not self._is_idle(watch):
                return
            heapq.heappop(self._due)
            if entry == watch.entry:
                watch.entry = None
                if not self._is_idle(watch):
                    self._push(watch)

    def _is_idle(self, watch: _Watch) -> bool:
        return watch.is_asking or watch.watcher not in self._watches

    def _take_due(self) -> list[_Watch]:
        now = anyio.current_time()
        taken: list[_Watch] = []
        self._drop_stale()
        while self._due and self._due[0][0] <= now:
            _, _, watch = heapq.heappop(self._due)
            watch.entry, watch.is_asking = None, True
            taken.append(watch)
            self._drop_stale()
        return taken

    def _divided(self, due: list[_Watch]) -> tuple[list[_Watch], list[_Watch]]:
        """Return which jobs to list together and which to ask for alone: the fewest requests."""
        listed = [watch for watch in due if watch.watcher.job_id in self._listed]
        pages = math.ceil(len(self._listed) / limits.LIST_PAGE)
        if len(listed) <= pages or self._is_surveying:
            return [], due
        alone = [watch for watch in due if watch.watcher.job_id not in self._listed]
        self._is_surveying = True
        return listed, alone

    # --- asking ----------------------------------------------------------------------------------

    async def _ask(self, watch: _Watch, asking: anyio.CapacityLimiter) -> None:
        answer: Snapshot | QawaitError
        async with asking:
            asked = anyio.current_time()
            try:
                answer = await self._service.status(watch.watcher.job_id)
            except QawaitError as error:
                answer = error
            except BaseException:
                watch.is_asking = False  # cut from outside: it is asked for again
                self._plan_next(watch, asked)
                raise
        self._answered(watch, answer, asked)

    async def _survey(self, due: list[_Watch], asking: anyio.CapacityLimiter) -> None:
        """List the client's pending jobs, and ask for those that the list does not show."""
        expected = dict(self._listed)
        asked = anyio.current_time()
        try:
            error = await survey(
                self._service,
                self._tag or "",
                [watch.created for watch in expected.values() if watch.created],
                asking=asking,
                take=lambda page: self._take_page(page, expected, asked),
            )
        finally:
            self._is_surveying = False
        if error is None:
            await self._confirm(self._questionable(expected.values(), due), asking)
        else:
            for watch in due:
                if watch.is_asking:
                    self._answered(watch, error, asked)

    def _take_page(
        self, page: Iterable[Snapshot], expected: dict[str, _Watch], asked: float
    ) -> None:
        for snapshot in page:
            watch = expected.pop(snapshot.job_id, None)
            if watch is not None and watch.watcher in self._watches:
                watch.created = snapshot.created or watch.created
                self._answered(watch, snapshot, asked)

    def _questionable(self, missing: Iterable[_Watch], due: list[_Watch]) -> list[_Watch]:
        """Return the jobs to ask for since no list shows them: they were there, or are due."""
        asked_for = set(due)
        return [
            watch
            for watch in missing
            if watch.watcher in self._watches and (watch.created or watch in asked_for)
        ]

    async def _confirm(self, missing: list[_Watch], asking: anyio.CapacityLimiter) -> None:
        async with anyio.create_task_group() as queries:
            for watch in missing:
                watch.is_asking = True
                queries.start_soon(self._ask, watch, asking)

    def _answered(self, watch: _Watch, answer: Snapshot | QawaitError, asked: float) -> None:
        if isinstance(answer, QawaitError):
            self._heed(answer)
        # an answer older than what there was to hurry for tells nothing about it
        is_stale = asked < watch.hurried and not _is_final(answer)
        if not is_stale:
            self._tell(watch.watcher, answer)
        watch.is_asking = False
        if watch.watcher not in self._watches:
            return
        now = anyio.current_time()
        if is_stale:
            self._plan(watch, now)
        else:
            self._plan_next(watch, now)
            watch.asked = now

    def _tell(self, watcher: Watcher, answer: Snapshot | QawaitError) -> None:
        try:
            if isinstance(answer, QawaitError):
                watcher.missed(answer)
            else:
                watcher.seen(answer)
        except Exception:  # noqa: BLE001 - one job's bug must not end the polling of the others
            _log.exception("following job %s failed", watcher.job_id)

    def _heed(self, error: QawaitError) -> None:
        if isinstance(error, ThrottledError) and error.retry_after:
            self._not_before = anyio.current_time() + error.retry_after

    # --- planning --------------------------------------------------------------------------------

    def _plan_next(self, watch: _Watch, now: float) -> None:
        status = watch.watcher.status
        if status is not watch.status:
            watch.status, watch.polls = status, 0
            watch.since, watch.gap = now, now - watch.asked
        sight = Sight(
            status=status,
            polls=watch.polls,
            age=now - watch.since,
            gap=watch.gap,
            estimate=watch.watcher.estimate,
        )
        watch.polls += 1
        self._plan(watch, now + self._schedule.pause(sight, self._random()))

    def _plan(self, watch: _Watch, due: float) -> None:
        tick = self._schedule.tick
        # on a shared tick, so that many jobs are few requests and one timer
        watch.due = math.ceil(due / tick) * tick if due > anyio.current_time() else due
        if watch.entry is None or watch.due < watch.entry:
            self._push(watch)

    def _push(self, watch: _Watch) -> None:
        watch.entry = watch.due
        heapq.heappush(self._due, (watch.due, next(self._order), watch))
        if self._due[0][2] is watch:
            self._earlier.set()


def _is_final(answer: Snapshot | QawaitError) -> bool:
    return not isinstance(answer, QawaitError) and answer.is_final
