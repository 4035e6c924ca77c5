"""The handle that callers hold on a job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qawait import limits
from qawait.errors import ConfigError
from qawait.jobs import asking, caller, delivering
from qawait.jobs.updates import Updates
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime

    from qawait.jobs.driver import Driver
    from qawait.types import CancelOutcome, OnCancel, Snapshot, Update

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

    @property
    def backend(self) -> str | None:
        """The name of the backend the job was sent to."""
        driver = self.driver
        return driver.snapshot.backend if driver.snapshot else _sent(driver, "backend")

    @property
    def program(self) -> str | None:
        """The program that the job runs: `sampler`, `estimator` or another."""
        driver = self.driver
        return driver.snapshot.program if driver.snapshot else _sent(driver, "program")

    @property
    def session_id(self) -> str | None:
        """The session the job is part of; `None` for one by itself."""
        driver = self.driver
        return driver.snapshot.session_id if driver.snapshot else _sent(driver, "session_id")

    @property
    def created(self) -> datetime | None:
        """When the service made the job, with its zone; `None` before the first status."""
        return self.driver.snapshot.created if self.driver.snapshot else None

    @property
    def tags(self) -> tuple[str, ...]:
        """The user's own tags as last seen; `last_seen.tags` has those of qawait too."""
        return asking.tags(self.driver)[0]

    @property
    def private(self) -> bool:
        """Whether the service gives the input never back, and the result only once."""
        return self.driver.is_private

    @property
    def image(self) -> str | None:
        """The runtime image that the job was sent with; `None` for the service's own choice."""
        driver = self.driver
        return (driver.snapshot and driver.snapshot.image) or _sent(driver, "image")

    @property
    def estimated_seconds(self) -> float | None:
        """How long the service expects the job to use the quantum processor, if it said."""
        return self.driver.estimate

    @property
    def error_message(self) -> str | None:
        """Why the job failed or was cancelled, in the service's words; `None` otherwise."""
        if self.status not in (JobStatus.ERROR, JobStatus.CANCELLED):
            return None
        seen, error = self.driver.snapshot, self.driver.error
        return (seen and seen.reason) or (error and error.message) or None

    async def poll(self) -> JobStatus:
        """Ask the service for the job's status once, now, and return it.

        Raises:
            QawaitError: the service could not be asked; the job is as it was.
        """
        if not self.driver.is_ended:
            await asking.query(self.driver)
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
            result: ResultT = await delivering.result(self.driver)
            return result
        message = f"the job is {self.status} and has no result yet: await job.result() instead"
        raise ConfigError(message, job_id=self.id)

    async def cancel(self) -> CancelOutcome:
        """Cancel the remote job; asking again changes nothing.

        Returns within 10 s with what became of it. A cancel that was accepted may
        still be outrun by the job, which then ends as DONE.
        """
        return await caller.cancel(self.driver)

    async def usage(self) -> float | None:
        """Return the quantum processor time that the job was charged, in seconds.

        `None` while the service has not settled it: that is some time after the
        job's end, which it does not document. A settled charge is not asked for again.

        Raises:
            QawaitError: the service could not be asked.
        """
        return await asking.usage(self.driver)

    async def metrics(self) -> Mapping[str, Any]:
        """Return the job's times and usage as the service gives them.

        `timestamps` has `created`, `running` and `finished` as ISO 8601 text, each
        absent or `None` until it has come about.

        Raises:
            QawaitError: the service could not be asked.
        """
        return await asking.ask(self.driver, lambda service, job_id: service.metrics(job_id))

    async def logs(self) -> str:
        """Return what the job's program has logged so far; empty if nothing.

        Raises:
            QawaitError: the service could not be asked.
        """
        return await asking.ask(self.driver, lambda service, job_id: service.logs(job_id))

    async def inputs(self) -> Mapping[str, Any]:
        """Return what the job was submitted with: circuits as Qiskit's own, arrays as numpy's.

        `inputs()["pubs"]` of a sampler or estimator job are its pubs. Read only
        the jobs of people you trust: circuits come in Qiskit's binary format.

        Raises:
            ConfigError: the job is private; the service does not give its input back.
            ProtocolError: the input cannot be read.
        """
        return await asking.inputs(self.driver)

    async def set_tags(self, tags: Sequence[str]) -> None:
        """Replace the job's tags by these; those by which qawait finds the job stay.

        Raises:
            ConfigError: too many tags, or one that the service does not take.
            QawaitError: the service could not be asked.
        """
        check_tags(tags)
        await asking.set_tags(self.driver, tags)

    update_tags = set_tags
    """The name that qiskit-ibm-runtime gives to `set_tags`."""

    async def delete(self) -> None:
        """Delete the job, its input and its result from the service, for good.

        Raises:
            ConfigError: the job has not ended: cancel it first.
            RejectedError: the service has no such job any more (`status` is 404).
        """
        await asking.delete(self.driver)


def check_tags(tags: object) -> None:
    """Refuse what is no list of a user's own tags.

    Raises:
        ConfigError: too many tags, or one that the service does not take.
    """
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise ConfigError(f"tags must be a list of words, not {tags!r:.100}")
    room = limits.TAGS_PER_JOB - limits.OWN_TAGS
    if len(tags) > room:
        raise ConfigError(f"a job takes up to {room} tags of yours, not {len(tags)}")
    for tag in tags:
        if not 0 < len(tag) <= limits.TAG_CHARACTERS:
            message = f"a tag has 1 to {limits.TAG_CHARACTERS} characters, {tag!r:.100} has not"
            raise ConfigError(message)


def _sent(driver: Driver, field: str) -> str | None:
    return getattr(driver.request, field, None)


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
