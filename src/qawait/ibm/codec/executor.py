"""Results of the program `executor`, decoded while they come in.

The form is that of `QuantumProgramResultModel` in ibm-quantum-schemas, version
2.0 of the program's schema: JSON in which tensors stand as
`{"data": …, "shape": […], "dtype": …}`. Bits go from the wire's packing to that
of Qiskit's `BitArray` without a byte for each in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.inflate import Inflater
from qawait.ibm.codec.stream import StreamDecoder
from qawait.ibm.codec.tensor import PackedBits, Unpacking, decode_bits, decode_tensor
from qawait.ibm.codec.values import parse, unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qawait.ibm.codec.inflate import Budget
    from qawait.ibm.codec.stream import Growing

_SCHEMA: Final = "v2.0"
_MARK: Final = re.compile(rb'\{~"data"~:~"'.replace(b"~", rb"[ \t\n\r]{0,64}"))
_TENSOR: Final = frozenset({"data", "shape", "dtype"})


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutorItem:
    """What came of one item of a quantum program.

    `results` has a value for each classical register and each of a samplex's
    outputs: bits packed as `PackedBits`, the axes before the last as the service
    gives them, anything else as an array. `metadata` is the service's own.
    """

    results: dict[str, PackedBits | NDArray[Any]]
    metadata: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutorResult:
    """The result of the program `executor`, its tensors decoded.

    `passthrough_data` is what was sent along with the program, with an array for
    each tensor in it (bits have a byte each there); `semantic_role` names what
    the items are to be made into; `metadata` is the service's own.
    """

    items: tuple[ExecutorItem, ...]
    metadata: Any
    passthrough_data: Any
    semantic_role: str | None


class ExecutorDecoder(StreamDecoder):
    """Takes the body of an executor's result in chunks of any size.

    `finish` returns an `ExecutorResult`, and for another version of the schema
    than 2.0 the plain JSON.
    """

    mark = _MARK

    def __init__(self) -> None:
        super().__init__()
        self._large: list[Unpacking] = []

    @property
    def is_quick(self) -> bool:
        """Whether `finish` does so little that an event loop can wait for it."""
        large = sum(each.size for each in self._large)
        return large + len(self.skeleton) <= limits.INLINE_BYTES

    def begins(self, start: bytes, budget: Budget) -> bool:
        """Whether a text that begins so is compressed data."""
        del budget
        stream = Inflater()
        try:
            stream.feed(start)
            return bool(stream.read(1))
        except ProtocolError:
            return False

    def growing(self, budget: Budget) -> Growing:
        """Return what such a text is fed to."""
        self._large.append(Unpacking(budget))
        return self._large[-1]

    def read(self, text: bytearray, budget: Budget, found: dict[str, Any]) -> Any:
        """Return the result whose JSON this is.

        Raises:
            ProtocolError: if it is malformed, truncated or too large.
        """
        value = parse(text, lambda pairs: _with_large(unique(pairs), found))
        version = value.get("schema_version") if isinstance(value, dict) else None
        if version != _SCHEMA and not found:
            return value
        if version != _SCHEMA:
            raise ProtocolError(f"an executor's result of the unknown version {version!r:.60}")
        try:
            return _result(value, budget)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ProtocolError(f"the result is not that of an executor: {error!r:.200}") from error


def _with_large(record: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    data = record.get("data")
    if isinstance(data, str) and data in found:
        if record.keys() != _TENSOR:
            raise ProtocolError("the result has compressed data that are no tensor")
        record["data"] = found[data]
    return record


def _result(value: dict[str, Any], budget: Budget) -> ExecutorResult:
    return ExecutorResult(
        items=tuple(_item(item, budget) for item in value["data"]),
        metadata=_tree(value["metadata"], budget),
        passthrough_data=_tree(value.get("passthrough_data"), budget),
        semantic_role=value.get("semantic_role"),
    )


def _item(item: dict[str, Any], budget: Budget) -> ExecutorItem:
    results = {name: _decoded(record, budget) for name, record in item["results"].items()}
    return ExecutorItem(results=results, metadata=_tree(item["metadata"], budget))


def _decoded(record: dict[str, Any], budget: Budget) -> PackedBits | NDArray[Any]:
    is_bits = record["dtype"] == "bool" and record["shape"]
    return decode_bits(record, budget) if is_bits else decode_tensor(record, budget)


def _tree(value: Any, budget: Budget) -> Any:
    if isinstance(value, list):
        return [_tree(item, budget) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _TENSOR:
        return decode_tensor(value, budget)
    return {key: _tree(item, budget) for key, item in value.items()}
