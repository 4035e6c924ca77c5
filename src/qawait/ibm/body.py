"""The body of a reply: bounded, complete, and unpacked only within bounds.

httpx gives a truncated gzip stream, and one closed without a length, as if they
were whole, and unpacks without a limit; here each is a fault.
"""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from qawait import limits
from qawait.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_GZIP: Final = zlib.MAX_WBITS | 16
_PIECE_BYTES: Final = 2**18
_EMPTY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_DIGITS = re.compile(r"[0-9]{1,18}")


class Sink(Protocol):
    """Takes a body while it comes in."""

    async def take(self, piece: bytes) -> None:
        """Take the next bytes, 256 KiB at most.

        Raises:
            ProtocolError: they make no sense.
        """


class BodyReader:
    """Takes the raw chunks of one body and gives it back whole, or says what is wrong.

    With a `sink`, the body goes there piece by piece, and none of it is kept.
    Faults are returned, not raised: a frame that holds a chunk of a token reply
    must not end up in a traceback. `cause` is the sink's error, if that is one.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        *,
        max_bytes: int,
        sink: Sink | None = None,
    ) -> None:
        self._headers = headers
        self._max_bytes = max_bytes
        self._empty = status in _EMPTY
        self._refused = status >= HTTPStatus.BAD_REQUEST
        self._received = 0
        self._unpacked = 0
        self._pieces: list[bytes] = []
        self._sink = sink
        self.cause: Exception | None = None
        self._gzip = None if self._empty or not self._coded() else zlib.decompressobj(_GZIP)

    def _coded(self) -> bool:
        return self._headers.get("content-encoding", "identity").strip().lower() != "identity"

    def start(self) -> str | None:
        """Return what is wrong with a body before any of it has come."""
        coding = self._headers.get("content-encoding", "identity").strip().lower()
        if coding not in {"identity", "gzip", "x-gzip"}:
            return "has a content encoding that was not asked for"
        length = self._headers.get("content-length")
        if length is None:
            chunked = self._headers.get("transfer-encoding", "").strip().lower() == "chunked"
            # Of a refusal the status counts, and old proxies send theirs without a length.
            ends = chunked or self._empty or self._refused
            return None if ends else "has neither a length nor an end that can be seen"
        if not _DIGITS.fullmatch(length):
            return "has a length that is no number"
        return self._too_large() if int(length) > self._max_bytes else None

    async def feed(self, chunk: bytes) -> str | None:
        """Take the next raw chunk; return what is wrong with it, or `None`."""
        self._received += len(chunk)
        if self._received > self._max_bytes:
            return self._too_large()
        if self._gzip is not None:
            return await self._unpack(chunk)
        if self._sink is None:
            self._pieces.append(chunk)
            return None
        return await self._pass_on(chunk, self._sink)

    async def _pass_on(self, data: bytes, sink: Sink) -> str | None:
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                await sink.take(data[start : start + _PIECE_BYTES])
        except ProtocolError as error:
            self.cause = error
            return f"cannot be read: {error.message}"
        except Exception as bug:  # noqa: BLE001 - the sink's, and no matter of the connection
            self.cause = bug
            return f"cannot be read ({type(bug).__name__})"
        return None

    async def _unpack(self, chunk: bytes) -> str | None:
        unpacker = self._gzip
        while chunk and unpacker is not None:
            if unpacker.eof:
                return "goes on after the end of its compressed data"
            try:
                piece = unpacker.decompress(chunk, _PIECE_BYTES)
            except zlib.error:
                return "is not valid gzip"
            self._unpacked += len(piece)
            if self._unpacked > self._max_bytes:
                return self._too_large()
            if self._is_bomb():
                return f"unpacks to more than {limits.GZIP_RATIO} times its size"
            if self._sink is None:
                self._pieces.append(piece)
            elif (fault := await self._pass_on(piece, self._sink)) is not None:
                return fault
            chunk = unpacker.unconsumed_tail or unpacker.unused_data
        return None

    def _is_bomb(self) -> bool:
        allowed = max(limits.GZIP_RATIO_FREE_BYTES, limits.GZIP_RATIO * self._received)
        return self._unpacked > allowed

    def finish(self) -> str | None:
        """Return what is wrong with a body that has ended, or `None` if it is whole."""
        length = self._headers.get("content-length")
        if length is not None and not self._empty and int(length) != self._received:
            return f"ends after {self._received} of {length} bytes"
        if self._gzip is not None and not self._gzip.eof:
            return "ends within its compressed data"
        return None

    def take(self) -> bytes:
        """Return the body, and let go of it."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def _too_large(self) -> str:
        return f"is larger than {self._max_bytes} bytes"
