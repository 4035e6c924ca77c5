"""Arrays on the wire: base64 of zlib of the `.npy` format, read within a budget."""

from __future__ import annotations

import binascii
import io
import math
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import ProtocolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PIECE: Final = 256 * 2**10  # of base64 text, a multiple of 4; and of decompressed bytes
_NPY_MAGIC: Final = b"\x93NUMPY"
_NPY_HEADER_BYTES: Final = 10_000  # numpy's own limit
# What numpy writes for plain dtypes. Structured and object dtypes do not match: the first never
# occur, the second are pickles.
_NPY_HEADER: Final = re.compile(
    r"\{'descr': '([<>|=]?[biufcUSMm]\d{1,9}(?:\[\w{1,9}\])?)', "
    r"'fortran_order': (True|False), 'shape': \(((?:\d{1,18},? ?)*)\), \} *\n"
)


class Budget:
    """How many bytes one answer may still decompress to."""

    def __init__(self, transferred: int) -> None:
        allowed = max(limits.EXPANSION_FREE_BYTES, limits.EXPANSION_RATIO * transferred)
        self._left = min(allowed, limits.RESULT_BODY_BYTES)

    def take(self, size: int) -> None:
        """Account for `size` bytes before they are allocated.

        Raises:
            ProtocolError: if they are more than the answer may decompress to.
        """
        if size > self._left:
            raise ProtocolError("the result decompresses to more than its limit")
        self._left -= size


class Inflater:
    """The bytes behind a base64 text of zlib data, a bounded piece at a time."""

    def __init__(self, text: str) -> None:
        if text.find("=", 0, max(len(text) - 2, 0)) >= 0:
            raise ProtocolError("base64 text goes on after its padding")
        self._text = text
        self._position = 0
        self._zlib = zlib.decompressobj()

    def read(self, limit: int) -> bytes:
        """Return up to `limit` further bytes; none only at the end.

        Raises:
            ProtocolError: if the data is malformed or truncated.
        """
        try:
            while not self._zlib.eof:
                source = self._zlib.unconsumed_tail or self._next_piece()
                piece = self._zlib.decompress(source, limit)
                if piece:
                    return piece
                if not source:
                    raise ProtocolError("compressed data is truncated")
        except (ValueError, zlib.error) as error:  # binascii.Error is a ValueError
            raise ProtocolError(f"malformed compressed data: {error}") from error
        return b""

    def _next_piece(self) -> bytes:
        piece = self._text[self._position : self._position + _PIECE]
        self._position += len(piece)
        return binascii.a2b_base64(piece, strict_mode=True) if piece else b""

    def read_exactly(self, size: int) -> bytes:
        """Return exactly `size` further bytes.

        Raises:
            ProtocolError: if there are fewer.
        """
        target = bytearray(size)
        self.read_into(memoryview(target))
        return bytes(target)

    def read_into(self, target: memoryview) -> None:
        """Fill `target`, whose items are bytes.

        Raises:
            ProtocolError: if there are fewer bytes than it holds.
        """
        filled = 0
        while filled < len(target):
            piece = self.read(min(len(target) - filled, _PIECE))
            if not piece:
                raise ProtocolError("an array is shorter than it says")
            target[filled : filled + len(piece)] = piece
            filled += len(piece)

    def finish(self) -> None:
        """Make sure that nothing follows.

        Raises:
            ProtocolError: if something does, or the checksum is wrong.
        """
        if self.read(1) or self._zlib.unused_data or self._position < len(self._text):
            raise ProtocolError("compressed data is longer than it says")


def compress(data: bytes | memoryview) -> str:
    """Return `data` as the service reads it: base64 of zlib."""
    return binascii.b2a_base64(zlib.compress(data), newline=False).decode("ascii")


def inflate(text: str, budget: Budget) -> bytes:
    """Return the bytes behind a base64 text of zlib data, within `budget`.

    Raises:
        ProtocolError: if the text is malformed or truncated, or the budget spent.
    """
    stream = Inflater(text)
    pieces = []
    while piece := stream.read(_PIECE):
        budget.take(len(piece))
        pieces.append(piece)
    stream.finish()
    return b"".join(pieces)


def encode_array(array: NDArray[Any]) -> str:
    """Return a plain array as the service reads it: base64 of zlib of `.npy`.

    Raises:
        ValueError: if the array holds Python objects.
    """
    import numpy as np

    with io.BytesIO() as buffer:
        np.save(buffer, array, allow_pickle=False)
        return compress(buffer.getbuffer())


def decode_array(text: str, budget: Budget) -> NDArray[Any]:
    """Return the array behind a base64 text of zlib of `.npy`, within `budget`.

    The header decides what is allocated, and only after it was checked. Nothing
    in it is evaluated, and object arrays (pickles) are refused.

    Raises:
        ProtocolError: if the text is malformed, truncated or beyond the budget.
    """
    import numpy as np

    stream = Inflater(text)
    dtype_name, in_columns, shape = _read_header(stream)
    try:
        dtype = np.dtype(dtype_name)
    except TypeError as error:
        raise ProtocolError(f"an array has the unknown dtype {dtype_name!r}") from error
    if not dtype.itemsize:
        raise ProtocolError("an array has items without a size")
    size = math.prod(shape) * dtype.itemsize
    budget.take(size)
    raw = np.empty(size, dtype=np.uint8)
    stream.read_into(raw.data)
    stream.finish()
    return _shaped(raw.view(dtype), shape, in_columns=in_columns)


def _shaped(flat: NDArray[Any], shape: tuple[int, ...], *, in_columns: bool) -> NDArray[Any]:
    try:
        return flat.reshape(shape, order="F" if in_columns else "C")
    except ValueError as error:  # more dimensions than numpy has, or 0 times a huge number
        raise ProtocolError(f"an array has an impossible shape: {error}") from error


def _read_header(stream: Inflater) -> tuple[str, bool, tuple[int, ...]]:
    start = stream.read_exactly(8)
    if start[:6] != _NPY_MAGIC or start[6] not in {1, 2, 3}:
        raise ProtocolError("an array is not in the .npy format")
    length = int.from_bytes(stream.read_exactly(2 if start[6] == 1 else 4), "little")
    if length > _NPY_HEADER_BYTES:
        raise ProtocolError("an array has an oversized header")
    header = _NPY_HEADER.fullmatch(stream.read_exactly(length).decode("latin-1"))
    if header is None:
        raise ProtocolError("an array has a malformed header or holds objects")
    dtype_name, in_columns, shape = header.groups()
    return dtype_name, in_columns == "True", tuple(map(int, re.findall(r"\d+", shape)))
