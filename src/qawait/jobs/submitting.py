"""Getting one submit to the service: sent again only where certainly nothing was sent.

A lost answer is a third outcome beside yes and no. It is settled by asking a
different question, who carries this submit's tag, and never by posting again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from qawait import limits
from qawait.errors import JobCancelledError, NotSentError, QawaitError, ThrottledError
from qawait.jobs.retry import is_transient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from qawait.jobs.calls import Calls
    from qawait.jobs.service import Service
    from qawait.types import Snapshot

T = TypeVar("T")
_log = logging.getLogger("qawait.submitting")


class Submission(Generic[T]):
    """One request that makes something, withdrawn as long as nothing of it has left.

    `send` is given what it has to call right before the first byte may leave. A
    try that certainly had no effect (not sent, or throttled) can be withdrawn again.
    """

    def __init__(
        self,
        send: Callable[[Callable[[], None]], Awaitable[T]],
        calls: Calls,
        *,
        tag: str | None = None,
    ) -> None:
        self._send = send
        self._calls = calls
        self._tag = tag
        self._is_sending = False
        self._is_withdrawn = False
        self._scope = anyio.CancelScope()

    def withdraw(self) -> None:
        """End `post` at once, or once its request is known to have had no effect."""
        self._is_withdrawn = True
        if not self._is_sending:
            self._scope.cancel()

    async def post(self, before: Callable[[], Awaitable[None]]) -> T:
        """Await `before()`, then send, and return what that gave.

        Raises:
            JobCancelledError: it was withdrawn before anything was sent.
            UnknownOutcomeError: the answer was lost; for a job `look_up` tells.
            QawaitError: certainly nothing was made.
        """
        with self._scope:
            await before()
            return await self._until_sent()
        raise JobCancelledError("withdrawn before it was sent", tag=self._tag)

    async def _until_sent(self) -> T:
        attempt = 1
        while True:
            try:
                return await self._calls.unthrottled(self._try)
            except NotSentError as error:
                pause = self._calls.pause(error, attempt)
                if pause is None:
                    raise
            await anyio.sleep(pause)
            attempt += 1

    async def _try(self) -> T:
        try:
            return await self._send(self._on_sending)
        except (NotSentError, ThrottledError):
            self._is_sending = False
            if self._is_withdrawn:
                self._scope.cancel()
            raise

    def _on_sending(self) -> None:
        self._is_sending = True


async def look_up(service: Service, calls: Calls, tag: str) -> Sequence[Snapshot]:
    """Return the jobs that carry the tag, oldest first; none if there certainly is none.

    Asks more than once before it believes in an absence, since a listing may lag.

    Raises:
        QawaitError: the service does not tell.
    """
    for attempt in range(limits.LOOKUP_TRIES):
        if attempt:
            await anyio.sleep(limits.LOOKUP_SPACING_SECONDS)
        found = await _find(service, calls, tag)
        if found:
            return found
    return ()


async def _find(service: Service, calls: Calls, tag: str) -> Sequence[Snapshot]:
    """Ask as long as the service does not answer and there is time."""
    give_up = anyio.current_time() + limits.LOOKUP_SECONDS
    pause = limits.RETRY_BASE_SECONDS
    while True:
        try:
            return await service.find(tag)
        except QawaitError as error:
            if not is_transient(error) or anyio.current_time() > give_up:
                raise
            hint = error.retry_after if isinstance(error, ThrottledError) else None
        await anyio.sleep(max(pause * (0.5 + calls.random()), hint or 0.0))
        pause = min(pause * 2, limits.RETRY_CAP_SECONDS)


async def drop(service: Service, calls: Calls, job_id: str) -> None:
    """Cancel a job that one submit made beside the one it was meant to make."""
    try:
        await calls.retrying(lambda: service.cancel(job_id))
    except QawaitError as error:
        _log.warning("cancelling job %s failed: %s", job_id, type(error).__name__)
