"""A job's result: downloaded once, by the client, for everyone who asks."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import anyio

from qawait import limits
from qawait.errors import ConfigError, ProtocolError, QawaitError
from qawait.jobs.waiting import Signal

if TYPE_CHECKING:
    from qawait.jobs.calls import Calls
    from qawait.jobs.host import TaskHost
    from qawait.jobs.service import Fetched, Service


class KeptResults:
    """The decoded results of one client's jobs, by id.

    The last used ones are kept, `most_bytes` of them. Besides, each that
    somebody still holds is known, so that nobody is ever given a second object
    for it; of a plain dict or list nobody can tell who holds it.
    """

    def __init__(self, most_bytes: int = limits.RESULT_CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._recent: OrderedDict[str, Fetched] = OrderedDict()
        self._held: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self.fetches: WeakValueDictionary[str, Fetch] = WeakValueDictionary()

    def get(self, job_id: str) -> Any | None:
        """Return a job's result, if it is known."""
        fetched = self._recent.get(job_id)
        if fetched is None:
            return self._held.get(job_id)
        self._recent.move_to_end(job_id)
        return fetched.value

    def put(self, job_id: str, fetched: Fetched) -> bool:
        """Keep a job's result; return whether it is known for as long as somebody holds it."""
        if fetched.size <= self._most_bytes:
            self._recent[job_id] = fetched
            self._bytes += fetched.size
        while self._bytes > self._most_bytes:
            _, dropped = self._recent.popitem(last=False)
            self._bytes -= dropped.size
        with contextlib.suppress(TypeError):  # this type has no weak references
            self._held[job_id] = fetched.value
        return job_id in self._held


class Fetch:
    """The one download of a job's result; a caller that gives up does not stop it.

    It holds the result itself until a caller has been given it, and for good
    where it could not be had again as the same object: that of a private job,
    which the service gives once, and a plain dict or list.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_changed",
        "_error",
        "_host",
        "_is_given",
        "_is_running",
        "_job_id",
        "_lock",
        "_pinned",
        "_private",
        "_program",
        "_results",
        "_stays",
        "_text",
        "_waiting",
    )

    def __init__(
        self,
        host: TaskHost,
        calls: Calls,
        results: KeptResults,
        job_id: str,
        *,
        program: str | None = None,
        private: bool = False,
    ) -> None:
        self._host = host
        self._calls = calls
        self._results = results
        self._job_id = job_id
        self._program = program
        self._private = private
        self._changed = Signal()
        self._is_running = False
        self._is_given = False
        self._waiting = 0
        self._pinned: Any | None = None
        self._stays = private
        self._error: QawaitError | None = None
        self._lock = anyio.Lock()
        self._text: str | None = None
        results.fetches[job_id] = self

    async def result(self, service: Service) -> Any:
        """Return the decoded result; the same object at every call while somebody holds it.

        Raises:
            QawaitError: this download failed; the next call tries again.
        """
        return await self._awaited(service, gives=True)

    async def ready(self, service: Service) -> None:
        """Return once the result is here, where it stays until a caller has been given it.

        Raises:
            QawaitError: as `result`.
        """
        await self._awaited(service, gives=False)

    async def attempt(self, service: Service) -> bool:
        """Return whether there is a result now; one request, without patience.

        Raises:
            QawaitError: the service did not say.
        """
        if self._known() is not None:
            return True
        if self._is_running:
            return False
        self._is_running, self._error = True, None
        try:
            fetched = await self._ask(service)
            if fetched is not None:
                self._take(fetched)
        finally:
            self._is_running = False
            self._changed.set()
        return fetched is not None

    async def failure_text(self, service: Service) -> str | None:
        """Return what the failed job stored in place of a result, asked for until it is had.

        Raises:
            QawaitError: it could not be asked for.
        """
        async with self._lock:
            if self._text is None:
                self._text = await self._calls.retrying(lambda: service.failure_text(self._job_id))
        return self._text

    async def _awaited(self, service: Service, *, gives: bool) -> Any:
        self._waiting += 1
        try:
            while (value := self._known()) is None:
                await self._downloaded(service)
            self._is_given = self._is_given or gives
            return value
        finally:
            self._waiting -= 1
            if self._is_given and not self._waiting and not self._stays:
                self._pinned = None

    def _known(self) -> Any | None:
        known = self._results.get(self._job_id)  # asked first: this is a use of it
        return self._pinned if known is None else known

    async def _downloaded(self, service: Service) -> None:
        """Return after the download that is under way, or a new one."""
        if not self._is_running:
            self._host.start_soon(lambda: self._download(service))
            closed = "the client was closed during the download"
            self._is_running, self._error = True, ConfigError(closed, job_id=self._job_id)
        await self._changed.until(lambda: not self._is_running)
        if self._error is not None:
            raise self._error.again()

    async def _download(self, service: Service) -> None:
        try:
            self._take(await self._patiently(service))
        except QawaitError as error:
            error.job_id = error.job_id or self._job_id
            self._error = error
        except Exception as bug:  # noqa: BLE001 - a decoder's bug is the caller's to see
            self._error = ProtocolError("the result cannot be decoded", job_id=self._job_id)
            self._error.__cause__ = bug
        finally:
            self._is_running = False
            self._changed.set()

    def _take(self, fetched: Fetched) -> None:
        self._stays = not self._results.put(self._job_id, fetched) or self._private
        self._pinned, self._is_given, self._error = fetched.value, False, None

    async def _ask(self, service: Service) -> Fetched | None:
        return await service.fetch(self._job_id, program=self._program, private=self._private)

    async def _patiently(self, service: Service) -> Fetched:
        give_up = anyio.current_time() + limits.EMPTY_RESULT_SECONDS
        pause = limits.POLL_FIRST_SECONDS
        while True:
            fetched = await self._calls.retrying(lambda: self._ask(service))
            if fetched is not None:
                return fetched
            if anyio.current_time() + pause > give_up:
                raise ProtocolError(self._missing(), job_id=self._job_id)
            await anyio.sleep(pause)
            pause *= limits.POLL_FACTOR

    def _missing(self) -> str:
        missing = "the service has no result for this job although it is DONE"
        if self._private:
            return f"{missing}: that of a private job can be read once, so it has been read already"
        return missing
