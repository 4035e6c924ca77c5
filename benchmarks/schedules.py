"""Polling schedules, simulated: requests and lateness by kind of job, beside their peers.

    python benchmarks/schedules.py [--jobs 4000] [--pictures docs/pictures]

A peer is compared at equal mean lateness, for which its interval is searched, and
the bound is that of an oracle which knows the distribution but not the job
(Cauchy-Schwarz: lateness times requests is at least half the square of the
integral of the root of density times survival).
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rows import Row, markdown, number

from qawait import limits
from qawait.jobs.schedule import PollSchedule, Sight
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

IBM_INTERVAL = 0.5
LATENESSES = (0.1, 0.25, 1.0, 5.0)
CROWD = 1000
GROWN_POLLS = 8
"""After so many polls the default schedule's pauses in the queue have stopped growing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job's true times in seconds, and what the service expects of its running."""

    queued: float
    running: float
    estimate: float

    @property
    def ends(self) -> float:
        """The seconds from submit to end."""
        return self.queued + self.running


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job, drawn from log-normal times around its medians."""

    name: str
    queued: float
    running: float
    spread: float

    def draw(self, rng: random.Random) -> Job:
        """Return a job; its estimate is off by about 40 %."""
        queued = self.queued * rng.lognormvariate(0, self.spread)
        running = self.running * rng.lognormvariate(0, 0.4)
        return Job(queued, running, running * rng.lognormvariate(0, 0.4))


KINDS = [
    Kind("simulator, 2 s", 0.4, 1.6, 0.5),
    Kind("session, 7 s", 1.0, 6.0, 0.5),
    Kind("queue of 5 min", 300.0, 8.0, 0.7),
    Kind("queue of 2 h", 7200.0, 20.0, 0.9),
]


def follow(job: Job, schedule: PollSchedule, rng: random.Random) -> tuple[int, float]:
    """Return the requests and the lateness of following one job."""
    now, requests, polls, gap = 0.0, 0, 0, 0.0
    status, since, estimate = JobStatus.QUEUED, 0.0, None
    while True:
        sight = Sight(status=status, polls=polls, age=now - since, gap=gap, estimate=estimate)
        pause = schedule.pause(sight, rng.random())
        now, requests, polls = now + pause, requests + 1, polls + 1
        if now >= job.ends:
            return requests, now - job.ends
        estimate = job.estimate
        if now >= job.queued and status is JobStatus.QUEUED:
            status, since, polls, gap = JobStatus.RUNNING, now, 0, pause


