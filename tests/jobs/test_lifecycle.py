"""The pure core: transitions, effects and the one cancel."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.jobs.lifecycle import (
    CancelState,
    Effect,
    Event,
    ImpossibleEventError,
    JobState,
    State,
    step,
)
from qawait.types import JobStatus


def walk(*events: Event) -> tuple[State, list[Effect]]:
    """Apply events one after the other and collect all effects."""
    state = State()
    effects: list[Effect] = []
    for event in events:
        identified = event in (Event.ACCEPTED, Event.FOUND, Event.ATTACH)
        state, new = step(state, event, job_id="id" if identified else None)
        effects += new
    return state, effects


def test_a_job_goes_from_new_to_done() -> None:
    """Submit, acceptance and completion lead to DONE, and nothing else is done."""
    state, effects = walk(Event.SUBMIT, Event.ACCEPTED, Event.SEEN_LIVE, Event.SEEN_DONE)
    assert state.job is JobState.DONE
    assert effects == [Effect.SUBMIT, Effect.WATCH, Effect.END]


def test_a_cancel_before_the_submit_sends_nothing() -> None:
    """A job that is cancelled while it is NEW is never submitted."""
    state, effects = walk(Event.CANCEL_WANTED)
    assert (state.job, state.cancel) == (JobState.NOT_SUBMITTED, CancelState.MOOT)
    assert effects == [Effect.END]


def test_a_cancel_during_the_submit_waits_for_the_id() -> None:
    """A cancel wanted while the submit is in flight is sent once the id is known."""
    state, effects = walk(Event.SUBMIT, Event.CANCEL_WANTED)
    assert effects == [Effect.SUBMIT]
    state, effects = step(state, Event.ACCEPTED, job_id="id")[0], [*effects]
    assert state.cancel is CancelState.SENT


def test_a_lost_answer_is_looked_up() -> None:
    """A submit whose answer was lost is settled by a look-up, not by a second submit."""
    _, effects = walk(Event.SUBMIT, Event.ANSWER_LOST)
    assert effects == [Effect.SUBMIT, Effect.LOOK_UP]


def test_an_absent_job_is_submitted_again_once() -> None:
    """A submit that certainly never arrived is sent again, but not for ever."""
    events = [Event.SUBMIT, *[Event.ANSWER_LOST, Event.ABSENT] * (limits.RESUBMITS + 1)]
    state, effects = walk(*events)
    assert effects.count(Effect.SUBMIT) == 1 + limits.RESUBMITS
    assert state.job is JobState.NOT_SUBMITTED


def test_an_absent_job_that_is_unwanted_is_not_submitted_again() -> None:
    """A cancel that came while the answer was lost prevents the second submit."""
    state, effects = walk(Event.SUBMIT, Event.ANSWER_LOST, Event.CANCEL_WANTED, Event.ABSENT)
    assert effects.count(Effect.SUBMIT) == 1
    assert (state.job, state.cancel) == (JobState.NOT_SUBMITTED, CancelState.MOOT)


def test_a_cancel_is_repeated_only_after_the_job_was_seen_live() -> None:
    """A cancel whose answer was lost goes out again only when a query shows the job live."""
    before = (Event.SUBMIT, Event.ACCEPTED, Event.CANCEL_WANTED, Event.CANCEL_LOST)
    _, effects = walk(*before)
    assert effects.count(Effect.CANCEL) == 1
    assert effects[-1] is Effect.QUERY
    _, effects = walk(*before, Event.SEEN_LIVE)
    assert effects.count(Effect.CANCEL) == 2


@pytest.mark.parametrize("end", [Event.SEEN_DONE, Event.SEEN_ERROR])
def test_no_cancel_is_sent_for_a_job_seen_final(end: Event) -> None:
    """A cancel that is still unsent or unknown is moot once the job was seen final."""
    state, effects = walk(Event.SUBMIT, Event.ACCEPTED, Event.CANCEL_WANTED, Event.CANCEL_LOST, end)
    assert state.cancel is CancelState.MOOT
    assert effects.count(Effect.CANCEL) == 1


def test_a_job_may_outrun_its_cancel() -> None:
    """A job that completes although its cancel was accepted is DONE."""
    state, _ = walk(
        Event.SUBMIT, Event.ACCEPTED, Event.CANCEL_WANTED, Event.CANCEL_ACCEPTED, Event.SEEN_DONE
    )
    assert (state.job, state.cancel) == (JobState.DONE, CancelState.ACKED)


def test_a_refused_cancel_is_followed_by_a_query() -> None:
    """A 404 or 409 to a cancel is believed only when a query shows the job final."""
    before = (Event.SUBMIT, Event.ACCEPTED, Event.CANCEL_WANTED, Event.CANCEL_REFUSED)
    state, effects = walk(*before)
    assert state.cancel is CancelState.UNKNOWN
    assert effects[-1] is Effect.QUERY
    assert walk(*before, Event.SEEN_DONE)[0].cancel is CancelState.MOOT
    assert walk(*before, Event.SEEN_LIVE)[1].count(Effect.CANCEL) == 2


def test_a_cancel_that_had_no_effect_does_not_count() -> None:
    """A cancel that was not sent, or throttled, is sent again as often as it takes."""
    events = [Event.CANCEL_NOT_SENT] * 50
    state, effects = walk(Event.SUBMIT, Event.ACCEPTED, Event.CANCEL_WANTED, *events)
    assert (state.cancel, state.sends) == (CancelState.SENT, 1)
    assert effects.count(Effect.CANCEL) == 51


def test_a_final_state_is_never_left() -> None:
    """Sightings that arrive late change nothing about a job that has ended."""
    done, _ = walk(Event.SUBMIT, Event.ACCEPTED, Event.SEEN_DONE)
    for late in (Event.SEEN_LIVE, Event.SEEN_ERROR, Event.SEEN_CANCELLED, Event.GONE):
        assert step(done, late) == (done, ())


def test_a_status_that_goes_backwards_is_passed_on() -> None:
    """RUNNING after which the service says QUEUED again is QUEUED."""
    state, _ = walk(Event.SUBMIT, Event.ACCEPTED)
    state, _ = step(state, Event.SEEN_LIVE, status=JobStatus.RUNNING)
    state, _ = step(state, Event.SEEN_LIVE, status=JobStatus.QUEUED)
    assert state.status is JobStatus.QUEUED


def test_an_impossible_event_is_an_error() -> None:
    """An event that the tables do not know in a state is refused loudly."""
    with pytest.raises(ImpossibleEventError):
        step(State(), Event.ACCEPTED)


def test_every_state_that_can_be_reached_keeps_the_promises() -> None:
    """In all reachable states: at most one live submit, cancels only for live jobs."""
    seen: set[State] = set()
    frontier = [State()]
    while frontier:
        state = frontier.pop()
        if state in seen:
            continue
        seen.add(state)
        for event, status in itertools.product(Event, (None, JobStatus.RUNNING)):
            try:
                after, effects = step(state, event, job_id=_id_for(event), status=status)
            except ImpossibleEventError:
                continue
            assert effects.count(Effect.CANCEL) <= 1
            if Effect.CANCEL in effects:
                assert after.job is JobState.LIVE
                unsent = event is Event.CANCEL_NOT_SENT
                assert state.sends == 0 or unsent or event is Event.SEEN_LIVE
            if Effect.SUBMIT in effects:
                assert state.cancel is CancelState.NONE
            frontier.append(after)
    assert {state.job for state in seen} == set(JobState)
    assert {state.cancel for state in seen} == set(CancelState)


def _id_for(event: Event) -> str | None:
    return "id" if event in (Event.ACCEPTED, Event.FOUND, Event.ATTACH) else None


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_cancels_are_bounded(events: list[Event]) -> None:
    """However events come, no job gets more cancels than the limit."""
    state = State()
    for event in events:
        try:
            state, _ = step(state, event, job_id=_id_for(event))
        except ImpossibleEventError:
            continue
    assert state.sends <= limits.CANCEL_SENDS
