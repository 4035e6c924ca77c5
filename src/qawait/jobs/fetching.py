"""A job's result: downloaded once, by the client, for everyone who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait import limits
from qawait.errors import ConfigError, ProtocolError, QawaitError
from qawait.jobs.waiting import Signal

if TYPE_CHECKING:
    from qawait.jobs.calls import Calls
    from qawait.jobs.host import TaskHost
    from qawait.jobs.service import Service

_NOTHING: Final = object()


class Fetch:
    """The one download of a job's result; a caller that gives up does not stop it."""

    __slots__ = ("_calls", "_changed", "_error", "_host", "_job_id", "_result", "_running")

    def __init__(self, host: TaskHost, calls: Calls, job_id: str) -> None:
        self._host = host
        self._calls = calls
        self._job_id = job_id
        self._changed = Signal()
        self._running = False
        self._result: Any = _NOTHING
        self._error: QawaitError | None = None

    async def result(self, service: Service) -> Any:
        """Return the decoded result; the same object at every call.

        Raises:
            QawaitError: this download failed; the next call tries again.
        """
        if self._result is _NOTHING:
            if not self._running:
                self._host.start_soon(lambda: self._download(service))
                self._running, self._error = True, None
            await self._changed.until(lambda: not self._running)
        if self._error is not None:
            raise self._error
        if self._result is _NOTHING:
            raise ConfigError("the client was closed during the download", job_id=self._job_id)
        return self._result

    async def attempt(self, service: Service) -> bool:
        """Return whether there is a result now; one request, without patience.

        Raises:
            QawaitError: the service did not say.
        """
        if self._result is not _NOTHING:
            return True
        if self._running:
            return False
        self._running = True
        try:
            result = await service.fetch(self._job_id)
            if result is not None:
                self._result, self._error = result, None
        finally:
            self._running = False
            self._changed.set()
        return result is not None

    async def _download(self, service: Service) -> None:
        try:
            self._result = await self._patiently(service)
        except QawaitError as error:
            error.job_id = error.job_id or self._job_id
            self._error = error
        except Exception as bug:  # noqa: BLE001 - a decoder's bug is the caller's to see
            self._error = ProtocolError("the result cannot be decoded", job_id=self._job_id)
            self._error.__cause__ = bug
        finally:
            self._running = False
            self._changed.set()

    async def _patiently(self, service: Service) -> Any:
        give_up = anyio.current_time() + limits.EMPTY_RESULT_SECONDS
        pause = limits.POLL_FIRST_SECONDS
        while True:
            result = await self._calls.retrying(lambda: service.fetch(self._job_id))
            if result is not None:
                return result
            if anyio.current_time() + pause > give_up:
                message = "the service has no result for this job although it is DONE"
                raise ProtocolError(message, job_id=self._job_id)
            await anyio.sleep(pause)
            pause *= limits.POLL_FACTOR
