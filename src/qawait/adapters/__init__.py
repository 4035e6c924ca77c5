"""One peer's interface each, over the blocking face; a peer is imported when first used."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError, UnknownOutcomeError, UnknownStatusError
from qawait.types import CancelOutcome

if TYPE_CHECKING:
    from qawait.sync import Job
    from qawait.types import JobStatus


def require(package: str, *, extra: str) -> None:
    """Make sure that `package` can be imported.

    Raises:
        ConfigError: it is not installed; the message names the extra that brings it.
    """
    if find_spec(package) is None:
        message = f"this adapter needs {package}: run pip install 'qawait[{extra}]'"
        raise ConfigError(message)


def asked(job: Job[Any]) -> JobStatus:
    """Ask the service for a job's status and return it; one that has ended is not asked for again.

    Raises:
        UnknownStatusError: the service names one that is not documented.
        QawaitError: the service could not be asked; the job is as it was.
    """
    status, seen = job.poll(), job.last_seen
    if not status.is_final and seen is not None and seen.status is None:
        message = f"the service reports the undocumented status {seen.raw_status!r}"
        raise UnknownStatusError(message, raw=seen.raw_status, job_id=job.id)
    return status


def cancelled(job: Job[Any]) -> bool:
    """Cancel a job and return whether the service accepted it, now or earlier; ended ones are not.

    Raises:
        UnknownOutcomeError: the service did not say what became of it.
    """
    if job.status.is_final:
        return False
    outcome = job.cancel()
    if outcome is CancelOutcome.UNKNOWN:
        message = "the service has not accepted the cancel so far: see whether the job still runs"
        raise UnknownOutcomeError(message, job_id=job.id)
    return outcome is CancelOutcome.REQUESTED
