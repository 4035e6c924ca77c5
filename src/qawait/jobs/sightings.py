"""What the service says about a job, and what its driver makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio

from qawait import limits
from qawait.errors import AuthError, QawaitError, RejectedError, UnknownStatusError
from qawait.jobs.lifecycle import CancelState, Event, JobState
from qawait.jobs.retry import is_transient
from qawait.types import JobStatus, Snapshot

if TYPE_CHECKING:
    from qawait.jobs.driver import Driver

_NOT_FOUND: Final = 404

_CALM = frozenset({CancelState.NONE, CancelState.SENT, CancelState.ACKED, CancelState.MOOT})
_SIGHTING = {
    JobStatus.DONE: Event.SEEN_DONE,
    JobStatus.ERROR: Event.SEEN_ERROR,
    JobStatus.CANCELLED: Event.SEEN_CANCELLED,
}


def seen(driver: Driver, snapshot: Snapshot) -> None:
    """Take note of what the service said about a live job."""
    driver.attempts += 1
    if _is_old_news(driver, snapshot):
        driver.snapshot = snapshot
        if driver.is_watched:
            driver.publish()
        return
    driver.snapshot = snapshot
    driver.has_no_result = False
    driver.disconnected_since = driver.refused_since = driver.trouble = None
    unknown = _unknown_status(driver, snapshot)
    if unknown is not None:
        driver.worry(unknown)
    event = _SIGHTING.get(snapshot.status or JobStatus.QUEUED, Event.SEEN_LIVE)
    driver.apply(event, job_id=snapshot.job_id, status=snapshot.status)
    driver.publish()


def delivered(driver: Driver) -> None:
    """Take note that the job's result has come, so that it is DONE."""
    done = JobStatus.DONE
    last = driver.snapshot or Snapshot(job_id=driver.job_id, status=done, raw_status=done)
    driver.seen(replace(last, status=done, raw_status=done))


def missed(driver: Driver, error: QawaitError) -> None:
    """Take note that the service could not be asked about a live job, which is as it was."""
    driver.attempts += 1
    driver.named(error)
    if isinstance(error, RejectedError) and not is_transient(error):
        if not isinstance(error, AuthError) and not _is_refused_again(driver):
            return
        if error.status == _NOT_FOUND:
            driver.end_without_job(Event.GONE, error)
            return
        driver.worry(error)
    elif driver.disconnected_since is None:
        driver.disconnected_since = driver.shared.wall_clock()
    driver.publish()


def _is_old_news(driver: Driver, snapshot: Snapshot) -> bool:
    """Whether nothing has changed: by far the most frequent answer, so by far the cheapest."""
    return (
        snapshot.status is driver.state.status
        and driver.state.job is JobState.LIVE
        and driver.state.cancel in _CALM
        and driver.trouble is None
        and driver.disconnected_since is driver.refused_since is driver.unknown_since is None
    )


def _is_refused_again(driver: Driver) -> bool:
    """Whether this is not the first refusal: a new job may not be known everywhere yet."""
    now = anyio.current_time()
    if driver.refused_since is None:
        driver.refused_since = now
    return now - driver.refused_since >= limits.LOOKUP_SPACING_SECONDS


def _unknown_status(driver: Driver, snapshot: Snapshot) -> QawaitError | None:
    if snapshot.status is not None:
        driver.unknown_since = None
        return None
    now = anyio.current_time()
    if driver.unknown_since is None:
        driver.unknown_since = now
    if now - driver.unknown_since < limits.UNKNOWN_STATUS_SECONDS:
        return None
    message = f"the service reports the undocumented status {snapshot.raw_status!r}"
    return UnknownStatusError(message, raw=snapshot.raw_status, job_id=driver.job_id)
