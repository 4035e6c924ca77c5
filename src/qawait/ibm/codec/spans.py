"""Execution spans, and the other classes that only qiskit-ibm-runtime has.

A result must hold that package's own classes, as users compare, draw and filter
them. Importing the package costs 0.9 s and 90 MB, so it happens when a result
first holds such a value, and `decode` does it in a worker thread. Which module
is imported never depends on the data: the names below are all there are.
"""

from __future__ import annotations

import importlib
import sys
from datetime import datetime
from typing import Any, Final

from qawait.errors import ProtocolError

_PACKAGE: Final = "qiskit_ibm_runtime"
_MARKS: Final = (b"Span", b"EstimatorPubResult", b"noise_learner")
"""What the body of a result contains if it holds a class of the package."""


def needs_runtime(body: bytes) -> bool:
    """Whether decoding `body` may have to import qiskit-ibm-runtime first."""
    return _PACKAGE not in sys.modules and any(mark in body for mark in _MARKS)


def runtime_class(module: str, name: str) -> Any:
    """Return a class of qiskit-ibm-runtime, imported on first use.

    Raises:
        ProtocolError: if the installed version lacks the class.
    """
    try:
        return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise ProtocolError(f"qiskit-ibm-runtime lacks {name}: {error}") from error


def spans(value: Any) -> Any:
    """Build `ExecutionSpans`."""
    span_type = _span_class("ExecutionSpan")
    items = value["spans"]
    if not isinstance(items, list) or not all(isinstance(item, span_type) for item in items):
        raise TypeError("not a list of spans")
    return _span_class("ExecutionSpans")(items)


def slice_span(value: Any) -> Any:
    """Build a `SliceSpan`: pub index → shape, start, stop."""
    return _span("SliceSpan", value, _slice_span)


def double_slice_span(value: Any) -> Any:
    """Build a `DoubleSliceSpan`: pub index → shape, slice of arguments, slice of shots."""
    return _span("DoubleSliceSpan", value, _double_slice_span)


def twirled_slice_span(value: Any) -> Any:
    """Build a `TwirledSliceSpan`."""
    return _span("TwirledSliceSpan", value, _twirled_slice_span)


def twirled_slice_span_v2(value: Any) -> Any:
    """Build a `TwirledSliceSpanV2`, which knows the shots of each pub too."""
    return _span("TwirledSliceSpanV2", value, _twirled_slice_span_v2)


def _span_class(name: str) -> Any:
    return runtime_class("execution_span", name)


def _span(name: str, value: Any, read: Any) -> Any:
    start, stop = value["start"], value["stop"]
    if not isinstance(start, datetime) or not isinstance(stop, datetime):
        raise TypeError("a span does not start and stop at a time")
    slices = {int(index): read(*fields) for index, fields in value["data_slices"].items()}
    return _span_class(name)(start, stop, slices)


def _slice_span(shape: Any, *bounds: Any) -> tuple[Any, ...]:
    return _shape(shape), _slice(*bounds)


def _double_slice_span(shape: Any, a: Any, b: Any, c: Any, d: Any) -> tuple[Any, ...]:
    return _shape(shape), _slice(a, b), _slice(c, d)


def _twirled_slice_span(
    shape: Any, at_start: Any, a: Any, b: Any, c: Any, d: Any
) -> tuple[Any, ...]:
    if not isinstance(at_start, bool):
        raise TypeError("at_start is not a boolean")
    return _shape(shape), at_start, _slice(a, b), _slice(c, d)


def _twirled_slice_span_v2(*fields: Any) -> tuple[Any, ...]:
    return *_twirled_slice_span(*fields[:-1]), _count(fields[-1])


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(_count(item) for item in value)


def _slice(*bounds: Any) -> slice:
    return slice(*(None if bound is None else _count(bound) for bound in bounds))


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not an integer")
    return value
