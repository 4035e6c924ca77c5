"""Bytes on the wire: base64 of zlib, written at once and read piece by piece within a budget."""

from __future__ import annotations

import binascii
import zlib
from typing import TYPE_CHECKING, Final

from qawait import limits
from qawait.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 256 * 2**10
"""Bytes that are unpacked at once (0.5 ms)."""
_TEXT_PIECE: Final = 4 * 2**16  # of base64 text, a multiple of 4
_DATA_PIECE: Final = 3 * 2**16  # of bytes to become base64, a multiple of 3


class Budget:
    """How many bytes one answer may still decompress to, given what has come of it."""

    def __init__(self, transferred: int = 0) -> None:
        self._transferred = 0
        self._taken = 0
        self.receive(transferred)

    def receive(self, size: int) -> None:
        """Account for `size` further bytes of the answer.

        Raises:
            ProtocolError: if the answer is larger than its limit.
        """
        self._transferred += size
        if self._transferred > limits.RESULT_BODY_BYTES:
            raise ProtocolError("the result is larger than its limit")

    def covers(self, size: int) -> bool:
        """Whether `size` further bytes are within what the answer may decompress to."""
        allowed = max(limits.EXPANSION_FREE_BYTES, limits.EXPANSION_RATIO * self._transferred)
        return self._taken + size <= min(allowed, limits.RESULT_BODY_BYTES)

    def take(self, size: int) -> None:
        """Account for `size` bytes before they are allocated.

        Raises:
            ProtocolError: if they are more than the answer may decompress to.
        """
        if not self.covers(size):
            raise ProtocolError("the result decompresses to more than its limit")
        self._taken += size

    def give_back(self, size: int) -> None:
        """Account for `size` bytes that were taken and are let go of."""
        self._taken -= size

    @property
    def taken(self) -> int:
        """The bytes that are accounted for."""
        return self._taken


def from_base64(text: bytes | str) -> bytes:
    """Return the bytes behind base64 text that has nothing in it that does not belong there.

    Raises:
        ProtocolError: if it is malformed.
    """
    padded = text[-1:] in {"=", b"="}
    try:
        # Not strict is a third faster, and leaves out what strict refuses.
        data = binascii.a2b_base64(text, strict_mode=padded)
    except ValueError as error:  # binascii.Error is one, and that of text beyond ASCII
        raise ProtocolError(f"malformed base64: {error}") from error
    if not padded and 4 * len(data) != 3 * len(text):
        raise ProtocolError("malformed base64: it has other characters")
    return data


class Inflater:
    """The bytes behind base64 text of zlib data, as the text comes in."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj()
        self._odd = b""  # text beyond the last multiple of 4
        self._packed = b""
        self._padded = False

    def feed(self, text: bytes) -> None:
        """Take further text.

        Raises:
            ProtocolError: if it is malformed.
        """
        text = self._odd + text if self._odd else text
        whole = len(text) & ~3
        text, self._odd = (text, b"") if whole == len(text) else (text[:whole], text[whole:])
        if not text:
            return
        if self._padded:
            raise ProtocolError("base64 text goes on after its padding")
        self._padded = text.endswith(b"=")
        if self._zlib.eof:
            raise ProtocolError("compressed data is longer than it says")
        data = from_base64(text)
        self._packed = self._packed + data if self._packed else data

    def read(self, limit: int) -> bytes:
        """Return up to `limit` further bytes; none if that takes more text, or at the end.

        Raises:
            ProtocolError: if the data is malformed.
        """
        if self._zlib.eof:
            return b""
        try:
            piece = self._zlib.decompress(self._packed, limit)
        except zlib.error as error:
            raise ProtocolError(f"malformed compressed data: {error}") from error
        self._packed = self._zlib.unconsumed_tail or self._zlib.unused_data
        return piece

    def finish(self) -> None:
        """Make sure that the data has ended just where the text has.

        Raises:
            ProtocolError: if either goes on, or the checksum is wrong.
        """
        if self.read(1) or (self._zlib.eof and (self._packed or self._odd)):
            raise ProtocolError("compressed data is longer than it says")
        if self._odd or not self._zlib.eof:
            raise ProtocolError("compressed data is truncated")


def inflate(text: str, budget: Budget) -> bytes:
    """Return the bytes behind a base64 text of zlib data, within `budget`.

    Raises:
        ProtocolError: if the text is malformed or truncated, or the budget spent.
    """
    stream, pieces = Inflater(), []
    for part in text_pieces(text):
        stream.feed(part)
        while piece := stream.read(PIECE):
            budget.take(len(piece))
            pieces.append(piece)
    stream.finish()
    return b"".join(pieces)


def text_pieces(text: str) -> Iterator[bytes]:
    """Yield a base64 text bit by bit, so that no second copy of it is ever whole.

    Raises:
        ProtocolError: if it is not ASCII.
    """
    for start in range(0, len(text), _TEXT_PIECE):
        try:
            yield text[start : start + _TEXT_PIECE].encode("ascii")
        except UnicodeEncodeError as error:
            raise ProtocolError("malformed base64: it is not ASCII") from error


def compress(data: bytes | memoryview) -> bytes:
    """Return `data` as the service reads it: base64 of zlib."""
    packed = memoryview(zlib.compress(data))
    # Piece by piece, as base64 holds the interpreter lock all the while.
    places = range(0, len(packed), _DATA_PIECE)
    return b"".join(
        binascii.b2a_base64(packed[place : place + _DATA_PIECE], newline=False) for place in places
    )
