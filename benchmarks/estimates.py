"""How good the guesses at a job's start are, in simulated queues: guessed over true, quantiles.

    python benchmarks/estimates.py [--jobs 2000]

A backend runs `lanes` jobs at once. Others submit at random; our client's jobs
come in between. Each of ours is guessed at when it has just joined the queue.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics

from qawait.jobs.estimate import Course, History, guess

OURS = 0.1  # the share of all jobs
LOAD = 0.95  # of the lanes: queues are long and vary


class Queue:
    """A backend that takes jobs in their order, several at a time."""

    def __init__(self, lanes: int, draw: random.Random, spread: float) -> None:
        self.draw = draw
        self.spread = spread
        self.free = [0.0] * lanes
        self.starts: list[float] = []

    def join(self, now: float) -> tuple[int, float, float]:
        """Return how many wait, and when one more will begin and end."""
        self.starts = [start for start in self.starts if start > now]
        start = max(now, heapq.heappop(self.free))
        end = start + self.draw.lognormvariate(1.5, self.spread)
        heapq.heappush(self.free, end)
        self.starts.append(start)
        return len(self.starts), start, end


def ratios(jobs: int, *, lanes: int, spread: float, seed: int) -> tuple[list[float], list[float]]:
    """Return guessed over true waiting, before and after the client has a history."""
    draw = random.Random(seed)
    queue, history = Queue(lanes, draw, spread), History()
    typical = statistics.fmean(draw.lognormvariate(1.5, spread) for _ in range(5000))
    early: list[float] = []
    late: list[float] = []
    now, seen, ended = 0.0, 0, list[tuple[float, Course]]()
    while len(late) < jobs:
        now += draw.expovariate(LOAD * lanes / typical)
        length, start, _ = queue.join(now)
        while ended and ended[0][0] <= now:
            history.began(heapq.heappop(ended)[1])
        if draw.random() > OURS or start - now < typical:
            continue
        course = Course(queued=now)
        course.measured(now, length)
        guessed = guess(course, history, now, typical).start or 0.0
        (late if history.paces else early).append(guessed / (start - now))
        course.running = start
        seen += 1
        heapq.heappush(ended, (start + seen * 1e-9, course))
    return early, late


def main() -> None:
    """Print the quantiles for some backends."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=2000)
    jobs: int = asked.parse_args().jobs
    print("lanes spread  first guesses, 50 %  with history: 5 %   50 %   95 %")
    for lanes in (1, 5):
        for spread in (0.3, 1.0):
            first: list[float] = []
            late: list[float] = []
            for seed in range(20):
                one, more = ratios(jobs // 20, lanes=lanes, spread=spread, seed=seed)
                first += one
                late += more
            cuts = statistics.quantiles(late, n=20)
            print(f"{lanes:>5} {spread:>6} {statistics.median(first):>20.2f}", end="")
            print(f" {cuts[0]:>18.2f} {statistics.median(late):>6.2f} {cuts[-1]:>6.2f}")


if __name__ == "__main__":
    main()
