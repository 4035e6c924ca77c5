"""When to ask for a job's status next. Pure: the caller brings time and randomness.

Inside each status the pauses grow exponentially from a quick start up to a cap.
While a job is queued the cap is a share of its estimated running time, since only
the running must not be slept through; once it runs, pauses follow its age. Every
change of status begins anew. One number turns all of it: the lateness wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qawait import limits
from qawait.errors import ConfigError
from qawait.types import JobStatus

_ENOUGH_STEPS: Final = 64  # beyond every cap, below the overflow of a float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of a job when its next query is planned.

    `polls` counts the queries that found it in `status`, in which it has been
    seen for `age` seconds; `gap` is the time without a look before the first of
    them, by which the status may be older. `estimate` is the running time as the
    service expects it.
    """

    status: JobStatus
    polls: int = 0
    age: float = 0.0
    gap: float = 0.0
    estimate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """How often a job is asked for, by what is known of it.

    `lateness` is about how many seconds after its end a job is seen to have
    ended, on average; twice as much halves the requests. The other numbers are
    for a lateness of 0.25 s and follow it: pauses begin at `first`
    seconds and grow by `factor`; a queued job's cap is `queued_share` of its
    estimated running time between `first` and `queued_cap`, or
    `queued_unknown` without an estimate; a running job's is `running_share` of
    the time it has been running, between `running_first` and `running_cap`. A
    job seen to start is left alone for `running_lead` of its estimate.
    Each pause varies by the share `jitter` to either side.

    Raises:
        ConfigError: a number is not positive.
    """

    lateness: float = limits.POLL_LATENESS_SECONDS
    first: float = limits.POLL_FIRST_SECONDS
    factor: float = limits.POLL_FACTOR
    queued_share: float = limits.POLL_QUEUED_SHARE
    queued_unknown: float = limits.POLL_QUEUED_UNKNOWN_SECONDS
    queued_cap: float = limits.POLL_QUEUED_CAP_SECONDS
    running_first: float = limits.POLL_RUNNING_FIRST_SECONDS
    running_share: float = limits.POLL_RUNNING_SHARE
    running_lead: float = limits.POLL_RUNNING_LEAD
    running_cap: float = limits.POLL_RUNNING_CAP_SECONDS
    jitter: float = limits.POLL_JITTER

    def __post_init__(self) -> None:
        for name in ("lateness", "first", "queued_cap", "running_first", "running_cap"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, not {getattr(self, name)!r}")

    @property
    def tick(self) -> float:
        """The seconds within which jobs that are due are asked for together."""
        return min(self.first, self.running_first) * self._scale / 2

    def pause(self, sight: Sight, random: float) -> float:
        """Return the seconds to the next query; `random` is uniform in [0, 1)."""
        running = sight.status is JobStatus.RUNNING
        plain = self._running(sight) if running else self._queued(sight)
        return plain * (1 + self.jitter * (2 * random - 1))

    def _queued(self, sight: Sight) -> float:
        grown = self.first * self.factor ** min(sight.polls, _ENOUGH_STEPS) * self._scale
        return min(grown, self._queued_limit(sight.estimate))

    def _running(self, sight: Sight) -> float:
        share = self.running_share * sight.age
        plain = _between(self.running_first, share, self.running_cap) * self._scale
        if sight.polls or sight.estimate is None:
            return plain
        lead = self.running_lead * min(1.0, self._scale)
        return max(plain, lead * sight.estimate - sight.gap)

    def _queued_limit(self, estimate: float | None) -> float:
        cap = self.queued_cap * self._scale
        if estimate is None:
            return min(self.queued_unknown * self._scale, cap)
        # a running slept through is seen late by half of what the pause exceeds it by
        slack = 2 * max(0.0, self.lateness - limits.POLL_LATENESS_SECONDS)
        share = self.queued_share * min(1.0, self._scale) * estimate
        return _between(self.first * self._scale, share + slack, cap)

    @property
    def _scale(self) -> float:
        return self.lateness / limits.POLL_LATENESS_SECONDS


def _between(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))
