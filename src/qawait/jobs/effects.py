"""What a job's state asks for, carried out: one short task for each effect.

A task talks to the service and brings its driver the event that came of it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import anyio

from qawait import limits
from qawait.errors import (
    AuthError,
    JobCancelledError,
    NotSentError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)
from qawait.jobs import budget, submitting
from qawait.jobs.lifecycle import Event
from qawait.jobs.retry import backoff
from qawait.jobs.service import CancelReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.jobs.driver import Driver
    from qawait.types import SubmitRequest

_log = logging.getLogger("qawait.driver")


async def submit(driver: Driver, request: SubmitRequest) -> None:
    """Submit the job, once its intent is kept."""
    shared = driver.shared

    admitted = request

    async def admit() -> None:
        nonlocal admitted
        admitted = await budget.admit(driver, request)

    async def send(on_sending: Callable[[], None]) -> str:
        return await shared.service.submit(admitted, on_sending=on_sending)

    driver.submission = submitting.Submission(send, shared.calls, tag=request.tag)
    try:
        job_id = await driver.submission.post(lambda: shared.keeper.intend(driver), admit=admit)
    except UnknownOutcomeError as error:
        driver.error = driver.named(error)
        driver.apply(Event.ANSWER_LOST)
    except JobCancelledError:
        driver.end_without_job(Event.WITHDRAWN, None)
    except QawaitError as error:
        driver.end_without_job(Event.REFUSED, error)
    else:
        driver.accepted(Event.ACCEPTED, job_id)


async def look_up(driver: Driver, request: SubmitRequest) -> None:
    """Settle a submit whose answer was lost."""
    service, calls = driver.shared.service, driver.shared.calls
    try:
        found = await submitting.look_up(service, calls, request.tag)
    except QawaitError as error:
        driver.end_without_job(Event.GONE, driver.error or error)
        return
    if not found:
        driver.absent()
        return
    oldest, *doubles = found
    if oldest.is_final:
        driver.error = None
        driver.seen(oldest)  # and not FOUND, which would send a cancel that was asked for meanwhile
    else:
        driver.accepted(Event.FOUND, oldest.job_id)
    for double in {double.job_id: double for double in doubles}.values():
        if double.is_final or double.job_id == oldest.job_id:  # a list may repeat a record
            continue
        _log.warning("a submit made job %s too; cancelling it", double.job_id)
        driver.start(partial(submitting.drop, service, calls, double.job_id))


async def cancel(driver: Driver) -> None:
    """Send one cancel; whether another may follow is the state's to decide."""
    if driver.state.sends > 1:
        await anyio.sleep(backoff(driver.state.sends, driver.shared.calls.random()))
        if driver.is_ended:
            driver.apply(Event.CANCEL_REFUSED)
            return
    try:
        reply = await driver.shared.service.cancel(driver.job_id)
    except UnknownOutcomeError:
        driver.apply(Event.CANCEL_LOST)
    except (NotSentError, RejectedError) as error:
        await _postpone(driver, error)
        driver.apply(Event.CANCEL_NOT_SENT)
    else:
        accepted = reply is CancelReply.ACCEPTED
        driver.apply(Event.CANCEL_ACCEPTED if accepted else Event.CANCEL_REFUSED)


async def _postpone(driver: Driver, error: QawaitError) -> None:
    """Wait before a cancel that had no effect is sent again: longer each time, and as told."""
    if isinstance(error, AuthError):
        driver.worry(error)
    driver.postponed += 1
    hint = error.retry_after if isinstance(error, ThrottledError) else None
    draw = driver.shared.calls.random()
    if hint is None:
        await anyio.sleep(backoff(driver.postponed - 1, 0.5 + draw / 2))
    else:
        await anyio.sleep(hint * (1 + limits.POLL_JITTER * draw))
