"""The caller's side of a job: it only waits, and its cancellation is a wish for the driver.

A job's waiters are counted. When the last of them is stopped, by whatever means,
the job's policy decides what becomes of the remote job, and the exception that
stopped the caller goes on its way afterwards, with a note.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import anyio

from qawait import limits
from qawait.errors import DeadlineExceededError
from qawait.jobs import delivering
from qawait.jobs.lifecycle import JobState
from qawait.jobs.outcome import cancel_outcome, farewell
from qawait.jobs.waiting import is_urgent, outlast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qawait.jobs.driver import Driver
    from qawait.types import CancelOutcome


async def wait_identified(driver: Driver) -> None:
    """Wait until the service has given the job an id.

    Raises:
        QawaitError: there is no job, or nobody can tell.
    """

    def reached() -> bool:
        return driver.state.job_id is not None or driver.is_ended or driver.trouble is not None

    await _wait(driver, reached)
    if driver.state.job_id is None:
        raise delivering.why_no_job(driver)


async def wait_ended(driver: Driver, *, seconds: float = math.inf) -> None:
    """Wait until the job has ended, at most `seconds`.

    The time limit is the caller's only: when it passes, the job is as it was.

    Raises:
        DeadlineExceededError: the time limit passed.
        QawaitError: waiting makes no sense at the moment; the job is as it was.
    """

    def reached() -> bool:
        return driver.is_ended or driver.trouble is not None

    driver.look_again()
    await _wait(driver, reached, seconds=seconds)
    if not reached():
        message = f"the job is still {driver.status} after {seconds:g} s of waiting"
        raise DeadlineExceededError(message, job_id=driver.state.job_id, tag=driver.tag)
    if driver.trouble is not None and not driver.is_ended:
        raise driver.trouble.again()


async def wait_result(driver: Driver) -> Any:
    """Wait for the end of the job and return its decoded result.

    Raises:
        QawaitError: the job failed, was cancelled, ran too long or cannot be followed.
    """
    driver.readers += 1
    try:
        await wait_ended(driver)
    finally:
        driver.readers -= 1
    return await delivering.result(driver)


async def cancel(driver: Driver) -> CancelOutcome:
    """Cancel the job and wait, bounded, until it is known what became of it."""
    if driver.is_ended:
        return cancel_outcome(driver.state)
    driver.shared.host.check()
    driver.want_cancel()
    with anyio.move_on_after(limits.CANCEL_BOUND_SECONDS):
        await driver.changed.until(lambda: driver.state.is_settled)
    return cancel_outcome(driver.state)


async def settle(driver: Driver, *, seconds: float) -> BaseException | None:
    """Wait, through any cancellation, until it is known what becomes of the job.

    A job that is to be cancelled is settled by the service's answer, any other
    one as soon as its submit is over. Waits at most `seconds`, and returns the
    first cancellation that it absorbed.
    """

    def reached() -> bool:
        return _is_settled(driver)

    return await outlast(lambda: driver.changed.until(reached), reached, seconds=seconds)


def _is_settled(driver: Driver) -> bool:
    if not driver.shared.host.is_running:
        return True  # nobody is left to settle it but the guardian
    if driver.is_unwanted:
        return driver.state.is_settled
    return driver.state.job not in (JobState.SUBMITTING, JobState.UNKNOWN)


async def _wait(driver: Driver, reached: Callable[[], bool], *, seconds: float = math.inf) -> None:
    if not driver.is_ended:
        driver.shared.host.check()
    driver.waiters += 1
    driver.follow()
    try:
        with anyio.move_on_after(seconds):
            await driver.changed.until(reached)
    except GeneratorExit:  # nobody runs this any more, so nothing can be awaited
        driver.waiters -= 1
        raise
    except BaseException as stopped:
        driver.waiters -= 1
        await abandon([driver], stopped)
        raise
    driver.waiters -= 1


async def abandon(drivers: Iterable[Driver], stopped: BaseException) -> None:
    """Apply the policy of each job that nobody waits for any more, because of `stopped`."""
    alone = [driver for driver in drivers if not driver.is_ended and not driver.waiters]
    await leave(alone, stopped)


async def leave(drivers: Iterable[Driver], stopped: BaseException | None) -> BaseException | None:
    """Apply each job's policy, whoever else may be waiting for it.

    Returns when it is known what becomes of them, or after the bound; `stopped`
    gets a note about each. What is returned is the first cancellation that was
    absorbed meanwhile.
    """
    absorbed: BaseException | None = None
    live = [driver for driver in drivers if not driver.is_ended]
    for driver in live:
        if driver.on_cancel == "cancel":
            driver.want_cancel()
    if is_urgent(stopped):
        return None
    deadline = anyio.current_time() + limits.CANCEL_BOUND_SECONDS
    for driver in live:
        cancelled = await settle(driver, seconds=deadline - anyio.current_time())
        absorbed = absorbed or cancelled
    if stopped is not None:
        _take_notes(live, stopped)
    return absorbed


def raise_absorbed(absorbed: BaseException | None, stopped: BaseException | None) -> None:
    """Raise a cancellation that was absorbed, unless one is on its way already."""
    if absorbed is not None and not isinstance(stopped, anyio.get_cancelled_exc_class()):
        raise absorbed from stopped


def _take_notes(drivers: list[Driver], stopped: BaseException) -> None:
    for driver in drivers[:_NOTES]:
        stopped.add_note(farewell(driver.state, detached=driver.on_cancel == "detach"))
    if len(drivers) > _NOTES:
        stopped.add_note(f"qawait: and {len(drivers) - _NOTES} more jobs")


_NOTES = 10
