"""What a remote service has to offer so that a job can live on it.

Each method is one request, without retries: whether to try again is decided in
one place, the driver's. Besides its result a method may raise

* `NotSentError`: nothing reached the service,
* `UnknownOutcomeError`: the answer was lost, the request may have taken effect,
* `ThrottledError`: refused for now,
* `RejectedError` (also `AuthError`): refused,
* `ProtocolError`: the answer makes no sense. For `submit` and `cancel` this is
  an `UnknownOutcomeError` instead, since the request was delivered.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from qawait.types import SessionDetails, SessionRequest, Snapshot, SubmitRequest


class CancelReply(enum.StrEnum):
    """What the service answers to a cancel."""

    ACCEPTED = "accepted"
    NOT_CANCELLABLE = "not cancellable"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that can be listed together: those that carry a tag, or those of a session."""

    tag: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A decoded result, and about how many bytes of memory it takes."""

    value: Any
    size: int


class Service(Protocol):
    """A remote service that runs jobs."""

    async def submit(
        self, request: SubmitRequest, *, on_sending: Callable[[], None] | None = None
    ) -> str:
        """Make one job and return its id.

        `on_sending` is called just before the first byte may leave, and right
        after a checkpoint: a caller cancelled before it has sent nothing.
        """
        ...

    async def find(self, tag: str) -> Sequence[Snapshot]:
        """Return the jobs that carry this tag, oldest first."""
        ...

    async def status(self, job_id: str) -> Snapshot:
        """Return what the service says about one job."""
        ...

    async def pending(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int
    ) -> Sequence[Snapshot]:
        """Return one page of the queued and running jobs of a group, oldest first.

        `after` and `before` bound the time of creation; of the jobs in between
        the first `offset` are left out. A page holds `limits.LIST_PAGE` at most.
        """
        ...

    async def ended(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int
    ) -> Sequence[Snapshot]:
        """Return one page of the ended jobs of a group, as `pending` does of the others."""
        ...

    async def fetch(
        self, job_id: str, *, program: str | None = None, private: bool = False
    ) -> Fetched | None:
        """Return the decoded result of a job that is DONE; `None` while there is none yet.

        `program` is the one that the job runs, if known. The service gives the
        result of a `private` job once: it is not lost if decoding it fails.
        """
        ...

    async def failure_text(self, job_id: str) -> str | None:
        """Return what a failed job stored in place of a result, if anything."""
        ...

    async def cancel(self, job_id: str) -> CancelReply:
        """Ask the service to cancel one job."""
        ...


class SessionService(Protocol):
    """A remote service that keeps sessions and batches; its errors are those of `Service`."""

    async def open_session(
        self, request: SessionRequest, *, on_sending: Callable[[], None] | None = None
    ) -> SessionDetails:
        """Open one session or batch."""
        ...

    async def session(self, session_id: str) -> SessionDetails:
        """Return what the service says about one session or batch."""
        ...

    async def close_session(self, session_id: str) -> None:
        """Let a session take no more jobs."""
        ...

    async def cancel_session(self, session_id: str) -> None:
        """Let a session take no more jobs and drop the queued ones."""
        ...
