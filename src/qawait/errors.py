"""Every error qawait raises, one class per thing a caller can do about it.

    QawaitError
    ├── ConfigError               mend the call, the account or the environment
    ├── AuthError                 the service refuses the credentials
    ├── NotSentError              nothing reached the service: safe to repeat
    ├── UnknownOutcomeError       it may have taken effect: look before repeating
    ├── RejectedError             the service answered no
    │   └── ThrottledError        … for now: wait `retry_after` seconds
    ├── ProtocolError             the answer was malformed, truncated or too large
    ├── JobFailedError            the job ran and failed
    ├── JobCancelledError         the job was cancelled
    ├── JobTimedOutError          the job ran longer than its limit
    ├── DeadlineExceededError     a time limit of the caller's or of ours passed
    ├── UnknownStatusError        the service names a status nobody documented
    └── GuardianError             the process that outlives this one cannot start

`BackendPausedWarning` is a warning, and no error unless the user makes it one.

An error about a job carries its id in `job_id`; one about a submit whose id is
not known carries the submit's tag in `tag`. A transport error while polling or
fetching is never a job failure.
"""

from __future__ import annotations

from typing import Self


class QawaitError(Exception):
    """Base of every error that qawait raises on purpose."""

    def __init__(self, message: str, *, job_id: str | None = None, tag: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job_id = job_id
        self.tag = tag

    def __str__(self) -> str:
        named = (("job", self.job_id), ("tag", self.tag))
        known = ", ".join(f"{name} {value}" for name, value in named if value)
        return f"{self.message} [{known}]" if known else self.message

    def again(self) -> Self:
        """Return a copy to raise where this error is told once more.

        One object that several callers raise would gather the traceback and the
        notes of them all. The copy begins with this one's traceback, cause,
        notes and attributes, and what happens to it leaves this one alone.
        """
        twin = type(self).__new__(type(self), *self.args)
        vars(twin).update(vars(self))
        if hasattr(self, "__notes__"):
            twin.__notes__ = [*self.__notes__]
        twin.__cause__, twin.__context__ = self.__cause__, self.__context__
        twin.__suppress_context__ = self.__suppress_context__
        return twin.with_traceback(self.__traceback__)


class ConfigError(QawaitError, ValueError):
    """The call, the account or the environment is wrong, and nothing was sent."""


class BackendPausedWarning(UserWarning):
    """The backend does not run jobs now: what is sent to it waits until it goes on."""


class NotSentError(QawaitError):
    """The request never reached the service, so repeating it is safe."""


class UnknownOutcomeError(QawaitError):
    """The request may have taken effect: its answer was lost.

    Look the submit up by `tag`, or query the job, before asking again.
    """


class ProtocolError(QawaitError):
    """The service's answer was malformed, truncated or larger than its limit."""


class RejectedError(QawaitError):
    """The service understood the request and refused it.

    `status` is the HTTP status. `code` (a number or a word), `solution` and
    `trace` are the service's own, each `None` where its answer had none;
    `request` names what was asked.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | str | None = None,
        solution: str | None = None,
        trace: str | None = None,
        request: str | None = None,
        job_id: str | None = None,
        tag: str | None = None,
    ) -> None:
        super().__init__(message, job_id=job_id, tag=tag)
        self.status = status
        self.code = code
        self.solution = solution
        self.trace = trace
        self.request = request


class AuthError(RejectedError):
    """The service or IAM refuses the credentials."""


class ThrottledError(RejectedError):
    """The service asks for fewer requests; `retry_after` is in seconds, if it said."""

    retry_after: float | None = None


class JobFailedError(QawaitError):
    """The job ran and failed.

    `reason`, `code` and `solution` are the service's; `text` is what it stored
    in place of a result, usually the traceback of the program.
    """

    def __init__(
        self,
        message: str,
        *,
        job_id: str | None,
        reason: str | None = None,
        code: int | None = None,
        solution: str | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message, job_id=job_id)
        self.reason = reason
        self.code = code
        self.solution = solution
        self.text = text


class JobCancelledError(QawaitError):
    """The job was cancelled, so it has no result."""


class JobTimedOutError(QawaitError):
    """The service ended the job because it ran longer than its limit (code 1305)."""


class DeadlineExceededError(QawaitError, TimeoutError):
    """A time limit passed; the job itself is as it was."""


class UnknownStatusError(QawaitError):
    """The service reports a status that is not documented; `raw` is its word."""

    def __init__(self, message: str, *, raw: str, job_id: str | None = None) -> None:
        super().__init__(message, job_id=job_id)
        self.raw = raw


class GuardianError(QawaitError):
    """The process that cancels jobs after this one has died cannot be started."""
