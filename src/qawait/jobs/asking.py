"""What can be asked of one job beside its status and its result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from qawait.errors import ConfigError, QawaitError, RejectedError
from qawait.jobs.lifecycle import CancelState
from qawait.jobs.tags import divided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from qawait.jobs.driver import Driver
    from qawait.jobs.lifecycle import State
    from qawait.jobs.service import Service

T = TypeVar("T")
_NOT_FOUND = 404


async def ask(driver: Driver, question: Callable[[Service, str], Awaitable[T]]) -> T:
    """Return what the service answers about the job, asking again where that may help.

    Raises:
        ConfigError: the job has no id, or its client is closed.
        QawaitError: the service does not answer, with the job's id.
    """
    shared = driver.shared
    shared.host.check()
    job_id = driver.state.job_id
    if job_id is None:
        raise driver.named(ConfigError("the service has given the job no id"))
    try:
        return await shared.calls.retrying(lambda: question(shared.service, job_id))
    except QawaitError as error:
        raise driver.named(error)  # noqa: B904 - it is the same error


async def query(driver: Driver) -> None:
    """Ask the service for the job's status once, now.

    Raises:
        QawaitError: the service could not be asked; the job is as it was.
    """
    driver.shared.host.check()
    service, before = driver.shared.service, driver.state
    try:
        snapshot = await driver.shared.calls.retrying(lambda: service.status(driver.job_id))
    except QawaitError as error:
        raise driver.named(error)  # noqa: B904 - it is the same error
    if snapshot.is_final or not _has_lost_cancel_since(before, driver.state):
        driver.seen(snapshot)


def _has_lost_cancel_since(before: State, now: State) -> bool:
    """Whether an answer to a question asked then cannot tell what the cancel did."""
    is_unknown = now.cancel is CancelState.UNKNOWN
    return is_unknown and (before.cancel, before.sends) != (now.cancel, now.sends)


async def usage(driver: Driver) -> float | None:
    """Return the seconds that the job was charged; `None` until the service has settled it."""
    seen = driver.snapshot
    if seen is None or seen.usage_seconds is None:
        found = await ask(driver, lambda service, job_id: service.status(job_id))
        if driver.is_ended and found.is_final:
            driver.snapshot = seen = found
        elif not driver.is_ended:
            driver.seen(found)
            seen = found
    return seen.usage_seconds if seen else None


async def inputs(driver: Driver) -> Mapping[str, Any]:
    """Return what the job was submitted with, decoded.

    Raises:
        ConfigError: the job is private.
    """
    private = "the job is private: the service never gives its input back"
    if driver.is_private:
        raise driver.named(ConfigError(private))
    found = await ask(driver, lambda service, job_id: service.inputs(job_id))
    if found is None:
        raise driver.named(ConfigError(private))
    return found


def tags(driver: Driver) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the job's tags as last seen: its user's own, and those of qawait."""
    if driver.snapshot is not None:
        return divided(driver.snapshot.tags)
    request = driver.request
    return divided((*request.tags, request.tag)) if request is not None else ((), ())


async def set_tags(driver: Driver, given: Sequence[str]) -> None:
    """Replace the user's own tags; those by which qawait finds the job stay."""
    _, own = tags(driver)
    wanted = (*dict.fromkeys(given), *own)
    await ask(driver, lambda service, job_id: service.set_tags(job_id, wanted))
    if driver.snapshot is not None:
        driver.snapshot = replace(driver.snapshot, tags=wanted)
    elif driver.request is not None:
        driver.request = replace(driver.request, tags=wanted)


async def delete(driver: Driver) -> None:
    """Delete a job that has ended.

    Raises:
        ConfigError: it has not.
    """
    if not driver.is_ended:
        await query(driver)
    if not driver.is_ended:
        message = f"the job is {driver.status}: cancel it or wait for its end before deleting it"
        raise driver.named(ConfigError(message))
    tries = 0

    async def once(service: Service, job_id: str) -> None:
        nonlocal tries
        tries += 1
        try:
            await service.delete(job_id)
        except RejectedError as error:
            # an earlier try, whose answer was lost, may have deleted it
            if error.status != _NOT_FOUND or tries == 1:
                raise

    await ask(driver, once)
