"""When a job will begin and end: a guess, from what is known of its queue and of earlier jobs.

Pure: times are seconds on any one clock. How good the guesses are is measured by
`benchmarks/estimates.py`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

_REMEMBERED: Final = 20
"""Jobs of one backend whose times are remembered: enough for a median, few enough to be recent."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Seconds from now until a job begins and ends; `None` where nothing is known."""

    start: float | None = None
    end: float | None = None


@dataclass(slots=True)
class Course:
    """What was seen of one job: when it was first queued and running, and the queue before it."""

    queued: float | None = None
    running: float | None = None
    is_over: bool = False
    places: int | None = None
    """The length of the queue when the job had just joined it."""
    measures: list[tuple[float, int]] = field(default_factory=list)
    """When the queue was seen shorter than before, and its length: what may be before the job."""

    def measured(self, at: float, length: int) -> None:
        """Take note of the length of the queue that the job waits in."""
        if self.places is None:
            self.places = length
        if not self.measures or length < self.measures[-1][1]:
            joined = at if self.queued is None else max(at, self.queued)
            self.measures.append((joined, length))


@dataclass(slots=True)
class History:
    """How long this client's jobs waited and ran on one backend."""

    waits: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    paces: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Seconds of waiting for each place in the queue."""
    runs: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    ratios: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Seconds that a job ran for each second that the service expected."""

    def began(self, course: Course) -> None:
        """Learn from a job that has begun to run."""
        if course.queued is None or course.running is None:
            return
        waited = course.running - course.queued
        self.waits.append(waited)
        if course.places:
            self.paces.append(waited / course.places)

    def ended(self, course: Course, now: float, expected: float | None) -> None:
        """Learn from a job that has run to its end."""
        if course.running is None:
            return
        ran = now - course.running
        self.runs.append(ran)
        if expected:
            self.ratios.append(ran / expected)


def guess(course: Course, history: History, now: float, expected: float | None) -> Guess:
    """Return when a job will begin and end; `expected` is the service's own running time."""
    runs = _running_time(history, expected)
    if course.is_over:
        return Guess()
    if course.running is not None:
        ran = now - course.running
        return Guess(0.0, None if runs is None else max(runs - ran, 0.0))
    start = _start(course, history, now, expected)
    return Guess(start, None if start is None or runs is None else start + runs)


def _running_time(history: History, expected: float | None) -> float | None:
    if expected is not None:
        return expected * (median(history.ratios) if history.ratios else 1.0)
    return median(history.runs) if history.runs else None


def _start(course: Course, history: History, now: float, expected: float | None) -> float | None:
    if course.measures and history.paces:
        return _through(course, median(history.paces), now)
    if history.waits and course.queued is not None:
        return max(course.queued + median(history.waits) - now, 0.0)
    if course.measures and expected is not None:
        return _through(course, expected, now)
    return None


def _through(course: Course, pace: float, now: float) -> float:
    """Return when the queue will be through; later arrivals lengthen it, but not the wait."""
    return max(min(at + length * pace for at, length in course.measures) - now, 0.0)
