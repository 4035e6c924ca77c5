"""What a panel shows, as values: jobs, the time each spent in each stage, and totals. No I/O."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qawait.types import CancelOutcome, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qawait.panels.outline import Outline
    from qawait.types import Snapshot, Update

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_EXACT: Final = 10.0
"""Past durations below this are shown to a tenth of a second."""

ORDER: Final = (
    Stage.RUNNING,
    Stage.FETCHING,
    Stage.QUEUED,
    Stage.SUBMITTING,
    Stage.ERROR,
    Stage.CANCELLED,
    Stage.DONE,
)
"""The stages by how much there is to see: what a short table shows first."""


def duration(seconds: float) -> str:
    """Return a time that is still growing: whole seconds in the first minute, then minutes."""
    if seconds < _MINUTE:
        return f"{int(max(seconds, 0))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02} min"


def past(seconds: float) -> str:
    """Return a time that is over."""
    return f"{max(seconds, 0):.1f} s" if seconds < _EXACT else duration(seconds)


def until_next(seconds: float) -> float:
    """Return in how many seconds `duration` of a growing time reads differently."""
    step = 1.0 if seconds < _MINUTE else _MINUTE
    return step - max(seconds, 0.0) % step


@dataclass(slots=True)
class Watched:
    """One job as a panel shows it; times are seconds, and seconds since the epoch.

    `took` is the time in each stage that is over. The time in the queue counts
    from the job's creation where the service tells it, all others from when the
    panel learnt of them.
    """

    job_id: str = ""
    backend: str | None = None
    stage: Stage = Stage.SUBMITTING
    entered: float = 0.0
    took: dict[Stage, float] = field(default_factory=dict)
    estimate: float | None = None
    reason: str | None = None
    disconnected_since: float | None = None
    is_stopping: bool = False
    cancel: CancelOutcome | None = None
    outline: Outline | None = None
    _is_new: bool = True

    def take(self, update: Update, seen: Snapshot | None) -> None:
        """Take in an update, and what the service last said of the job."""
        self.job_id = update.job_id or self.job_id
        self.estimate = update.estimated_seconds or self.estimate
        self.reason = update.reason
        self.disconnected_since = update.disconnected_since
        if seen is not None:
            self.backend = seen.backend or self.backend
        if self._is_new:
            self._begin(update, seen)
        elif update.stage is not self.stage:
            self.took[self.stage] = max(update.time - self.entered, 0.0)
            self.stage, self.entered = update.stage, update.time

    def _begin(self, update: Update, seen: Snapshot | None) -> None:
        self._is_new = False
        self.stage, self.entered = update.stage, update.time
        if update.stage is Stage.QUEUED and seen is not None and seen.created is not None:
            self.entered = min(seen.created.timestamp(), update.time)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self.stage.is_final

    def elapsed(self, now: float) -> float:
        """Return how long the job has been in its stage; once it has ended, all of its time."""
        return sum(self.took.values()) if self.is_ended else max(now - self.entered, 0.0)

    def share(self, now: float) -> float | None:
        """Return how much of its expected running time a running job has had, up to 1."""
        if self.stage is not Stage.RUNNING or not self.estimate:
            return None
        return min(self.elapsed(now) / self.estimate, 1.0)

    def steps(self, now: float) -> str:
        """Return the time in each stage, in one line."""
        parts = [f"{stage.name.lower()} {past(took)}" for stage, took in self.took.items()]
        if not self.is_ended:
            parts.append(f"{self.stage.name.lower()} {duration(self.elapsed(now))}")
        return " · ".join(parts)

    def remark(self) -> str:
        """Return what else there is to say: no answers, a reason, an estimate, a cancel."""
        if self.disconnected_since is not None and not self.is_ended:
            since = time.strftime("%H:%M:%S", time.localtime(self.disconnected_since))
            return f"no answer from the service since {since}"
        if self.reason and (self.is_ended or not self.is_stopping):
            return self.reason
        if self.is_ended:
            return "the job outran its cancel" if self._has_outrun else ""
        if self.is_stopping:
            return _STOPPING.get(self.cancel, "cancelling …")
        if self.estimate:
            return f"about {duration(self.estimate)} expected"
        return ""

    @property
    def _has_outrun(self) -> bool:
        return self.stage is Stage.DONE and self.cancel is CancelOutcome.REQUESTED


_STOPPING: Final[Mapping[CancelOutcome | None, str]] = {
    CancelOutcome.REQUESTED: "cancel accepted",
    CancelOutcome.UNKNOWN: "what became of the cancel is not known yet",
}


class Board:
    """All that one panel shows; `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.rows: list[Watched] = []
        self.clock = clock

    @property
    def is_ended(self) -> bool:
        """Whether every job has ended."""
        return all(row.is_ended for row in self.rows)

    @property
    def ended(self) -> int:
        """How many jobs have."""
        return sum(row.is_ended for row in self.rows)

    def summary(self) -> str:
        """Return how many jobs there are in each stage."""
        found = Counter(row.stage for row in self.rows)
        parts = [f"{found[stage]} {stage.name.lower()}" for stage in ORDER if found[stage]]
        return " · ".join([f"{self.ended} of {len(self.rows)} ended", *parts])

    def shown(self, most: int) -> list[Watched]:
        """Return the rows of a table with room for `most`: all, or those that tell most."""
        if len(self.rows) <= most:
            return list(self.rows)
        by_interest = sorted(self.rows, key=lambda row: ORDER.index(row.stage))
        kept = {id(row) for row in by_interest[:most]}
        return [row for row in self.rows if id(row) in kept]

    def pause(self) -> float:
        """Return in how many seconds something reads differently though nothing has happened."""
        now = self.clock()
        live = [until_next(row.elapsed(now)) for row in self.rows if not row.is_ended]
        return min(live, default=_HOUR)
