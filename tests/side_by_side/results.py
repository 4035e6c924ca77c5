"""Results taken apart until only arrays and plain values are left to compare."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, PubResult


def parts(value: Any) -> Any:
    """Return a value as dictionaries, lists, arrays and plain values, each with its type's name.

    Times are left out: the two jobs ran one after the other.
    """
    match value:
        case PrimitiveResult():
            return [_kind(value), [parts(pub) for pub in value], parts(value.metadata)]
        case PubResult():
            return [_kind(value), parts(value.data), parts(value.metadata)]
        case DataBin():
            return [value.shape, {name: parts(data) for name, data in value.items()}]
        case BitArray():
            return [value.num_bits, value.array]
        case dict():
            return {name: parts(item) for name, item in value.items()}
        case list() | tuple():
            return [parts(item) for item in value]
        case datetime():
            return "a time"
    if _kind(value).endswith("ExecutionSpans"):
        return [parts(span) for span in value]
    if hasattr(value, "pub_idxs"):
        return [_kind(value), value.pub_idxs, [value.mask(index) for index in value.pub_idxs]]
    if is_dataclass(value):
        return {one.name: parts(getattr(value, one.name)) for one in fields(value)}
    if hasattr(value, "__dict__") and type(value).__module__.startswith("samplomatic"):
        return {name: parts(item) for name, item in vars(value).items()}
    return value


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"
