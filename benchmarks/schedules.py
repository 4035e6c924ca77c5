"""Polling schedules, simulated: requests and lateness by kind of job, beside their peers.

    python benchmarks/schedules.py [--jobs 4000]

A peer is compared at equal mean lateness, for which its interval is searched, and
the bound is that of an oracle which knows the distribution but not the job
(Cauchy-Schwarz: lateness times requests is at least half the square of the
integral of the root of density times survival).
"""

from __future__ import annotations

import argparse
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qawait.jobs.schedule import PollSchedule, Sight
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

IBM_INTERVAL = 0.5


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
    now, pause, requests = 0.0, 0.5 * scale, 0
    while now < job.ends:
        now += pause * (0.88 + 0.24 * rng.random())
        pause, requests = min(pause * 1.5, 10 * scale), requests + 1
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
    for number in range(bins):
        low = ends[number * len(ends) // bins]
        high = ends[min((number + 1) * len(ends) // bins, len(ends) - 1)]
        survival = 1 - (number + 0.5) / bins
        total += ((high - low) / bins * survival) ** 0.5
    return total**2 / (2 * lateness)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    count = parser.parse_args().jobs
    print(
        "| kind | lateness wanted | requests | lateness | fixed interval, same lateness |"
        " exponential to 10 s, same lateness | blind bound | IBM's fixed 0.5 s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        rng = random.Random(3)
        jobs = [kind.draw(rng) for _ in range(count)]
        ibm = mean(jobs, lambda job, r: fixed(job, IBM_INTERVAL, r))
        for wanted in (0.1, 0.25, 1.0, 5.0):
            schedule = PollSchedule(lateness=wanted)
            requests, late = mean(jobs, lambda job, r, s=schedule: follow(job, s, r))  # type: ignore[misc]
            same = at_lateness(jobs, fixed, late)
            curve = at_lateness(jobs, exponential, late)
            print(
                f"| {kind.name} | {wanted} | {requests:.1f} | {late:.2f} s |"
                f" {same:.0f} ({same / requests:.1f} times ours) |"
                f" {curve:.0f} ({curve / requests:.1f} times) |"
                f" {blind_bound(jobs, late):.1f} | {ibm[0]:.0f} at {ibm[1]:.2f} s |"
            )


if __name__ == "__main__":
    main()
