"""Bodies on disk, in a file without a name: whatever ends the process, nothing of them stays."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.guard.folder import make_private, state_folder
from qawait.threads import in_thread

if TYPE_CHECKING:
    from qawait.ibm.body import Sink

_log = logging.getLogger("qawait.spool")


class Spool:
    """The bodies of one client, as pages of one file in the user's state folder.

    The file is made with the first page, for its user only (0600), and has no
    name by which it could be opened. Where it cannot be written, pages stay in
    memory, and a log says so.
    """

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._file: _File | None = None
        self._pages = 0
        self._free: list[int] = []

    def body(self) -> Body:
        """Return an empty body."""
        return Body(self)

    async def write(self, data: bytes) -> _Page | bytes:
        """Return the page that holds these bytes now, or themselves; `SPOOL_PAGE_BYTES` at most."""
        try:
            file = await self._opened()
            page = _Page(self._take(), len(data))
            # A write whose caller is cancelled goes on, so its page is never used again.
            await in_thread(partial(file.write, data, page.place))
        except (OSError, RuntimeError, ConfigError) as error:  # no disk, no thread, no folder
            _log.warning("a result stays in memory: it cannot be spooled (%s)", error)
            return data
        return page

    async def read(self, page: _Page) -> bytes:
        """Return the bytes of a page.

        Raises:
            OSError: the disk fails.
        """
        file = await self._opened()
        return await in_thread(partial(file.read, page.size, page.place))

    def free(self, page: _Page) -> None:
        """Let a page be written again."""
        self._free.append(page.number)

    def close(self) -> None:
        """Forget the file, which is gone as soon as no thread is at work on it."""
        self._file = None

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self._pages += 1
        return self._pages - 1

    async def _opened(self) -> _File:
        async with self._lock:
            if self._file is None:
                self._file = await in_thread(_File)
        return self._file


class _Page(NamedTuple):
    number: int
    size: int

    @property
    def place(self) -> int:
        return self.number * limits.SPOOL_PAGE_BYTES


class Body:
    """One body, as it came: whole pages on disk, and the rest too once it is `settled`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pages: list[_Page | bytes] = []
        self._rest = bytearray()
        self._readers = 0
        self._is_dropped = False
        self.size = 0

    async def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.size += len(piece)
        self._rest += piece
        while len(self._rest) >= limits.SPOOL_PAGE_BYTES:
            page = bytes(self._rest[: limits.SPOOL_PAGE_BYTES])
            del self._rest[: limits.SPOOL_PAGE_BYTES]
            self._pages.append(await self._spool.write(page))

    async def settle(self) -> None:
        """Put the rest on disk: nothing more comes."""
        if self._rest:
            self._pages.append(await self._spool.write(bytes(self._rest)))
            self._rest.clear()

    async def play(self, sink: Sink) -> None:
        """Give all of it to `sink`, whose errors pass.

        Raises:
            OSError: the disk fails.
        """
        self._readers += 1
        try:
            for page in self._pages:
                await sink.take(page if isinstance(page, bytes) else await self._spool.read(page))
            await sink.take(bytes(self._rest))
        finally:
            self._readers -= 1
            self._reclaim()

    def drop(self) -> None:
        """Let go of it, once nobody reads it any more."""
        self._is_dropped = True
        self._reclaim()

    def _reclaim(self) -> None:
        if not self._is_dropped or self._readers:
            return
        for page in self._pages:
            if isinstance(page, _Page):
                self._spool.free(page)
        self._pages.clear()
        self._rest.clear()


class _File:
    """A file without a name; it is closed, and gone, once nobody has this object any more."""

    def __init__(self) -> None:
        folder = state_folder()
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._number = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._number)

    def write(self, data: bytes, place: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._number, view, place)
            place, view = place + written, view[written:]

    def read(self, size: int, place: int) -> bytes:
        return os.pread(self._number, size, place)
