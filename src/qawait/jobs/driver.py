"""Walks one job through its life, and alone talks to the service about it.

The driver belongs to the client; callers only wait for it. It is not a task: it
is a state that events move and that short tasks of the client's host act upon,
so a job waiting in a queue holds no stack. Cancelling a caller can therefore
never cut a request in two.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from qawait.errors import (
    ConfigError,
    QawaitError,
)
from qawait.jobs import delivering, effects, mending, sightings
from qawait.jobs.lifecycle import (
    CancelState,
    Effect,
    Event,
    ImpossibleEventError,
    JobState,
    State,
    step,
)
from qawait.jobs.outcome import stage_of
from qawait.jobs.updates import UpdateStream
from qawait.jobs.waiting import Signal
from qawait.types import JobStatus, Snapshot, Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from qawait.jobs.budget import Budget
    from qawait.jobs.fetching import Fetch
    from qawait.jobs.shared import Shared
    from qawait.jobs.submitting import Submission
    from qawait.types import OnCancel, SubmitRequest

_log = logging.getLogger("qawait.driver")


class Driver:
    """One job's state, the effects it asks for, and whoever waits for it."""

    __slots__ = (
        "__weakref__",
        "_delivers",
        "_ended",
        "_told",
        "_updates",
        "_worried",
        "attempts",
        "began",
        "budgets",
        "changed",
        "disconnected_since",
        "error",
        "fetch",
        "has_no_result",
        "is_followed",
        "on_cancel",
        "postponed",
        "readers",
        "refused_since",
        "request",
        "shared",
        "snapshot",
        "state",
        "submission",
        "trouble",
        "unknown_since",
        "waiters",
        "why_cancelled",
        "working",
    )

    def __init__(
        self,
        shared: Shared,
        request: SubmitRequest | None,
        *,
        on_cancel: OnCancel,
        delivers: bool = False,
        budgets: Sequence[Budget] = (),
    ) -> None:
        self.request = request
        self.on_cancel = on_cancel
        self.budgets = budgets
        self.why_cancelled: QawaitError | None = None  # if not because a caller wanted it
        self.state = State()
        self.snapshot: Snapshot | None = None
        self._updates: UpdateStream | None = None  # made for the first who wants to know
        self._told: tuple[Stage, float] | None = None
        self.attempts = 0
        self.error: QawaitError | None = None  # why there is no job, or none to be seen
        self.trouble: QawaitError | None = None  # why waiting makes no sense at the moment
        self.disconnected_since: float | None = None
        self.shared = shared
        self.is_followed = request is not None  # asks for the status without being waited for
        self._delivers = delivers  # fetches the result as soon as there is one
        self.changed = Signal()
        self._ended: tuple[Callable[[Driver], object], ...] = ()
        self.waiters = 0
        self.readers = 0  # those of them who want the result
        self.has_no_result = False  # as far as was seen when it was last missing from a list
        self._worried: tuple[Callable[[Driver], object], ...] = ()
        self.unknown_since: float | None = None
        self.refused_since: float | None = None
        self.postponed = 0  # cancels that certainly had no effect
        self.began = 0.0  # when the last of them was started
        self.working = 0  # tasks under way on behalf of this job
        self.fetch: Fetch | None = None
        self.submission: Submission[str] | None = None

    def __repr__(self) -> str:
        state = self.state
        return f"<Driver {self.name} {state.job}({state.status}) cancel={state.cancel}>"

    @property
    def job_id(self) -> str:
        """The service's id of the job; empty while it is not known."""
        return self.state.job_id or ""

    @property
    def tag(self) -> str | None:
        """The tag that is unique to this submit; `None` for an attached job."""
        return self.request.tag if self.request else None

    @property
    def name(self) -> str:
        """The id, or the tag while there is no id."""
        return repr(self.state.job_id or self.tag or "?")

    @property
    def is_tagged(self) -> bool:
        """Whether the job carries the client's tag."""
        return self.request is not None

    @property
    def session_id(self) -> str | None:
        """The session that the job belongs to, if any."""
        if self.request is not None:
            return self.request.session_id
        return self.snapshot.session_id if self.snapshot else None

    @property
    def estimate(self) -> float | None:
        """The job's running time in seconds, as the service expects it."""
        return self.snapshot.estimated_seconds if self.snapshot else None

    @property
    def status(self) -> JobStatus:
        """The job's status as last seen."""
        return self.state.status

    @property
    def is_ended(self) -> bool:
        """Whether the job has ended or can no longer be followed."""
        return self.state.job.is_final

    @property
    def is_unwanted(self) -> bool:
        """Whether the job is to be cancelled."""
        return self.state.cancel is not CancelState.NONE

    # --- events that others bring --------------------------------------------------------------

    def submit(self) -> None:
        """Begin to submit the job."""
        self.shared.live.add(self)
        self.apply(Event.SUBMIT)
        self.publish()

    def attach(self, snapshot: Snapshot, *, is_cancelled: bool = False) -> None:
        """Begin to follow a job that exists already, and perhaps was cancelled already."""
        if is_cancelled:
            self.state = replace(self.state, cancel=CancelState.ACKED, sends=1)
        self.apply(Event.ATTACH, job_id=snapshot.job_id)
        self.seen(snapshot)

    def follow(self) -> None:
        """Ask for the status from now on: somebody wants to know."""
        if not self.is_followed:
            self.is_followed = True
            if not self.is_ended:
                self.shared.live.add(self)
            if self.state.job is JobState.LIVE:
                self.shared.poller.watch(self)

    def look_again(self) -> None:
        """Ask at once whether what made waiting senseless still holds: somebody waits anew."""
        if self.trouble is not None and self.shared.host.is_running:
            self.trouble = None
            self.shared.poller.hurry(self)

    def want_cancel(self) -> None:
        """Ask for the one cancel of this job; asking again changes nothing."""
        self.follow()
        if not self.is_ended and self.state.cancel is CancelState.NONE:
            self.apply(Event.CANCEL_WANTED)
            if self.submission is not None:
                self.submission.withdraw()

    def seen(self, snapshot: Snapshot) -> None:
        """Take note of what the service said about the job."""
        if not self.is_ended:
            sightings.seen(self, snapshot)

    def missed(self, error: QawaitError) -> None:
        """Take note that the service could not be asked; the job is as it was."""
        if not self.is_ended:
            sightings.missed(self, error)

    def worry(self, error: QawaitError) -> None:
        """Tell whoever waits that waiting makes no sense at the moment; the job is as it was."""
        self.trouble = self.named(error)
        self.changed.set()
        for listener in self._worried:
            listener(self)

    def on_trouble(self, listener: Callable[[Driver], object]) -> None:
        """Call `listener` whenever waiting makes no sense; at once if it makes none now."""
        self._worried += (listener,)
        if self.trouble is not None:
            listener(self)

    def let_go(self) -> None:
        """Tell whoever waits that the client is closed; the job is as it was."""
        if self._updates is not None:
            self._updates.close()
        if self.is_ended:
            return
        closed = "the client was closed before the job had ended: attach to it with another one"
        self.worry(ConfigError(closed))
        self._tell_ended()

    def on_end(self, listener: Callable[[Driver], object]) -> None:
        """Call `listener` once when the job has ended; at once if it has."""
        if self.is_ended:
            listener(self)
        else:
            self._ended += (listener,)

    def confirm(self) -> bool:
        """Begin to find out whether the job has ended, unless that is left to the poller."""
        return delivering.confirms(self)

    @property
    def is_private(self) -> bool:
        """Whether the job's result can be read once only."""
        asked = self.request is not None and self.request.private
        return asked or (self.snapshot is not None and self.snapshot.private)

    # --- moving ---------------------------------------------------------------------------------

    def apply(
        self, event: Event, *, job_id: str | None = None, status: JobStatus | None = None
    ) -> None:
        """Move the state, tell the keeper, and carry out what the new state asks for."""
        before = self.state
        self.state, asked = step(before, event, job_id=job_id, status=status)
        if _matters(before) != _matters(self.state):
            self.shared.keeper.note(self)
        for effect in asked:
            self.carry_out(effect)
        if self.state != before or self.trouble is not None:
            self.changed.set()

    def carry_out(self, effect: Effect) -> None:
        """Do what the job's state asks for."""
        match effect:
            case Effect.SUBMIT:
                self.start(partial(effects.submit, self, self._own_request))
            case Effect.LOOK_UP:
                self.start(partial(effects.look_up, self, self._own_request))
            case Effect.CANCEL:
                self.start(partial(effects.cancel, self))
            case Effect.WATCH if self.is_followed:
                self.shared.poller.watch(self)
            case Effect.QUERY:
                self.shared.poller.hurry(self)
            case Effect.END:
                self._end()

    @property
    def _own_request(self) -> SubmitRequest:
        if self.request is None:
            raise ImpossibleEventError("an attached job cannot be submitted")
        return self.request

    def _end(self) -> None:
        self.shared.poller.forget(self)
        self._tell_ended()

    def _tell_ended(self) -> None:
        self._worried = ()
        listeners, self._ended = self._ended, ()
        for listener in listeners:
            listener(self)

    def publish(self) -> None:
        """Tell the readers of updates where the job is."""
        final = self.is_ended
        if final and self._delivers and self.state.job is JobState.DONE:
            self._delivers = False
            self.tell(Stage.FETCHING)
            self.start(partial(delivering.deliver, self))
        else:
            self.tell(stage_of(self.status))

    def tell(self, stage: Stage) -> None:
        """Tell the readers of updates that the job is in this stage."""
        if stage.is_final:
            self.shared.live.discard(self)
        self.shared.forecaster.note(self)
        self._told = (stage, self.shared.wall_clock())
        if self._updates is not None:
            self._updates.publish(self._update(*self._told))

    @property
    def updates(self) -> UpdateStream:
        """The job's updates, of which the latest is there already."""
        if self._updates is None:
            self._updates = UpdateStream()
            if self._told is not None:
                self._updates.publish(self._update(*self._told))
            if not self.shared.host.is_running:
                self._updates.close()
        return self._updates

    def _update(self, stage: Stage, time: float) -> Update:
        seen = self.snapshot
        reason = seen.reason if seen else None
        guess = self.shared.forecaster.look(self)
        return Update(
            stage=stage,
            time=time,
            attempt=self.attempts,
            job_id=self.state.job_id,
            raw_status=seen.raw_status if seen else None,
            reason=reason or (self.error.message if self.error else None),
            estimated_seconds=seen.estimated_seconds if seen else None,
            estimated_start=guess.start,
            estimated_end=guess.end,
            disconnected_since=self.disconnected_since,
        )

    @property
    def is_watched(self) -> bool:
        """Whether anybody would notice an update now."""
        return self._updates is not None and self._updates.is_watched

    # --- tasks of the client's host, and what they bring ------------------------------------------

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` as a task of the client; an error of ours reaches every waiter."""
        self.working += 1
        self.began = anyio.current_time()
        try:
            self.shared.host.start_soon(lambda: self._guarded(work))
        except BaseException:  # a second Ctrl-C can strike here; `rescue` makes good
            self.working -= 1
            raise

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as bug:  # noqa: BLE001 - ours, whatever it is: waiters must learn of it
            _log.exception("driving job %s failed", self.name)
            mending.broken(self, bug)
        finally:
            self.working -= 1

    def absent(self) -> None:
        """Take note that the submit certainly made no job."""
        self.apply(Event.ABSENT)
        if self.is_ended:
            self.publish()

    def accepted(self, event: Event, job_id: str) -> None:
        """Take note of the id that the service has given the job."""
        self.error = None
        self.apply(event, job_id=job_id)
        self.submission = None
        if self.request is not None:
            # thousands of jobs may wait for hours, and their circuits are with the service now
            self.request = replace(self.request, params=b"")
        self.publish()

    def end_without_job(self, event: Event, error: QawaitError | None) -> None:
        """Take note that there is no job, or none to be seen, because of `error`."""
        self.error = self.named(error) if error else None
        self.apply(event)
        self.publish()

    def named(self, error: QawaitError) -> QawaitError:
        """Return the error with the job's id and tag on it."""
        error.job_id = error.job_id or self.state.job_id
        error.tag = error.tag or self.tag
        return error


def _matters(state: State) -> tuple[object, ...]:
    """Return what somebody who had to settle the job would have to know."""
    return state.job, state.cancel, state.job_id
