"""The life of one job and of its cancellation, as two enums and their transition tables.

Pure: no await, no clock, no I/O, no randomness. `step` maps a state and an event
to the next state and to the effects that the driver has to carry out.

    job:     NEW → SUBMITTING → LIVE → DONE | ERROR | CANCELLED
                   SUBMITTING → UNKNOWN → LIVE | SUBMITTING | NOT_SUBMITTED | LOST
                                UNKNOWN → DONE | ERROR | CANCELLED (found when it had ended)
    cancel:  NONE → WANTED → SENT → ACKED | MOOT,   SENT → UNKNOWN → SENT | MOOT | ACKED

Cancellation is a state, not an event: asking twice changes nothing. A cancel is
sent again only from WANTED or UNKNOWN, and only after the job was seen live.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from qawait import limits
from qawait.types import JobStatus


class JobState(enum.StrEnum):
    """Where a job is, as this process knows it."""

    NEW = "NEW"
    SUBMITTING = "SUBMITTING"
    UNKNOWN = "UNKNOWN"  # the answer to the submit was lost: the job may exist
    LIVE = "LIVE"
    DONE = "DONE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"
    NOT_SUBMITTED = "NOT_SUBMITTED"  # certainly no remote job
    LOST = "LOST"  # looked for and neither found nor ruled out, or gone from the service

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, or can no longer be followed."""
        return self in _FINAL_STATES


_FINAL_STATES = frozenset(
    {
        JobState.DONE,
        JobState.ERROR,
        JobState.CANCELLED,
        JobState.NOT_SUBMITTED,
        JobState.LOST,
    }
)


class CancelState(enum.StrEnum):
    """How far the one cancel of a job has come."""

    NONE = "NONE"
    WANTED = "WANTED"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"  # the answer was lost, or a refusal: only a query can tell
    ACKED = "ACKED"
    MOOT = "MOOT"  # there was nothing left to cancel

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be sent."""
        return self in (CancelState.ACKED, CancelState.MOOT)


class Event(enum.Enum):
    """What can happen to a job."""

    SUBMIT = enum.auto()
    ATTACH = enum.auto()
    ACCEPTED = enum.auto()
    REFUSED = enum.auto()
    WITHDRAWN = enum.auto()
    ANSWER_LOST = enum.auto()
    FOUND = enum.auto()
    ABSENT = enum.auto()
    GONE = enum.auto()
    SEEN_LIVE = enum.auto()
    SEEN_DONE = enum.auto()
    SEEN_ERROR = enum.auto()
    SEEN_CANCELLED = enum.auto()
    CANCEL_WANTED = enum.auto()
    CANCEL_ACCEPTED = enum.auto()
    CANCEL_REFUSED = enum.auto()
    CANCEL_NOT_SENT = enum.auto()
    CANCEL_LOST = enum.auto()


class Effect(enum.Enum):
    """What the driver has to do."""

    SUBMIT = enum.auto()
    LOOK_UP = enum.auto()
    WATCH = enum.auto()
    QUERY = enum.auto()
    CANCEL = enum.auto()
    END = enum.auto()


JOB_TRANSITIONS: Final = {
    (JobState.NEW, Event.SUBMIT): JobState.SUBMITTING,
    (JobState.NEW, Event.ATTACH): JobState.LIVE,
    (JobState.NEW, Event.CANCEL_WANTED): JobState.NOT_SUBMITTED,
    (JobState.SUBMITTING, Event.ACCEPTED): JobState.LIVE,
    (JobState.SUBMITTING, Event.REFUSED): JobState.NOT_SUBMITTED,
    (JobState.SUBMITTING, Event.WITHDRAWN): JobState.NOT_SUBMITTED,
    (JobState.SUBMITTING, Event.ANSWER_LOST): JobState.UNKNOWN,
    (JobState.UNKNOWN, Event.FOUND): JobState.LIVE,
    (JobState.UNKNOWN, Event.ABSENT): JobState.SUBMITTING,
    (JobState.UNKNOWN, Event.WITHDRAWN): JobState.NOT_SUBMITTED,
    (JobState.UNKNOWN, Event.GONE): JobState.LOST,
    (JobState.UNKNOWN, Event.SEEN_DONE): JobState.DONE,
    (JobState.UNKNOWN, Event.SEEN_ERROR): JobState.ERROR,
    (JobState.UNKNOWN, Event.SEEN_CANCELLED): JobState.CANCELLED,
    (JobState.LIVE, Event.GONE): JobState.LOST,
    (JobState.LIVE, Event.SEEN_LIVE): JobState.LIVE,
    (JobState.LIVE, Event.SEEN_DONE): JobState.DONE,
    (JobState.LIVE, Event.SEEN_ERROR): JobState.ERROR,
    (JobState.LIVE, Event.SEEN_CANCELLED): JobState.CANCELLED,
}
"""The events that move a job; a cancel's own events leave it where it is."""

CANCEL_TRANSITIONS: Final = {
    (CancelState.NONE, Event.CANCEL_WANTED): CancelState.WANTED,
    (CancelState.SENT, Event.CANCEL_ACCEPTED): CancelState.ACKED,
    (CancelState.SENT, Event.CANCEL_REFUSED): CancelState.UNKNOWN,
    (CancelState.SENT, Event.CANCEL_NOT_SENT): CancelState.WANTED,
    (CancelState.SENT, Event.CANCEL_LOST): CancelState.UNKNOWN,
    (CancelState.UNKNOWN, Event.SEEN_CANCELLED): CancelState.ACKED,
}
"""The events that move a cancel; the end of its job makes an unsent one moot."""

