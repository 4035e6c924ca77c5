"""One poller for all of a client's jobs: due times on shared ticks, asked for together.

Of the jobs that are due at a tick, a few are asked for one by one; where it takes
fewer requests, the pending jobs of their group are listed instead, which refreshes
them all. A group are the jobs with the client's tag, or those of one session. A
job that is missing from the list has probably ended. Before anybody believes it, it
is looked for among the ended jobs, or asked for by itself, or its result is fetched
if that is all anybody waits for.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING

import anyio

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.jobs.schedule import PollSchedule, Sight
from qawait.jobs.service import Group
from qawait.jobs.survey import bounded, survey, windows
from qawait.jobs.waiting import Signal
from qawait.jobs.watching import Calendar, Listed, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from anyio.abc import TaskGroup

    from qawait.jobs.service import Service
    from qawait.jobs.survey import Pages, Window
    from qawait.jobs.watching import Watcher
    from qawait.types import Snapshot

_log = logging.getLogger("qawait.poller")


class Poller:
    """Asks for every watched job when it is due, a bounded number of requests at a time.

    `tag` is what all jobs submitted by the client carry; without one each job
    that belongs to no session is asked for by itself.
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
        self._watches: dict[Watcher, Watch] = {}
        self._groups: dict[Group, Listed] = {}
        self._calendar = Calendar()
        self._earlier = Signal()
        self._not_before = 0.0

    def watch(self, watcher: Watcher) -> None:
        """Ask for this job from now on, first after the schedule's shortest pause."""
        now = anyio.current_time()
        watch = Watch(watcher, self._listed_with(watcher), now, now, status=watcher.status)
        self._watches[watcher] = watch
        if watch.listed is not None:
            watch.listed.watches[watcher.job_id] = watch
        self._plan_next(watch, now)

    def _listed_with(self, watcher: Watcher) -> Listed | None:
        if watcher.session_id is not None:
            group = Group(session_id=watcher.session_id)
        elif self._tag is not None and watcher.is_tagged:
            group = Group(tag=self._tag)
        else:
            return None
        return self._groups.setdefault(group, Listed(group))

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

    def release(self, watcher: Watcher) -> None:
        """Ask for this job by itself after all: its watcher could not confirm that it ended."""
        watch = self._watches.get(watcher)
        if watch is not None:
            watch.is_asking = False
            self.hurry(watcher)

    def forget(self, watcher: Watcher) -> None:
        """Ask for this job no more."""
        watch = self._watches.pop(watcher, None)
        if watch is None:
            return
        watch.is_forgotten = True
        listed = watch.listed
        if listed is None:
            return
        listed.end(watch)
        if not listed.watches and listed.group.session_id is not None:
            self._groups.pop(listed.group, None)

    async def run(self) -> None:
        """Poll until cancelled."""
        self._begin_anew()
        asking = anyio.CapacityLimiter(limits.POLLS_IN_FLIGHT)
        async with anyio.create_task_group() as queries:
            while True:
                await self._until_due()
                self._ask_due(queries, asking)

    def _ask_due(self, queries: TaskGroup, asking: anyio.CapacityLimiter) -> None:
        together, alone = self._divided(self._take_due())
        for watch in alone:
            queries.start_soon(self._ask, watch, asking)
        for listed, watches in together.items():
            queries.start_soon(self._survey, listed, watches, asking)

    def _begin_anew(self) -> None:
        """Forget what an earlier run had under way."""
        for listed in self._groups.values():
            listed.is_surveying = False
        now = anyio.current_time()
        for watch in self._watches.values():
            if watch.is_asking:
                watch.is_asking = False
                self._plan_next(watch, now)

    # --- what is due -----------------------------------------------------------------------------

    async def _until_due(self) -> None:
        while (wait := self._seconds_to_due()) > 0:
            with anyio.move_on_after(wait):
                await self._earlier.wait()

    def _seconds_to_due(self) -> float:
        return max(self._calendar.next, self._not_before) - anyio.current_time()

    def _take_due(self) -> list[Watch]:
        due = self._calendar.take(anyio.current_time())
        for watch in due:
            watch.is_asking = True
        return due

    def _divided(self, due: list[Watch]) -> tuple[dict[Listed, list[Watch]], list[Watch]]:
        """Return which jobs to list together and which to ask for alone: the fewest requests."""
        together: dict[Listed, list[Watch]] = {}
        alone: list[Watch] = []
        for watch in due:
            if watch.listed is None:
                alone.append(watch)
            else:
                together.setdefault(watch.listed, []).append(watch)
        for listed, watches in list(together.items()):
            pages = math.ceil(len(listed.watches) / limits.LIST_PAGE)
            if listed.is_surveying:
                alone += self._left_to_survey(together.pop(listed))
            elif len(watches) <= pages:
                alone += together.pop(listed)
            else:
                listed.is_surveying = True
        return together, alone

    def _left_to_survey(self, due: list[Watch]) -> list[Watch]:
        """Leave jobs to the survey that is under way; return those that cannot wait for it."""
        next_tick = anyio.current_time() + self._schedule.tick
        urgent = []
        for watch in due:
            if watch.hurried >= watch.asked:
                urgent.append(watch)
            else:
                watch.is_asking = False
                self._plan(watch, next_tick)
        return urgent

    # --- asking ----------------------------------------------------------------------------------

    async def _ask(self, watch: Watch, asking: anyio.CapacityLimiter) -> None:
        answer: Snapshot | QawaitError
        async with asking:
            asked = anyio.current_time()
            if watch.is_forgotten:
                return
            if asked < self._not_before:  # the service asked for a pause while it stood in line
                watch.is_asking = False
                self._plan(watch, self._not_before + self._random() * limits.REFRESH_SECONDS)
                return
            try:
                answer = await self._service.status(watch.watcher.job_id)
            except QawaitError as error:
                answer = error
            except BaseException:
                watch.is_asking = False  # cut from outside: it is asked for again
                self._plan_next(watch, asked)
                raise
        self._answered(watch, answer, asked)

    async def _survey(
        self, listed: Listed, due: list[Watch], asking: anyio.CapacityLimiter
    ) -> None:
        """List the group's pending jobs, and look for those that the list does not show."""
        expected = dict(listed.watches)
        asked = anyio.current_time()
        made = [watch.created for watch in expected.values() if watch.created]
        try:
            error = await survey(
                partial(self._in_time, partial(self._service.pending, listed.group)),
                windows(made, limits.SURVEY_WINDOW),
                asking=asking,
                take=lambda page: self._take_page(page, expected, asked),
            )
        finally:
            listed.is_surveying = False
        if error is None:
            missing = self._questionable(expected.values(), due)
            await self._confirm(listed, missing, asking)
        else:
            self._missed(expected.values(), due, error, asked)

    def _missed(
        self, unseen: Iterable[Watch], due: list[Watch], error: QawaitError, asked: float
    ) -> None:
        """Tell all whom no page showed: one by one they would each list in vain at their tick."""
        asked_for = set(due)
        for watch in unseen:
            if watch in asked_for or not watch.is_idle:
                self._answered(watch, error, asked)

    async def _in_time(
        self, pages: Pages, *, after: datetime | None, before: datetime | None, offset: int
    ) -> Sequence[Snapshot]:
        """Return a page, once no pause is asked for any more."""
        while (wait := self._not_before - anyio.current_time()) > 0:  # noqa: ASYNC110 - it may grow
            await anyio.sleep(wait)
        return await pages(after=after, before=before, offset=offset)

    def _take_page(
        self, page: Iterable[Snapshot], expected: dict[str, Watch], asked: float
    ) -> None:
        for snapshot in page:
            watch = expected.pop(snapshot.job_id, None)
            if watch is not None and not watch.is_forgotten:
                watch.created = snapshot.created or watch.created
                self._answered(watch, snapshot, asked)

    def _questionable(self, missing: Iterable[Watch], due: list[Watch]) -> list[Watch]:
        """Return the jobs to look for since no list shows them: they were there, or are due."""
        asked_for = set(due)
        return [
            watch
            for watch in missing
            if not watch.is_forgotten and (watch.created or watch in asked_for)
        ]

    # --- confirming that a job has ended ---------------------------------------------------------

    async def _confirm(
        self, listed: Listed, missing: list[Watch], asking: anyio.CapacityLimiter
    ) -> None:
        for watch in missing:
            watch.is_asking = True
        missing = [watch for watch in missing if not watch.watcher.confirm()]
        spans = self._ended_spans(listed, missing)
        if len(spans) * limits.CONFIRMED_PER_PAGE <= len(missing):
            missing = await self._found_ended(listed, spans, missing, asking)
        async with anyio.create_task_group() as queries:
            for watch in missing:
                queries.start_soon(self._ask, watch, asking)

    @staticmethod
    def _ended_spans(listed: Listed, missing: list[Watch]) -> list[Window]:
        """Return the spans in which the ended jobs are to be listed to find those missing."""
        made = [watch.created for watch in missing if watch.created]
        if not made:
            return []
        first, last = min(made), max(made)
        known = listed.made_between(first, last)
        return bounded(windows([*made, *known], limits.SURVEY_WINDOW), first, last)

    async def _found_ended(
        self,
        listed: Listed,
        spans: list[Window],
        missing: list[Watch],
        asking: anyio.CapacityLimiter,
    ) -> list[Watch]:
        """Take note of the jobs that the service lists as ended; return the others."""
        expected = {watch.watcher.job_id: watch for watch in missing}
        asked = anyio.current_time()
        if spans:
            await survey(
                partial(self._in_time, partial(self._service.ended, listed.group)),
                spans,
                asking=asking,
                take=lambda page: self._take_page(page, expected, asked),
            )
        return list(expected.values())

    def _answered(self, watch: Watch, answer: Snapshot | QawaitError, asked: float) -> None:
        if isinstance(answer, QawaitError):
            self._heed(answer)
        # an answer older than what there was to hurry for tells nothing about it
        is_stale = asked < watch.hurried and not _is_final(answer)
        if not is_stale:
            self._tell(watch.watcher, answer)
        watch.is_asking = False
        if watch.is_forgotten:
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
            until = anyio.current_time() + error.retry_after
            self._not_before = max(self._not_before, until)

    # --- planning --------------------------------------------------------------------------------

    def _plan_next(self, watch: Watch, now: float) -> None:
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

    def _plan(self, watch: Watch, due: float) -> None:
        tick = self._schedule.tick
        # on a shared tick, so that many jobs are few requests and one timer
        due = math.ceil(due / tick) * tick if due > anyio.current_time() else due
        is_earlier = due < self._calendar.next
        self._calendar.put(watch, due)
        if is_earlier:
            self._earlier.set()


def _is_final(answer: Snapshot | QawaitError) -> bool:
    return not isinstance(answer, QawaitError) and answer.is_final
