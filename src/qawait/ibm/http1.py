"""HTTP/1.1 without I/O: requests are written, and answers read, by the letter.

An answer that two readers could understand in two ways is refused: lines that
are folded or do not end in CRLF, a length beside chunks, lengths that differ.
Only then is it certain where one answer ends and the next begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NAME: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_TEXT: Final = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
_FIELD: Final = _NAME + rb":" + _TEXT
_HEAD = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: " + _TEXT + rb")?\r\n(?:" + _FIELD + rb"\r\n)*+"
)
_TRAILER = re.compile(_FIELD)
_OUTGOING = re.compile(_NAME + rb": (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;" + _TEXT + rb")?")
_DIGITS = re.compile(r"[0-9]{1,18}")
_BLANK: Final = b"\r\n\r\n"
_BEGIN: Final = b"HTTP/1."
_EMPTY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class MalformedError(Exception):
    """An answer is not plain HTTP/1.1, or cut short; the text goes on from "the answer"."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first part of an answer, and how its body ends: by length, by chunks or by closing.

    `reusable` tells whether the connection can take another request after it.
    """

    status: int
    headers: dict[str, str] = field(repr=False)
    length: int | None
    chunked: bool
    reusable: bool


# --- requests ----------------------------------------------------------------------------------


def write_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return header fields as they are sent.

    Raises:
        ConfigError: one holds what could end it early; its value is not told.
    """
    return b"".join(_line(name, value) for name, value in fields)


def _line(name: str, value: str) -> bytes:
    line = f"{name}: {value}".encode("latin-1", "replace")
    if not _OUTGOING.fullmatch(line) or any(character > "\xff" for character in value):
        raise ConfigError(f"the header {name!r:.50} has a value that no header can hold")
    return line + b"\r\n"


# --- the head of an answer ---------------------------------------------------------------------


def find_head(data: bytes, searched: int = 0) -> int:
    """Return where the body begins, or -1 if the head has not come whole; skip what was searched.

    Raises:
        MalformedError: this cannot become a head, or not one of a bearable size.
    """
    if not data.startswith(_BEGIN) and not _BEGIN.startswith(data[: len(_BEGIN)]):
        raise MalformedError("is not HTTP/1.1")
    end = data.find(_BLANK, max(0, searched - 3))
    if max(end, 0 if end >= 0 else len(data)) > limits.HEAD_BYTES:
        raise MalformedError(f"has a head of more than {limits.HEAD_BYTES} bytes")
    return -1 if end < 0 else end + len(_BLANK)


def read_head(data: bytes) -> Head:
    """Return the meaning of a whole head, the empty line included.

    Raises:
        MalformedError: it is not plain, or leaves open where its body ends.
    """
    block = data[:-2]
    if _HEAD.fullmatch(block) is None:
        raise MalformedError("has a malformed head")
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n")[1:-1]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(block[9:12])
    length = _length(headers)
    chunked = _is_chunked(headers)
    ends = chunked or length is not None
    if status in _EMPTY:
        ends, length, chunked = not chunked and not length, 0, False
    reusable = ends and block[7:8] == b"1" and not _closes(headers)
    return Head(status, headers, length, chunked, reusable)


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise MalformedError("has a length that is no number")
    return int(text)


def _is_chunked(headers: dict[str, str]) -> bool:
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked":
        raise MalformedError("has a transfer encoding that was not asked for")
    if "content-length" in headers:
        raise MalformedError("has both a length and chunks")
    return True


def _closes(headers: dict[str, str]) -> bool:
    said = headers.get("connection")
    return said is not None and "close" in [word.strip() for word in said.lower().split(",")]


# --- the body of an answer ---------------------------------------------------------------------


class Framing(Protocol):
    """Takes what follows a head and gives the pieces of the body."""

    @property
    def done(self) -> bool:
        """Whether the body is whole."""

    @property
    def extra(self) -> bool:
        """Whether something came after it."""

    def take(self, data: bytes) -> list[bytes]:
        """Return the pieces of the body that are in the next bytes."""

    def end(self) -> None:
        """Take note that the connection has ended, or raise `MalformedError` if too early."""


def framing(head: Head) -> Framing:
    """Return what finds the end of the body that belongs to a head."""
    if head.chunked:
        return _Chunked()
    return _Open() if head.length is None else _Sized(head.length)


class _Sized:
    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.extra = False

    def take(self, data: bytes) -> list[bytes]:
        piece = data[: self._left]
        self.extra = len(data) > self._left
        self._left -= len(piece)
        self.done = self._left == 0
        return [piece] if piece else []

    def end(self) -> None:
        raise MalformedError(f"ends {self._left} bytes short of its length")


class _Open:
    def __init__(self) -> None:
        self.done = False
        self.extra = False

    def take(self, data: bytes) -> list[bytes]:
        return [data] if data else []

    def end(self) -> None:
        self.done = True


class _Chunked:
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._step: Callable[[list[bytes]], bool] = self._size
        self._trailers = 0
        self.done = False

    @property
    def extra(self) -> bool:
        return bool(self._buffer)

    def take(self, data: bytes) -> list[bytes]:
        self._buffer += data
        pieces: list[bytes] = []
        while not self.done and self._step(pieces):
            pass
        return pieces

    def end(self) -> None:
        raise MalformedError("ends before its last chunk")

    def _line(self) -> bytes | None:
        """Take the next line out of the buffer; `None` if it has not come whole."""
        end = self._buffer.find(b"\r\n", 0, limits.CHUNK_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= limits.CHUNK_LINE_BYTES:
                raise MalformedError("has a malformed chunk")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _size(self, _: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise MalformedError("has a malformed chunk")
        self._left = int(match[1], 16)
        self._step = self._data if self._left else self._trailer
        return True

    def _data(self, pieces: list[bytes]) -> bool:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        if piece:
            pieces.append(piece)
        if self._left:
            return False
        self._step = self._after
        return True

    def _after(self, _: list[bytes]) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise MalformedError("has a malformed chunk")
        if len(self._buffer) < 2:  # noqa: PLR2004 - CRLF
            return False
        del self._buffer[:2]
        self._step = self._size
        return True

    def _trailer(self, _: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailers += len(line)
        self.done = not line
        # They are read past and count for nothing: no field of ours may come so late.
        if line and (not _TRAILER.fullmatch(line) or self._trailers > limits.HEAD_BYTES):
            raise MalformedError("has malformed trailers")
        return True
