"""When a task that works for a job ends as it should not: the job goes on all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from qawait import limits
from qawait.errors import DeadlineExceededError, QawaitError, UnknownOutcomeError
from qawait.jobs.lifecycle import CancelState, Effect, Event, JobState

if TYPE_CHECKING:
    from qawait.jobs.driver import Driver


def rescue(driver: Driver) -> bool:
    """Set a job going again if no task is at work where one has to be.

    A task of ours ends early only when somebody cancels it from outside. What
    it was doing then counts as a request whose answer was lost. One that is at
    work for longer than all its limits together is hung: waiters are told.
    """
    if driver.is_ended:
        return False
    if driver.working > 0:
        return _is_overdue(driver)
    state = driver.state
    if state.job is JobState.SUBMITTING:
        driver.error = driver.named(UnknownOutcomeError("the submit was cut short"))
        driver.apply(Event.ANSWER_LOST)
    elif state.job is JobState.UNKNOWN:
        driver.carry_out(Effect.LOOK_UP)
    elif state.cancel is CancelState.SENT:
        driver.apply(Event.CANCEL_LOST)
    else:
        return driver.is_followed and driver.shared.poller.adopt(driver)
    return True


def _is_overdue(driver: Driver) -> bool:
    turn = driver.submission.since if driver.submission is not None else driver.began
    seconds = anyio.current_time() - max(driver.began, turn)
    if seconds < limits.DRIVE_SECONDS or driver.trouble is not None:
        return False
    message = f"qawait has been at work on the job for {seconds:.0f} s without a change"
    driver.worry(DeadlineExceededError(message))
    return True


def broken(driver: Driver, bug: Exception) -> None:
    """Tell every waiter of an error of ours, and leave no job behind it."""
    trouble = driver.named(QawaitError("qawait failed while it drove the job"))
    trouble.__cause__ = bug
    state = driver.state
    if state.job is JobState.SUBMITTING:
        driver.error = trouble
        driver.apply(Event.ANSWER_LOST)
    elif state.job is JobState.UNKNOWN:
        driver.end_without_job(Event.GONE, trouble)
    elif state.job is JobState.LIVE:
        if state.cancel is CancelState.SENT:
            driver.apply(Event.CANCEL_LOST)
        elif driver.on_cancel == "cancel":
            driver.want_cancel()
        driver.worry(trouble)