_CANCEL_REPLIES = frozenset(
    {
        Event.CANCEL_ACCEPTED,
        Event.CANCEL_REFUSED,
        Event.CANCEL_NOT_SENT,
        Event.CANCEL_LOST,
    }
)
_SIGHTINGS = frozenset(
    {Event.SEEN_LIVE, Event.SEEN_DONE, Event.SEEN_ERROR, Event.SEEN_CANCELLED, Event.GONE}
)


class ImpossibleEventError(AssertionError):
    """An event came in a state in which it cannot happen: a bug of ours."""


@dataclass(frozen=True, slots=True)
class State:
    """A job and its cancel at one moment; `sends` counts cancels, `submits` submits."""

    job: JobState = JobState.NEW
    cancel: CancelState = CancelState.NONE
    job_id: str | None = None
    status: JobStatus = JobStatus.INITIALIZING
    submits: int = 0
    sends: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether it is known that the remote job has ended or will be ended."""
        return self.job.is_final or self.cancel.is_settled


_STATUS_OF = {
    JobState.NEW: JobStatus.INITIALIZING,
    JobState.SUBMITTING: JobStatus.SUBMITTING,
    JobState.UNKNOWN: JobStatus.SUBMITTING,
    JobState.DONE: JobStatus.DONE,
    JobState.ERROR: JobStatus.ERROR,
    JobState.CANCELLED: JobStatus.CANCELLED,
    JobState.LOST: JobStatus.ERROR,
}

Step = tuple[State, tuple[Effect, ...]]


def step(
    state: State,
    event: Event,
    *,
    job_id: str | None = None,
    status: JobStatus | None = None,
) -> Step:
    """Return the state after `event` and what has to be done about it.

    `status` is the service's word for a live job (QUEUED or RUNNING).

    Raises:
        ImpossibleEventError: the tables do not know this event in this state.
    """
    if state.job.is_final and event in _SIGHTINGS:
        return state, ()  # an answer that was under way when the job ended
    job = _next_job(state, event)
    after = replace(
        state,
        job=job,
        cancel=_next_cancel(state, event, job),
        job_id=job_id or state.job_id,
        submits=state.submits + (job is JobState.SUBMITTING and job is not state.job),
        sends=state.sends - (event is Event.CANCEL_NOT_SENT),
    )
    after = replace(after, status=_status(after, status))
    return _with_effects(state, after, event)


def _next_job(state: State, event: Event) -> JobState:
    if event in _CANCEL_REPLIES:
        return state.job
    if event is Event.CANCEL_WANTED and state.job is not JobState.NEW:
        return state.job
    if event is Event.ABSENT and not _may_resubmit(state):
        event = Event.WITHDRAWN
    try:
        return JOB_TRANSITIONS[state.job, event]
    except KeyError:
        raise ImpossibleEventError(f"{event} in {state}") from None


def _may_resubmit(state: State) -> bool:
    return state.cancel is CancelState.NONE and state.submits <= limits.RESUBMITS


def _next_cancel(state: State, event: Event, job: JobState) -> CancelState:
    cancel = CANCEL_TRANSITIONS.get((state.cancel, event), state.cancel)
    if event in _CANCEL_REPLIES and state.cancel is not CancelState.SENT:
        raise ImpossibleEventError(f"{event} in {state}")
    unsent = cancel in (CancelState.WANTED, CancelState.UNKNOWN)
    return CancelState.MOOT if job.is_final and unsent else cancel


def _status(state: State, seen: JobStatus | None) -> JobStatus:
    if state.job is JobState.LIVE:
        if seen is not None:
            return seen
        return JobStatus.QUEUED if state.status in _BEFORE_LIVE else state.status
    if state.job is JobState.NOT_SUBMITTED:
        cancelled = state.cancel is not CancelState.NONE
        return JobStatus.CANCELLED if cancelled else JobStatus.ERROR
    return _STATUS_OF[state.job]


_BEFORE_LIVE = frozenset({JobStatus.INITIALIZING, JobStatus.SUBMITTING})


def _with_effects(before: State, after: State, event: Event) -> Step:
    effects: list[Effect] = []
    if after.job is not before.job:
        effects += _on_entry(after.job)
    if _sends_cancel(after, event):
        after = replace(after, cancel=CancelState.SENT, sends=after.sends + 1)
        effects.append(Effect.CANCEL)
    elif event in _CANCEL_REPLIES and after.job is JobState.LIVE:
        effects.append(Effect.QUERY)
    return after, tuple(effects)


def _on_entry(job: JobState) -> tuple[Effect, ...]:
    if job.is_final:
        return (Effect.END,)
    return {
        JobState.SUBMITTING: (Effect.SUBMIT,),
        JobState.UNKNOWN: (Effect.LOOK_UP,),
        JobState.LIVE: (Effect.WATCH,),
    }[job]


def _sends_cancel(state: State, event: Event) -> bool:
    """A first cancel goes out at once; another one only after the job was seen live."""
    if state.job is not JobState.LIVE or state.sends >= limits.CANCEL_SENDS:
        return False
    if state.cancel is CancelState.WANTED:
        return state.sends == 0 or event is Event.SEEN_LIVE
    return state.cancel is CancelState.UNKNOWN and event is Event.SEEN_LIVE