def fixed(job: Job, interval: float, rng: random.Random) -> tuple[int, float]:
    """Return the same for a fixed interval with a random phase."""
    first = rng.random() * interval
    requests = int(max(0.0, job.ends - first) // interval) + 2 if job.ends > first else 1
    return requests, (first + (requests - 1) * interval) - job.ends


def exponential(job: Job, scale: float, rng: random.Random) -> tuple[int, float]:
    """Return the same for 0.5 s, times 1.5, up to 10 s, all scaled."""
    now, pause, requests, most = 0.0, 0.5 * scale, 0, 10 * scale
    while now < job.ends:
        if pause == most and (equal := int((job.ends - now) / most) - 20) > 0:
            now, requests = now + equal * most, requests + equal  # all but the last few at once
        now += pause * (0.88 + 0.24 * rng.random())
        pause, requests = min(pause * 1.5, most), requests + 1
    return requests, now - job.ends


def mean(
    jobs: list[Job], policy: Callable[[Job, random.Random], tuple[int, float]]
) -> tuple[float, float]:
    """Return the mean requests and the mean lateness of a policy."""
    rng = random.Random(7)
    outcomes = [policy(job, rng) for job in jobs]
    return (
        statistics.fmean(requests for requests, _ in outcomes),
        statistics.fmean(late for _, late in outcomes),
    )


def at_lateness(
    jobs: list[Job],
    policy: Callable[[Job, float, random.Random], tuple[int, float]],
    lateness: float,
) -> float:
    """Return a peer's requests when its interval is chosen for this mean lateness."""
    low, high = 1e-3, 1e3
    for _ in range(25):
        middle = (low * high) ** 0.5
        late = mean(jobs[:400], lambda job, rng, m=middle: policy(job, m, rng))[1]  # type: ignore[misc]
        low, high = (middle, high) if late < lateness else (low, middle)
    return mean(jobs, lambda job, rng: policy(job, low, rng))[0]


def blind_bound(jobs: list[Job], lateness: float) -> float:
    """Return the least requests of any schedule that does not look at the status."""
    ends = sorted(job.ends for job in jobs)
    bins = 60
    total = 0.0
    for place in range(bins):
        low = ends[place * len(ends) // bins]
        high = ends[min((place + 1) * len(ends) // bins, len(ends) - 1)]
        survival = 1 - (place + 0.5) / bins
        total += ((high - low) / bins * survival) ** 0.5
    return total**2 / (2 * lateness)


# --- one poller for many jobs ------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Followed:
    """A job among many, as the poller keeps it."""

    job: Job
    due: float = 0.0
    asked: float = 0.0
    since: float = 0.0
    gap: float = 0.0
    polls: int = 0
    status: JobStatus = JobStatus.QUEUED
    estimate: float | None = None
    steady: float = 0.0  # the pause while queued, once it has stopped growing


class Together:
    """One poller for many jobs that were submitted at once and are awaited: shared ticks, pages.

    A job that a page does not show has ended: fetching its result, which is not
    counted, confirms it.
    """

    def __init__(self, jobs: list[Job], schedule: PollSchedule, rng: random.Random) -> None:
        self.schedule = schedule
        self.rng = rng
        self.requests = 0
        self.late: list[float] = []
        self.live = {place: Followed(job) for place, job in enumerate(jobs)}
        self.heap: list[tuple[float, int]] = []
        for place, followed in self.live.items():
            self._plan(place, followed, 0.0)

    def follow(self) -> tuple[float, float]:
        """Return the requests for each job and the mean lateness."""
        while self.live:
            now, due = self._take_due()
            pages = math.ceil(len(self.live) / limits.LIST_PAGE)
            if len(due) <= pages:
                self.requests += len(due)
                self._look(due, now)
            else:
                self.requests += math.ceil(len(self.live) / limits.SURVEY_WINDOW)
                self._look(list(self.live), now)
        return self.requests / len(self.late), statistics.fmean(self.late)

    def _take_due(self) -> tuple[float, list[int]]:
        taken: list[int] = []
        now = 0.0
        while self.heap and (not taken or self.heap[0][0] <= now):
            due, place = heapq.heappop(self.heap)
            followed = self.live.get(place)
            if followed is not None and followed.due == due:
                now, followed.due = due, math.nan  # an older entry may be for the same moment
                taken.append(place)
        return now, taken

    def _look(self, places: list[int], now: float) -> None:
        for place in places:
            followed = self.live[place]
            if now >= followed.job.ends:
                self.late.append(now - followed.job.ends)
                del self.live[place]
                continue
            followed.estimate = followed.job.estimate
            if now >= followed.job.queued and followed.status is JobStatus.QUEUED:
                followed.status, followed.polls, followed.steady = JobStatus.RUNNING, 0, 0.0
                followed.since, followed.gap = now, now - followed.asked
            self._plan(place, followed, now)
            followed.asked = now
        if len(self.heap) > 3 * len(self.live):  # most of it is out of date
            self.heap = [(followed.due, place) for place, followed in self.live.items()]
            heapq.heapify(self.heap)

    def _plan(self, place: int, followed: Followed, now: float) -> None:
        pause = followed.steady * (1 + self.schedule.jitter * (2 * self.rng.random() - 1))
        if not pause:
            pause = self._changing_pause(followed, now)
        followed.due = math.ceil((now + pause) / self.schedule.tick) * self.schedule.tick
        heapq.heappush(self.heap, (followed.due, place))

    def _changing_pause(self, followed: Followed, now: float) -> float:
        sight = Sight(
            status=followed.status,
            polls=followed.polls,
            age=now - followed.since,
            gap=followed.gap,
            estimate=followed.estimate,
        )
        followed.polls += 1
        if followed.polls > GROWN_POLLS and followed.status is JobStatus.QUEUED:
            followed.steady = self.schedule.pause(sight, 0.5)
        return self.schedule.pause(sight, self.rng.random())


# --- the table ---------------------------------------------------------------------------------


def drawn(kind: Kind, count: int) -> list[Job]:
    """Return the same jobs of a kind for everybody."""
    rng = random.Random(3)
    return [kind.draw(rng) for _ in range(count)]


def alone(jobs: list[Job], lateness: float) -> tuple[float, float]:
    """Return the mean requests and lateness of qawait, each job by itself."""
    schedule = PollSchedule(lateness=lateness)
    return mean(jobs, lambda job, rng: follow(job, schedule, rng))


def run(count: int = 2000) -> list[Row]:
    """Simulate and return the rows."""
    rows: list[Row] = []
    for kind in KINDS:
        jobs = drawn(kind, count)
        ibm = mean(jobs, lambda job, rng: fixed(job, IBM_INTERVAL, rng))
        for wanted in LATENESSES:
            found = compared(jobs, drawn(kind, CROWD), wanted, ibm)
            rows += rows_of(f"{kind.name}, `lateness={wanted}`", found)
    return rows


def compared(
    jobs: list[Job], many: list[Job], wanted: float, ibm: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Return requests and lateness of qawait, and of others at qawait's lateness or their own."""
    requests, late = alone(jobs, wanted)
    crowd = Together(many, PollSchedule(lateness=wanted), random.Random(7)).follow()
    return {
        "IBM's fixed 0.5 s": ibm,
        "qawait": (requests, late),
        f"qawait, {CROWD:,} jobs": crowd,
        "fixed, same lateness": (at_lateness(jobs, fixed, late), late),
        "exponential, same lateness": (at_lateness(jobs, exponential, late), late),
        "bound, status unseen": (max(1.0, blind_bound(jobs, late)), late),
    }


def rows_of(title: str, found: dict[str, tuple[float, float]]) -> list[Row]:
    """Return a row for each figure."""
    ours = found["qawait"][0]
    return [
        Row(
            name=f"{title}: {what}",
            peer=peer,
            value=figures[place],
            unit=unit,
            ratio="" if place else f"{number(figures[place] / ours)} of qawait",
        )
        for place, (what, unit) in enumerate((("requests", "per job"), ("mean lateness", "s")))
        for peer, figures in found.items()
    ]


def main() -> None:
    """Print the table, or draw the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--pictures", type=Path, help="a folder to draw into, instead")
    asked = parser.parse_args()
    if asked.pictures is None:
        print(markdown(run(asked.jobs)))
    else:
        import pictures

        pictures.draw(asked.pictures, asked.jobs)


if __name__ == "__main__":
    main()
