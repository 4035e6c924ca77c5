"""What differs between divi's releases, seen in one way: 0.12.1 to 0.15.

Sources: `divi.backends` of each release. 0.14 brought payloads and four statuses,
0.15 typed errors and the running time of a result.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import divi.backends
from divi.backends import CircuitRunner, ExecutionResult, JobStatus
from divi.exceptions import ExecutionCancelledError

import qawait
from qawait.types import JobStatus as Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qawait.types import Snapshot, Update

__all__ = ["COMPLETED", "CircuitRunner", "ExecutionCancelledError", "ExecutionResult"]

COMPLETED = JobStatus.COMPLETED

_STATUSES = {
    Status.INITIALIZING: JobStatus.PENDING,
    Status.SUBMITTING: JobStatus.PENDING,
    Status.QUEUED: JobStatus.PENDING,
    Status.RUNNING: JobStatus.RUNNING,
    Status.DONE: JobStatus.COMPLETED,
    Status.ERROR: JobStatus.FAILED,
    Status.CANCELLED: JobStatus.CANCELLED,
}


class _JobError(Exception):
    """A job that ended without success, for releases of divi that name no such error."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} ended as {self.status}")
        self.job_id = job_id

    status: Any = JobStatus.FAILED


class _CancelledError(_JobError):
    status = JobStatus.CANCELLED


def _named(name: str, otherwise: type[Exception]) -> Any:
    return getattr(divi.backends, name, otherwise)


_ERRORS = {
    qawait.JobCancelledError: _named("JobCancelledError", _CancelledError),
    qawait.JobTimedOutError: _named("JobTimedOutError", _JobError),
    qawait.JobFailedError: _named("JobFailedError", _JobError),
}


def status_of(status: Status, seen: Snapshot | None) -> Any:
    """Return divi's word for a job's status."""
    if status.is_final and seen is not None and seen.ran_too_long:
        return getattr(JobStatus, "TIMED_OUT", JobStatus.FAILED)
    return _STATUSES[status]


def word_of(update: Update) -> str:
    """Return divi's word for where a live job is; the service's own where divi has none."""
    raw = update.raw_status or update.stage.name
    known = {"QUEUED": JobStatus.PENDING, "RUNNING": JobStatus.RUNNING}.get(raw.upper())
    return raw if known is None else str(known.value)


def error_of(error: qawait.QawaitError, job_id: str) -> Exception:
    """Return divi's error for a job that ended without success; any other error as it is."""
    for kind, theirs in _ERRORS.items():
        if isinstance(error, kind):
            made: Exception = theirs(job_id)
            made.add_note(str(error))
            return made
    return error


def circuits_of(given: Any) -> dict[str, Any]:
    """Return each circuit by its label, from whatever divi hands over.

    Raises:
        TypeError: a single circuit was given, or something that is none.
        ValueError: a payload still has free parameters.
    """
    try:
        from divi.circuits._payloads import bound_circuits
    except ImportError:
        return _labelled(given)
    bound: dict[str, Any] = bound_circuits(given)
    return bound


def _labelled(given: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if isinstance(given, str | bytes) or not hasattr(given, "__len__"):
        raise TypeError("submit_circuits expects a collection of circuits: put it into a list")
    if hasattr(given, "items"):
        return dict(given.items())
    return {str(place): circuit for place, circuit in enumerate(given)}


def with_results(handle: Any, results: list[dict[str, Any]], seconds: float) -> Any:
    """Return the handle with its results, and with their running time where it has room for it."""
    if "run_time" in inspect.signature(handle.with_results).parameters:
        return handle.with_results(results, run_time=seconds)
    return handle.with_results(results)


def run(program: Any, *args: Any, **kwargs: Any) -> None:
    """Run a program to its end, also an ensemble of a release that returns before it."""
    if "blocking" in inspect.signature(program.run).parameters:
        kwargs.setdefault("blocking", True)
    program.run(*args, **kwargs)
