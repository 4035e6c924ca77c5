"""Results decoded while they come in: large arrays at once, all else at the end.

Of a large array, no text is kept: it goes through base64 and zlib into the
array's own memory, a piece at a time. What remains of the result, in which a
unique text stands for each such array, is read as any other result is. An array
is recognised by the bytes before its text,
`{"__type__": "ndarray", "__value__": "`, which inside of a JSON string cannot
occur, as the quotes would be escaped. Whatever is written in another way stays
text until the end.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final, Protocol

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec import spans
from qawait.ibm.codec.arrays import Filling, size_of
from qawait.ibm.codec.inflate import Budget
from qawait.ibm.codec.values import read_json

_MARK: Final = re.compile(
    rb'\{~"__type__"~:~"ndarray"~,~"__value__"~:~"'.replace(b"~", rb"[ \t\n\r]{0,64}")
)
_MARK_BYTES: Final = 512  # no less than the longest mark
_ESCAPE: Final = re.compile(rb"\\(?:/|u00([0-9A-Fa-f]{2}))")
_CUT_ESCAPE: Final = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


class Growing(Protocol):
    """What becomes of a large text while it comes in."""

    def feed(self, text: bytes) -> None:
        """Take further text; `advance` does the work on it."""

    def advance(self) -> int:
        """Unpack a piece of what was fed; return its bytes, 0 once all is done."""

    def finish(self) -> Any:
        """Return what the text stands for, all of which has been fed and worked on."""


class StreamDecoder:
    """Takes the body of a result in chunks of any size and makes its value of them.

    With `circuits`, the input of a job can be read too, as for `decode_result`.
    The methods that a subclass may replace tell large texts of another form.
    """

    mark = _MARK
    """What stands before a large text; `_MARK_BYTES` long at most."""

    def __init__(self, *, circuits: bool = False) -> None:
        self._circuits = circuits
        self._budget = Budget()
        self._skeleton = bytearray()
        self._buffer = b""
        self._at = 0  # what is before this in the buffer is done with
        self._filling: Growing | None = None
        self._found: dict[str, Any] = {}
        self._name = os.urandom(16).hex()  # that no service can guess

    @property
    def skeleton(self) -> bytes:
        """What is kept of the body so far; all of it, as long as no large array has begun."""
        return bytes(self._skeleton) + self._buffer[self._at :]

    @property
    def size(self) -> int:
        """About how many bytes the value takes: those of its arrays and of its text."""
        return self._budget.taken + len(self._skeleton)

    @property
    def is_quick(self) -> bool:
        """Whether `finish` does so little that an event loop can wait for it."""
        text = self._skeleton
        return len(text) <= limits.INLINE_BYTES and not spans.needs_runtime(self.skeleton)

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes, and return whether work on them is left.

        One call goes through `limits.STREAM_STEP_BYTES` and a chunk at most. While
        it returns true, an event loop should get its turn before `feed(b"")` goes
        on; `finish` does what nobody asked for.

        Raises:
            ProtocolError: if the body is malformed or too large.
        """
        self._budget.receive(len(chunk))
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return self._work()

    def finish(self) -> Any:
        """Return the value of the body, all of which has been fed.

        Raises:
            ProtocolError: if it is malformed, truncated or too large, or holds a
                value of an unknown type, or a circuit unasked.
        """
        while self._work():
            pass
        if self._filling is not None:
            raise ProtocolError("the result ends within an array")
        self._keep(len(self._buffer))
        return self.read(self._skeleton, self._budget, self._found)

    # --- what a subclass may replace -----------------------------------------------------------

    def begins(self, start: bytes, budget: Budget) -> bool:
        """Whether a text that begins so is a large one that stands for something.

        An array beyond the budget stays text: the budget grows with the rest of
        the body.
        """
        size = size_of(start)
        return size is not None and budget.covers(size)

    def growing(self, budget: Budget) -> Growing:
        """Return what such a text is fed to."""
        return Filling(budget)

    def read(self, text: bytearray, budget: Budget, found: dict[str, Any]) -> Any:
        """Return the value of a text in which the names of `found` stand for what became of them.

        Raises:
            ProtocolError: as for `finish`.
        """
        return read_json(text, budget, arrays=found, circuits=self._circuits)

    # --- the way through the body --------------------------------------------------------------

    def _work(self) -> bool:
        left = limits.STREAM_STEP_BYTES
        while left > 0:
            done = self._seek() if self._filling is None else self._fill(self._filling)
            if not done:
                return False
            left -= done
        return True

    def _seek(self) -> int:
        """Look for the next large array; return the bytes gone through, 0 if more must come."""
        mark = self.mark.search(self._buffer, self._at)
        if mark is None:
            last = self._buffer.rfind(b"{", max(self._at, len(self._buffer) - _MARK_BYTES))
            self._keep(last if last >= 0 else len(self._buffer))
            return 0
        begin = mark.end()
        end = self._buffer.find(b'"', begin, begin + limits.STREAM_TEXT_BYTES)
        if end >= 0:  # a small one
            self._keep(end)
            return end - begin + 1
        text = self._buffer[begin : begin + limits.STREAM_TEXT_BYTES]
        if len(text) < limits.STREAM_TEXT_BYTES:
            self._keep(mark.start())
            return 0
        if self.begins(_unescaped(text), self._budget):
            self._keep(begin)
            self._skeleton += self._next_name().encode("ascii")
            self._filling = self.growing(self._budget)
        else:
            self._keep(begin + len(text))
        return len(text) + 1

    def _next_name(self) -> str:
        return f"{self._name}-{len(self._found)}"

    def _fill(self, filling: Growing) -> int:
        """Unpack some of an array; return the bytes gone through, 0 if more must come."""
        if done := filling.advance():
            return done
        text = self._buffer[self._at : self._at + limits.STREAM_CHUNK_BYTES]
        end = text.find(b'"')
        if end == 0:
            self._found[self._next_name()] = filling.finish()
            self._filling = None
            return 1
        text = text[:end] if end > 0 else _without_cut_escape(text)
        self._at += len(text)
        filling.feed(_unescaped(text))
        return len(text)

    def _keep(self, end: int) -> None:
        self._skeleton += self._buffer[self._at : end]
        self._at = end


def _unescaped(text: bytes) -> bytes:
    """Return the text with the escapes undone with which base64 could be written in JSON."""
    if b"\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes.fromhex((found[1] or b"2f").decode()), text)


def _without_cut_escape(text: bytes) -> bytes:
    cut = _CUT_ESCAPE.search(text, max(0, len(text) - 5))
    return text if cut is None else text[: cut.start()]
