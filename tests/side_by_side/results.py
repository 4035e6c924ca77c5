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
    if isinstance(value, datetime):
        return "a time"
    if isinstance(value, dict):
        return {name: parts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [parts(item) for item in value]
    inner = _inner(value)
    return value if inner is None else [f"{type(value).__module__}.{type(value).__name__}", *inner]


def _inner(value: Any) -> list[Any] | None:
    """Return what a value of Qiskit's or IBM's consists of, or `None` for a plain one."""
    match value:
        case PrimitiveResult():
            return [parts(list(value)), parts(value.metadata)]
        case PubResult():
            return [parts(value.data), parts(value.metadata)]
        case DataBin():
            return [value.shape, parts(dict(value.items()))]
        case BitArray():
            return [value.num_bits, value.array]
    if is_dataclass(value):
        return [parts({one.name: getattr(value, one.name) for one in fields(value)})]
    return _spans(value)


def _spans(value: Any) -> list[Any] | None:
    if type(value).__name__ == "ExecutionSpans":
        return [parts(list(value))]
    if hasattr(value, "pub_idxs"):
        return [value.pub_idxs, [value.mask(index) for index in value.pub_idxs]]
    return None
