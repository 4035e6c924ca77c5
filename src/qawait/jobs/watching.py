"""Which jobs are watched, and when each is to be asked for next."""

from __future__ import annotations

import bisect
import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from qawait import limits
from qawait.types import JobStatus

if TYPE_CHECKING:
    from datetime import datetime

    from qawait.errors import QawaitError
    from qawait.jobs.service import Group
    from qawait.types import Snapshot


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

    @property
    def session_id(self) -> str | None:
        """The session that the job belongs to, if any."""
        ...

    def seen(self, snapshot: Snapshot) -> None:
        """Take note of what the service said."""
        ...

    def missed(self, error: QawaitError) -> None:
        """Take note that the service could not be asked."""
        ...

    def confirm(self) -> bool:
        """Begin to find out whether the job has ended, unless that is left to the poller."""
        ...


@dataclass(slots=True, eq=False)
class Watch:
    """One watched job and its plan; times are the loop's."""

    watcher: Watcher
    listed: Listed | None  # the jobs it is listed with
    asked: float  # when it was last asked for, or began to be watched
    since: float  # when it was first seen in its status
    status: JobStatus = JobStatus.QUEUED
    polls: int = 0
    gap: float = 0.0
    due: float = 0.0
    entry: float | None = None  # when the calendar brings it up; never after it is due
    created: datetime | None = None  # as the list has it; `None` while no list has shown it
    is_asking: bool = False
    is_forgotten: bool = False
    hurried: float = -math.inf  # when somebody last wanted to know at once

    @property
    def is_idle(self) -> bool:
        """Whether it need not be brought up."""
        return self.is_asking or self.is_forgotten


class Calendar:
    """The jobs by the moment at which they are due: as many entries as moments, not as jobs."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._at: dict[float, list[Watch]] = {}

    @property
    def next(self) -> float:
        """The first moment at which somebody may be due."""
        return self._moments[0] if self._moments else math.inf

    def put(self, watch: Watch, due: float) -> None:
        """Bring a job up when it is due; one put off stays where it was until that comes up."""
        watch.due = due
        if watch.entry is not None and watch.entry <= due:
            return
        watch.entry = due
        there = self._at.get(due)
        if there is None:
            self._at[due] = [watch]
            heapq.heappush(self._moments, due)
        else:
            there.append(watch)

    def take(self, now: float) -> list[Watch]:
        """Return the jobs that are due, and bring them up no more."""
        taken: list[Watch] = []
        while self._moments and self._moments[0] <= now:
            moment = heapq.heappop(self._moments)
            for watch in self._at.pop(moment):
                if watch.entry != moment:
                    continue  # it was brought forward
                watch.entry = None
                if watch.is_idle:
                    continue
                if watch.due > now:
                    self.put(watch, watch.due)
                else:
                    taken.append(watch)
        return taken


@dataclass(slots=True, eq=False)
class Listed:
    """The watched jobs of one group, by id, and when those that have ended were made."""

    group: Group
    watches: dict[str, Watch] = field(default_factory=dict)
    ended: list[datetime] = field(default_factory=list)  # in order
    is_surveying: bool = False

    def end(self, watch: Watch) -> None:
        """Take a job out that is watched no more."""
        self.watches.pop(watch.watcher.job_id, None)
        if watch.created is not None:
            bisect.insort(self.ended, watch.created)
            if len(self.ended) > limits.ENDED_REMEMBERED:
                del self.ended[0]

    def made_between(self, first: datetime, last: datetime) -> list[datetime]:
        """Return when those ended jobs were made that were made in this span."""
        start = bisect.bisect_left(self.ended, first)
        return self.ended[start : bisect.bisect_right(self.ended, last)]
