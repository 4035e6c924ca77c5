"""Arrays on the wire: base64 of zlib of the `.npy` format, read within a budget."""

from __future__ import annotations

import io
import math
import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qawait.errors import ProtocolError
from qawait.ibm.codec.inflate import PIECE, Inflater, compress, from_base64, text_pieces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qawait.ibm.codec.inflate import Budget

_SMALL_TEXT: Final = 4096
_SMALL_DATA: Final = 2**16
_NPY_MAGIC: Final = b"\x93NUMPY"
_NPY_HEADER_BYTES: Final = 10_000  # numpy's own limit
# What numpy writes for plain dtypes. Structured and object dtypes do not match: the first never
# occur, the second are pickles.
_NPY_HEADER: Final = re.compile(
    r"\{'descr': '([<>|=]?[biufcUSMm]\d{1,9}(?:\[\w{1,9}\])?)', "
    r"'fortran_order': (True|False), 'shape': \(((?:\d{1,18},? ?)*)\), \} *\n"
)


class Layout(NamedTuple):
    """What the header of an array says: what the `size` bytes after it are."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    in_columns: bool
    size: int

    def over(self, data: bytearray | NDArray[Any]) -> NDArray[Any]:
        """Return the array whose items `data` holds.

        Raises:
            ProtocolError: if no array can have the shape.
        """
        import numpy as np

        order: Any = "F" if self.in_columns else "C"
        try:
            return np.ndarray(self.shape, self.dtype, data, order=order)
        except ValueError as error:  # more dimensions than numpy has, or 0 times a huge number
            raise ProtocolError(f"an array has an impossible shape: {error}") from error


def encode_array(array: NDArray[Any]) -> str:
    """Return a plain array as the service reads it: base64 of zlib of `.npy`.

    Raises:
        ValueError: if the array holds Python objects.
    """
    import numpy as np

    with io.BytesIO() as buffer:
        np.save(buffer, array, allow_pickle=False)
        return compress(buffer.getbuffer()).decode("ascii")


def decode_array(text: str, budget: Budget) -> NDArray[Any]:
    """Return the array behind a base64 text of zlib of `.npy`, within `budget`.

    The header decides what is allocated, and only after it was checked. Nothing
    in it is evaluated, and object arrays (pickles) are refused.

    Raises:
        ProtocolError: if the text is malformed, truncated or beyond the budget.
    """
    if len(text) <= _SMALL_TEXT and (data := _inflated_at_once(text)) is not None:
        return _from_npy(data, budget)
    filling = Filling(budget)
    for piece in text_pieces(text):
        filling.feed(piece)
        while filling.advance():
            pass
    return filling.finish()


def _inflated_at_once(text: str) -> bytes | None:
    """Return the data behind a short text, `None` unless it is little and faultless."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(from_base64(text), _SMALL_DATA)
    except zlib.error:
        return None
    return data if stream.eof and not stream.unused_data else None


def _from_npy(data: bytes, budget: Budget) -> NDArray[Any]:
    start = _header_size(data)
    layout = _layout(data[:start])
    if len(data) != start + layout.size:
        raise ProtocolError("an array is shorter or longer than it says")
    budget.take(layout.size)
    return layout.over(bytearray(memoryview(data)[start:]))


class Filling:
    """An array that takes shape while its text comes in."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._stream = Inflater()
        self._head = b""
        self._layout: Layout | None = None
        self._items: Any = None
        self._target = memoryview(b"")
        self._filled = 0

    def feed(self, text: bytes) -> None:
        """Take further text; `advance` does the work on it.

        Raises:
            ProtocolError: if it is malformed.
        """
        self._stream.feed(text)

    def advance(self) -> int:
        """Unpack a piece of what was fed; return its bytes, 0 once all is done.

        Raises:
            ProtocolError: if the data is malformed or beyond the budget.
        """
        piece = self._stream.read(PIECE)
        if self._layout is None:
            self._begin(piece)
        else:
            self._fill(piece)
        return len(piece)

    def _begin(self, piece: bytes) -> None:
        import numpy as np

        self._head += piece
        start = _header_size(self._head)
        if len(self._head) < start:
            return
        self._layout = _layout(self._head[:start])
        self._budget.take(self._layout.size)
        self._items = np.empty(self._layout.size, dtype=np.uint8)
        self._target = self._items.data
        self._fill(self._head[start:])
        self._head = b""

    def _fill(self, piece: bytes) -> None:
        end = self._filled + len(piece)
        if end > len(self._target):
            raise ProtocolError("an array is longer than it says")
        self._target[self._filled : end] = piece
        self._filled = end

    def finish(self) -> NDArray[Any]:
        """Return the array, all of whose text has been fed and worked on.

        Raises:
            ProtocolError: if it is truncated or goes on.
        """
        self._stream.finish()
        if self._layout is None or self._filled < self._layout.size:
            raise ProtocolError("an array is shorter than it says")
        return self._layout.over(self._items)


def size_of(text: bytes) -> int | None:
    """Return the bytes that an array takes, from the start of its text.

    `None` means that it is no array, or that its header is not in that start.
    """
    stream = Inflater()
    try:
        stream.feed(text)
        data = stream.read(_NPY_HEADER_BYTES)
        start = _header_size(data)
        return _layout(data[:start]).size if len(data) >= start else None
    except ProtocolError:
        return None


def _header_size(data: bytes) -> int:
    """Return how long the header is with which an array begins, as far as can be told."""
    if not _NPY_MAGIC.startswith(data[:6]) or data[6:7] not in {b"", b"\1", b"\2", b"\3"}:
        raise ProtocolError("an array is not in the .npy format")
    fixed = 10 if data[6:7] == b"\1" else 12
    if len(data) < fixed:
        return fixed
    length = int.from_bytes(data[8:fixed], "little")
    if length > _NPY_HEADER_BYTES:
        raise ProtocolError("an array has an oversized header")
    return fixed + length


@lru_cache(maxsize=128)
def _layout(start: bytes) -> Layout:
    """Return what a header, magic and length included, says; results repeat few of them."""
    import numpy as np

    header = _NPY_HEADER.fullmatch(start[10 if start[6:7] == b"\1" else 12 :].decode("latin-1"))
    if header is None:
        raise ProtocolError("an array has a malformed header or holds objects")
    name, in_columns, extents = header.groups()
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise ProtocolError(f"an array has the unknown dtype {name!r}") from error
    if not dtype.itemsize:
        raise ProtocolError("an array has items without a size")
    shape = tuple(map(int, re.findall(r"\d+", extents)))
    return Layout(dtype, shape, in_columns == "True", math.prod(shape) * dtype.itemsize)
