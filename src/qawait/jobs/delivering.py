"""A job's result: when it is fetched, who gets it, and what is raised where there is none."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from qawait.errors import JobCancelledError, QawaitError
from qawait.jobs import sightings
from qawait.jobs.fetching import Fetch
from qawait.jobs.lifecycle import JobState
from qawait.jobs.outcome import failure
from qawait.types import Stage

if TYPE_CHECKING:
    from qawait.jobs.driver import Driver

_log = logging.getLogger("qawait.driver")


async def result(driver: Driver) -> Any:
    """Return the decoded result of a job that has ended; downloaded once.

    Raises:
        QawaitError: the job has no result, or the download failed.
    """
    state = driver.state
    if state.job in (JobState.NOT_SUBMITTED, JobState.LOST):
        raise why_no_job(driver)
    text = await _failure_text(driver) if state.job is JobState.ERROR else None
    error = failure(state, driver.snapshot, text)
    if isinstance(error, JobCancelledError) and driver.why_cancelled is not None:
        raise driver.named(driver.why_cancelled.again())
    if error is not None:
        raise error
    return await _fetched(driver).result(driver.shared.service)


def why_no_job(driver: Driver) -> QawaitError:
    """Return the error that says why there is no remote job, or none to be seen."""
    error = driver.error or driver.trouble or driver.why_cancelled
    if error is not None:
        return error.again()
    return JobCancelledError("the job was cancelled before it was submitted", tag=driver.tag)


async def deliver(driver: Driver) -> None:
    """Fetch the result of a job that somebody runs, and tell of it."""
    try:
        await _fetched(driver).ready(driver.shared.service)
    except QawaitError as error:
        # whoever waits for the result asks again and is told
        _log.debug("fetching job %s failed: %s", driver.name, type(error).__name__)
    driver.tell(Stage.DONE)


def confirms(driver: Driver) -> bool:
    """Begin to fetch the result of a job that has probably ended, if only that is waited for.

    It saves asking for the status. The result of a private job can be read
    once, so that one is asked for first.
    """
    only_the_result = driver.readers > 0 and driver.readers == driver.waiters
    if not only_the_result or driver.has_no_result or driver.is_unwanted or driver.is_private:
        return False
    if driver.state.job is not JobState.LIVE:
        return False
    driver.start(partial(_confirm, driver))
    return True


async def _confirm(driver: Driver) -> None:
    """Fetch the result; a job without one is asked for."""
    confirmed = False
    try:
        confirmed = await _fetched(driver).attempt(driver.shared.service)
    except Exception as error:  # noqa: BLE001 - whoever waits for the result fetches it and is told
        _log.debug("job %s is not confirmed: %s", driver.name, type(error).__name__)
    finally:
        if confirmed:
            sightings.delivered(driver)
        else:
            driver.has_no_result = True
            driver.shared.poller.release(driver)


async def _failure_text(driver: Driver) -> str | None:
    """Return what a failed job stored in place of a result, if it can be had."""
    try:
        return await _fetched(driver).failure_text(driver.shared.service)
    except QawaitError as error:
        _log.debug("no text for failed job %s: %s", driver.name, type(error).__name__)
        return None


def _fetched(driver: Driver) -> Fetch:
    """Return the one download of the job's result, whoever else follows the job."""
    if driver.fetch is None:
        shared, about = driver.shared, driver.request or driver.snapshot
        driver.fetch = shared.results.fetches.get(driver.job_id) or Fetch(
            shared.host,
            shared.calls,
            shared.results,
            driver.job_id,
            program=about.program if about else None,
            private=driver.is_private,
        )
    return driver.fetch
