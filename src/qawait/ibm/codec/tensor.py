"""Tensors of the program `executor`: base64 of zlib of little-endian items, bits packed.

The form is that of `CompressedTensorModel` in ibm-quantum-schemas, as version
2.0 of the program's schema has it: `{"data": …, "shape": […], "dtype": "f64"}`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.inflate import Inflater, text_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from qawait.ibm.codec.inflate import Budget

_ITEMS: Final = {
    "f16": "<f2",
    "f32": "<f4",
    "f64": "<f8",
    "i8": "<i1",
    "i16": "<i2",
    "i32": "<i4",
    "i64": "<i8",
    "u8": "<u1",
    "u16": "<u2",
    "u32": "<u4",
    "u64": "<u8",
    "c64": "<c8",
    "c128": "<c16",
}
_BLOCK: Final = 64 * 2**10  # of packed bits; eight times as much unpacked fits into a cache


@dataclass(frozen=True, slots=True, eq=False)
class PackedBits:
    """Bits as Qiskit's `BitArray` keeps them: `BitArray(bits.array, bits.num_bits)`.

    The last axis of `array`, of bytes, holds `num_bits` bits, right-aligned, the
    highest first. Two with equal shapes can be combined by `array ^ array`.
    """

    array: NDArray[np.uint8]
    num_bits: int


class Unpacking:
    """The data of a tensor, unpacked while its text comes in, before its shape is known."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._stream = Inflater()
        self._pieces: deque[bytes] = deque()
        self.size = 0

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
        piece = self._stream.read(_BLOCK)
        if piece:
            self._budget.take(len(piece))
            self._pieces.append(piece)
            self.size += len(piece)
        return len(piece)

    def finish(self) -> Unpacking:
        """Return itself, all of whose text has been fed and worked on.

        Raises:
            ProtocolError: if it is truncated or goes on.
        """
        self._stream.finish()
        return self

    def pieces(self) -> Iterator[bytes]:
        """Give the data once, and let go of each piece."""
        while self._pieces:
            yield self._pieces.popleft()

    def pass_on(self) -> None:
        """Leave the room of it to the array that it becomes."""
        self._budget.give_back(self.size)


class _Tensor(NamedTuple):
    data: str | Unpacking
    shape: tuple[int, ...]
    dtype: str


def decode_tensor(record: Mapping[str, Any], budget: Budget) -> NDArray[Any]:
    """Return a tensor as an array; one of bits has a byte for each.

    Raises:
        ProtocolError: if it is malformed, truncated or beyond the budget.
    """
    import numpy as np

    tensor = _read(record)
    count = math.prod(tensor.shape)
    if tensor.dtype == "bool":
        budget.take(count)
        packed = _filled(tensor.data, -(-count // 8), budget)
        flat = np.unpackbits(packed, count=count, bitorder="little").view(np.bool_)
    elif tensor.dtype in _ITEMS:
        dtype = np.dtype(_ITEMS[tensor.dtype])
        flat = _filled(tensor.data, count * dtype.itemsize, budget).view(dtype)
    else:
        raise ProtocolError(f"a tensor has the unknown dtype {tensor.dtype!r:.60}")
    return _shaped(flat, tensor.shape)


def decode_bits(record: Mapping[str, Any], budget: Budget) -> PackedBits:
    """Return a tensor of bits as `BitArray` keeps them.

    The first bit along that axis becomes the lowest of the number that the bytes
    of a row are, highest first. At no time is there a byte for every bit.

    Raises:
        ProtocolError: if it is no tensor of bits, malformed, truncated or beyond
            the budget.
    """
    import numpy as np

    tensor = _read(record)
    if tensor.dtype != "bool" or not tensor.shape:
        raise ProtocolError("a tensor of bits is expected")
    *outer, bits = tensor.shape
    rows, row_bytes = math.prod(outer), -(-bits // 8)
    budget.take(rows * row_bytes)
    packed = np.empty((rows, row_bytes), dtype=np.uint8)
    done = 0
    for block in _blocks(tensor.data, rows * bits, 8 * bits):
        some = _repacked(block, bits)[: rows - done]
        packed[done : done + len(some)] = some
        done += len(some)
    return PackedBits(_shaped(packed, (*outer, row_bytes)), bits)


def _repacked(block: bytes, bits: int) -> NDArray[Any]:
    """Return whole rows of packed bits as rows of bytes, the highest first."""
    import numpy as np

    rows = np.unpackbits(np.frombuffer(block, np.uint8), bitorder="little").reshape(-1, bits)
    padded = np.zeros((len(rows), -bits % 8 + bits), dtype=np.uint8)
    padded[:, :bits] = rows
    return np.packbits(padded, bitorder="little").reshape(len(rows), -1)[:, ::-1]


def _blocks(data: str | Unpacking, bits: int, multiple: int) -> Iterator[bytes]:
    """Yield `bits` packed bits, in blocks of a multiple of so many; the last filled up."""
    unit, left, odd = multiple // 8, -(-bits // 8), b""
    for piece in _pieces(data):
        left -= len(piece)
        if left < 0:
            raise ProtocolError("a tensor is longer than it says")
        odd += piece
        whole = len(odd) - len(odd) % unit
        if whole:
            yield odd[:whole]
            odd = odd[whole:]
    if left:
        raise ProtocolError("a tensor is shorter than it says")
    if odd:
        yield odd.ljust(unit, b"\0")


def _filled(data: str | Unpacking, size: int, budget: Budget) -> NDArray[Any]:
    """Return the `size` bytes of a tensor."""
    import numpy as np

    budget.take(size)
    whole = np.empty(size, dtype=np.uint8)
    filled = 0
    for piece in _pieces(data):
        if filled + len(piece) > size:
            raise ProtocolError("a tensor is longer than it says")
        whole[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if filled < size:
        raise ProtocolError("a tensor is shorter than it says")
    return whole


def _pieces(data: str | Unpacking) -> Iterator[bytes]:
    if isinstance(data, Unpacking):
        yield from data.pieces()
        return
    stream = Inflater()
    for part in text_pieces(data):
        stream.feed(part)
        while piece := stream.read(_BLOCK):
            yield piece
    stream.finish()


def _shaped(flat: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return flat.reshape(shape)
    except ValueError as error:  # more dimensions than numpy has, or 0 times a huge number
        raise ProtocolError(f"a tensor has an impossible shape: {error}") from error


def _read(record: Mapping[str, Any]) -> _Tensor:
    data, shape, dtype = map(record.get, ("data", "shape", "dtype"))
    if (
        not isinstance(data, str | Unpacking)
        or not isinstance(shape, list)
        or not isinstance(dtype, str)
    ):
        raise ProtocolError("a tensor lacks its data, shape or dtype")
    if isinstance(data, Unpacking):
        data.pass_on()
    most = 8 * limits.RESULT_BODY_BYTES
    if not all(type(extent) is int and 0 <= extent <= most for extent in shape):
        raise ProtocolError("a tensor has a shape that is none")
    return _Tensor(data, tuple(shape), dtype)
