"""What the end of a job means to whoever awaited its result. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qawait.errors import JobCancelledError, JobFailedError, JobTimedOutError, QawaitError
from qawait.jobs.lifecycle import CancelState, JobState, State
from qawait.types import CancelOutcome, Snapshot, Stage

if TYPE_CHECKING:
    from qawait.types import JobStatus

_STAGES = {
    "INITIALIZING": Stage.SUBMITTING,
    "SUBMITTING": Stage.SUBMITTING,
}


def stage_of(status: JobStatus) -> Stage:
    """Return the stage that a job in `status` is in."""
    return _STAGES.get(status) or Stage[status.value]


def cancel_outcome(state: State) -> CancelOutcome:
    """Return what has become of the request to cancel a job."""
    if state.job is JobState.NOT_SUBMITTED:
        return CancelOutcome.NOT_SUBMITTED
    if state.cancel is CancelState.ACKED:
        return CancelOutcome.REQUESTED
    if state.cancel is CancelState.MOOT or state.job.is_final:
        return CancelOutcome.ALREADY_FINAL
    return CancelOutcome.UNKNOWN


def failure(state: State, seen: Snapshot | None, text: str | None) -> QawaitError | None:
    """Return the error that a job's end amounts to, `None` for one that is DONE.

    `text` is what the job stored in place of a result.
    """
    job_id = state.job_id
    if state.job is JobState.CANCELLED:
        return JobCancelledError(_because("the job was cancelled", seen), job_id=job_id)
    if state.job is not JobState.ERROR:
        return None
    if seen is not None and seen.ran_too_long:
        message = "the service ended the job because it ran longer than its max_execution_time"
        return JobTimedOutError(message, job_id=job_id)
    return JobFailedError(
        _because("the job failed", seen),
        job_id=job_id,
        reason=seen.reason if seen else None,
        code=seen.code if seen else None,
        solution=seen.solution if seen else None,
        text=text,
    )


def _because(what: str, seen: Snapshot | None) -> str:
    if seen is None or not seen.reason:
        return what
    code = f" (code {seen.code})" if seen.code is not None else ""
    return f"{what}: {seen.reason}{code}"


def farewell(state: State, *, detached: bool) -> str:
    """Return the note that a cancelled caller's exception carries."""
    name = f"job {state.job_id}" if state.job_id else "the submitted job"
    if detached:
        return f"qawait: {name} goes on ({state.status}); it was detached"
    became = {
        CancelOutcome.REQUESTED: "its cancel was accepted by the service",
        CancelOutcome.ALREADY_FINAL: f"it had already ended ({state.status})",
        CancelOutcome.NOT_SUBMITTED: "it was never submitted",
        CancelOutcome.UNKNOWN: "what became of its cancel is not known yet",
    }
    return f"qawait: {name}: {became[cancel_outcome(state)]}"
