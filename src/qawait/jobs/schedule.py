"""When to ask for a job's status next. Pure: the caller brings the randomness."""

from __future__ import annotations

from dataclasses import dataclass

from qawait import limits
from qawait.types import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """Exponential back-off with jitter that starts again at every change of status.

    Pauses begin at `first` seconds and grow by `factor` up to a cap of the status
    the job is in; each varies by the share `jitter` to either side.
    """

    first: float = limits.POLL_FIRST_SECONDS
    factor: float = limits.POLL_FACTOR
    queued_cap: float = limits.POLL_QUEUED_CAP_SECONDS
    running_cap: float = limits.POLL_RUNNING_CAP_SECONDS
    jitter: float = limits.POLL_JITTER

    def pause(self, status: JobStatus, polls: int, random: float) -> float:
        """Return the seconds to the next query.

        `polls` counts the queries that found the job in `status`; `random` is
        uniform in [0, 1).
        """
        cap = self.running_cap if status is JobStatus.RUNNING else self.queued_cap
        grown = self.first * self.factor ** min(polls, _ENOUGH_DOUBLINGS)
        return min(cap, grown) * (1 + self.jitter * (2 * random - 1))


_ENOUGH_DOUBLINGS = 64  # beyond every cap, below the overflow of a float
