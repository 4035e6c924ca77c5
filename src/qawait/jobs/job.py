"""The handle that callers hold on a job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qawait.errors import ConfigError
from qawait.jobs import caller
from qawait.jobs.updates import Updates

if TYPE_CHECKING:
    from collections.abc import Generator

    from qawait.jobs.driver import Driver
    from qawait.types import CancelOutcome, JobStatus, OnCancel, Snapshot, Update

ResultT = TypeVar("ResultT")


class Job(Generic[ResultT]):
    """One remote job. Awaiting it gives its result.

    The client owns the job, the caller only waits. When the last task that waits
    for the job is cancelled, its policy `on_cancel` decides: `"cancel"` cancels
    the remote job once, `"detach"` lets it go on. The cancellation is raised
    again either way, with a note that names the job and what became of it.
    """

    __slots__ = ("driver",)

    def __init__(self, driver: Driver) -> None:
        self.driver = driver  # not for users: the client's side of the job

    def __repr__(self) -> str:
        state = self.driver.state
        return f"<Job {self.driver.name} {state.job}({state.status}) cancel={state.cancel}>"

    def __await__(self) -> Generator[Any, Any, ResultT]:
        return self.result().__await__()

    @property
    def id(self) -> str:
        """The service's id of the job."""
        return self.driver.job_id

    @property
    def tag(self) -> str | None:
        """The tag that is unique to the submit; `None` for an attached job."""
        return self.driver.tag

    @property
    def status(self) -> JobStatus:
        """The job's status as last seen; `poll` asks the service."""
        return self.driver.status

    @property
    def last_seen(self) -> Snapshot | None:
        """What the service last said about the job, in its own words too."""
        return self.driver.snapshot

    @property
    def last_update(self) -> Update | None:
        """The latest of the job's updates."""
        return self.driver.updates.latest

    @property
    def on_cancel(self) -> OnCancel:
        """What becomes of the remote job when its last waiter is cancelled."""
        return self.driver.on_cancel

    async def poll(self) -> JobStatus:
        """Ask the service for the job's status once, now, and return it.

        Raises:
            QawaitError: the service could not be asked; the job is as it was.
        """
        if not self.driver.is_ended:
            await self.driver.query()
        return self.status

    async def wait(self, timeout: float | None = None) -> JobStatus:  # noqa: ASYNC109 - see below
        """Wait for the end of the job and return its final status.

        A `timeout`, in seconds, is not a cancellation: unlike `asyncio.timeout`
        around this call, it leaves the job alone when it passes.

        Raises:
            DeadlineExceededError: the timeout passed.
            AuthError: the service no longer accepts the credentials.
            UnknownStatusError: the service keeps reporting an undocumented status.
        """
        seconds = checked_timeout(timeout)
        await caller.wait_ended(self.driver, seconds=seconds)
        return self.status

    def updates(self) -> Updates:
        """Return an async iterator over the job's updates, the latest first.

        It ends after the final one. A reader that is slow sees the latest update
        only; one that stops early disturbs nobody, and is not a waiter.
        """
        self.driver.follow()
        return Updates(self.driver.updates)

    async def result(self) -> ResultT:
        """Wait for the end of the job and return its result; the same at every call.

        Raises:
            JobFailedError: the job failed; `text` holds what it left behind.
            JobCancelledError: the job was cancelled.
            JobTimedOutError: the job ran longer than its `max_execution_time`.
            QawaitError: the job cannot be followed or its result not be fetched.
        """
        result: ResultT = await caller.wait_result(self.driver)
        return result

    async def fetch(self) -> ResultT:
        """Return the result of a job that has ended, without waiting for its end.

        Raises:
            ConfigError: the job has not ended.
            QawaitError: as `result`.
        """
        if (await self.poll()).is_final:
            result: ResultT = await self.driver.fetch()
            return result
        message = f"the job is {self.status} and has no result yet: await job.result() instead"
        raise ConfigError(message, job_id=self.id)

    async def cancel(self) -> CancelOutcome:
        """Cancel the remote job; asking again changes nothing.

        Returns within 10 s with what became of it. A cancel that was accepted may
        still be outrun by the job, which then ends as DONE.
        """
        return await caller.cancel(self.driver)


def checked_timeout(timeout: object) -> float:
    """Return a time limit in seconds; `None` is none.

    Raises:
        ConfigError: it is no number.
    """
    if timeout is None:
        return math.inf
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or math.isnan(timeout):
        raise ConfigError(f"timeout must be seconds, or None, not {timeout!r}")
    return timeout
