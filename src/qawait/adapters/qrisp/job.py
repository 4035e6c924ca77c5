"""qrisp's handle of a job; waiting, polling and the one cancel are qawait's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qrisp.interface import Job as QrispJob
from qrisp.interface import JobCancelledError, JobFailureError, JobResult, JobStatus

from qawait import adapters, errors
from qawait.adapters.qrisp.circuits import job_result
from qawait.types import JobStatus as QawaitStatus

if TYPE_CHECKING:
    from qawait.adapters.qrisp.backend import QawaitBackend
    from qawait.sync import Job


class QawaitJob(QrispJob):
    """One remote job as qrisp sees it. Every method can be called from any thread, and again."""

    def __init__(self, backend: QawaitBackend, job: Job[Any]) -> None:
        super().__init__(backend, job_id=job.id)
        self._job = job
        self._lock = threading.Lock()
        self._result: JobResult | None = None
        self._note()

    @property
    def job(self) -> Job[Any]:
        """The same job as qawait's blocking face gives it."""
        return self._job

    def result(self, timeout: float | None = None) -> JobResult:
        """Wait for the end of the job and return its counts; the same object at every call.

        A `timeout`, in seconds, leaves the job alone when it passes. A Ctrl-C
        meanwhile cancels the remote job once.

        Raises:
            JobFailureError: the job failed; its cause is qawait's error, at every call.
            JobCancelledError: the job was cancelled.
            TimeoutError: the timeout passed.
            QawaitError: the job cannot be followed or its result not be fetched at the
                moment; the job is as it was, and this can be called again.
        """
        try:
            return self._translated(self._job.result(timeout))
        except errors.QawaitError as error:
            translated = ended(error, self._job.status)
            if translated is None:
                raise
            raise translated from error
        finally:
            self._note()

    def status(self) -> JobStatus:
        """Ask the service for the job's status; one that has ended is not asked for again.

        Raises:
            UnknownStatusError: the service names one that is not documented.
            QawaitError: the service could not be asked; the job is as it was.
        """
        adapters.asked(self._job)
        return self._note()

    def cancel(self) -> bool:
        """Cancel the remote job, once however often asked; return whether there was one to cancel.

        Raises:
            UnknownOutcomeError: the service did not say within 10 s what became of it.
        """
        accepted = adapters.cancelled(self._job)
        self._note()
        return accepted

    def _note(self) -> JobStatus:
        self._last_known_status = JobStatus[self._job.status.name]
        return self._last_known_status

    def _translated(self, result: Any) -> JobResult:
        with self._lock:
            if self._result is None:
                self._result = job_result(result, job_id=self._job.id)
            return self._result


def ended(error: errors.QawaitError, status: QawaitStatus) -> Exception | None:
    """Return the error that qrisp has for the end of a job, `None` if it is about something else.

    A job that the service no longer has can never give a result, so it failed too.
    """
    is_gone = isinstance(error, errors.RejectedError) and status is QawaitStatus.ERROR
    if is_gone or isinstance(error, errors.JobFailedError | errors.JobTimedOutError):
        failed: Exception = JobFailureError(str(error))
        return failed
    if isinstance(error, errors.JobCancelledError):
        cancelled: Exception = JobCancelledError(str(error))
        return cancelled
    return None
