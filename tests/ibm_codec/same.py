"""Equality of results, which Qiskit's containers do not define."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray


def same(one: Any, other: Any) -> bool:
    """Whether two values are of one type and equal throughout, NaN being equal to itself."""
    if type(one) is not type(other):
        return False
    match one:
        case np.ndarray():
            return _same_arrays(one, other)
        case dict():
            return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case float() | complex():
            return bool(np.array_equal(one, other, equal_nan=True))
    parts = _parts(one)
    return bool(one == other) if parts is None else same(parts, _parts(other))


def _same_arrays(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return (
        one.tobytes() == other.tobytes() if not one.dtype.hasobject else bool(np.all(one == other))
    )


def _parts(value: Any) -> Any:
    match value:
        case BitArray():
            return value.array, value.num_bits
        case DataBin():
            return value.shape, dict(value.items())
        case PubResult():
            return value.data, value.metadata
        case PrimitiveResult():
            return list(value), value.metadata
        case ObservablesArray():
            return value.shape, value.tolist()
    return (value.shape, value.data) if isinstance(value, BindingsArray) else None
