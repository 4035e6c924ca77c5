"""A result's JSON as values: a closed set of types, and nothing imported on their say-so.

The forms are those of `RuntimeDecoder` in qiskit-ibm-runtime 0.51, and what it
makes of a well-formed result, this module makes of it. Unlike it, this module
imports no module and looks up no class that the data names, bounds what is
decompressed, and has one error for everything malformed.

Circuits are read only when asked for, as no result of a sampler or estimator
holds one and qiskit's QPY reader trusts its input: sizes that a malformed
circuit claims can exhaust the memory and end the process.

NaN and Infinity are accepted outside arrays too: the service writes its
metadata with Python's `json`, which spells them so.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ProtocolError
from qawait.ibm.codec import spans
from qawait.ibm.codec.arrays import decode_array
from qawait.ibm.codec.circuit import load_circuit, load_parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from qawait.ibm.codec.inflate import Budget

_EXTRAPOLATORS: Final = frozenset(
    {"linear", "exponential", "double_exponential", "fallback"}
    | {f"polynomial_degree_{degree}" for degree in range(1, 8)}
)
"""Words that stand for themselves where an estimator's result has an array."""
_OPERATORS: Final = frozenset(
    {"Chi", "Choi", "Kraus", "Operator", "PTM", "Pauli", "PauliList", "SparsePauliOp"}
    | {"Stinespring", "SuperOp"}
)
"""The classes of `qiskit.quantum_info` that are sent as their settings."""
_CIRCUITS: Final = frozenset({"Instruction", "QuantumCircuit"})
_OPERATOR_MODULES: Final = "qiskit.quantum_info.operators"
_NOISE_CLASSES: Final = frozenset({"LayerError", "PauliLindbladError"})
_NOISE_MODULES: Final = frozenset(
    {"qiskit_ibm_runtime.utils.noise_learner_result", "qiskit_ibm_runtime.results.noise_learner"}
)


def read_json(
    text: bytes | bytearray,
    budget: Budget,
    *,
    arrays: Mapping[str, NDArray[Any]] | None = None,
    circuits: bool = False,
) -> Any:
    """Return the value that a result's JSON stands for: a `PrimitiveResult`, or plain JSON.

    `arrays` are those decoded already, by the texts that stand in their places.

    Raises:
        ProtocolError: if the result is malformed, truncated or beyond the
            budget, or holds a value of an unknown type, or a circuit unasked.
    """
    return parse(text, _Reader(budget, arrays or {}, circuits=circuits).read)


def parse(text: bytes | bytearray, read: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Return the value of JSON whose objects `read` makes of their keys and values.

    Raises:
        ProtocolError: if it is no JSON, or nests too deeply.
    """
    try:
        return json.loads(str(text, "utf-8"), object_pairs_hook=read)
    except RecursionError as error:
        raise ProtocolError("the result nests too deeply") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ProtocolError(f"the result is not JSON: {error!s:.200}") from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as it is.

    Raises:
        ProtocolError: if a key occurs twice in it.
    """
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ProtocolError("the result has an object with a duplicate key")
    return record


class _Reader:
    """Turns one answer's JSON objects into values, innermost first."""

    def __init__(
        self, budget: Budget, arrays: Mapping[str, NDArray[Any]], *, circuits: bool
    ) -> None:
        self._budget = budget
        self._arrays = arrays
        self._circuits = circuits

    def read(self, pairs: list[tuple[str, Any]]) -> Any:
        record = unique(pairs)
        if "__type__" not in record:
            return record
        tag = record["__type__"]
        try:
            return self._build(tag, record)
        except ProtocolError:
            raise
        except Exception as error:  # qiskit's constructors raise whatever they stumble over
            raise ProtocolError(f"the result has a malformed {tag}: {error!s:.200}") from error

    def _build(self, tag: Any, record: dict[str, Any]) -> Any:
        if not isinstance(tag, str):
            raise ProtocolError(f"the result has a value of the unknown type {tag!r:.60}")
        if tag == "ndarray" and (array := self._decoded(record["__value__"])) is not None:
            return array
        if tag in _FROM_RECORD:
            return _FROM_RECORD[tag](record)
        if tag in _CIRCUITS and not self._circuits:
            raise ProtocolError(f"the result holds a {tag}, which is read only when asked for")
        if tag in _FROM_DATA:
            return _FROM_DATA[tag](record["__value__"], self._budget)
        if tag in _FROM_VALUE:
            return _FROM_VALUE[tag](record["__value__"])
        raise ProtocolError(f"the result has a value of the unknown type {tag!r:.60}")

    def _decoded(self, value: Any) -> NDArray[Any] | None:
        return self._arrays.get(value) if isinstance(value, str) else None


def _array(value: Any, budget: Budget) -> Any:
    if isinstance(value, str):
        return value if value in _EXTRAPOLATORS else decode_array(value, budget)
    if isinstance(value, list | int):
        import numpy as np

        budget.take(_size_as_array(value))
        return np.array(value)
    raise TypeError(f"neither text nor a list but {type(value).__name__}")


def _size_as_array(value: Any) -> int:
    """Return the bytes that a nested list takes as an array: every item as large as the largest."""
    items, largest, pending = 0, 8, [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
            continue
        items += 1
        largest = max(largest, 4 * len(item) if isinstance(item, str) else 8)
    return items * largest


def _circuit(value: Any, budget: Budget) -> Any:
    return load_circuit(_expect(value, str), budget)


def _instruction(value: Any, budget: Budget) -> Any:
    return _circuit(value, budget).data[0].operation


def _bindings(value: Any, budget: Budget) -> Any:
    from qiskit.primitives.containers.bindings_array import BindingsArray

    data = value.get("data")
    if data is not None:
        data = {_names(key, budget): item for key, item in data.items()}
    return BindingsArray(data, shape=value.get("shape"))


def _names(key: str, budget: Budget) -> tuple[Any, ...]:
    """Return the parameters that a key, itself JSON, lists."""
    reader = _Reader(budget, {}, circuits=False)
    return tuple(_expect(json.loads(key, object_pairs_hook=reader.read), list))


def _operator(record: dict[str, Any]) -> Any:
    name, module = record["__class__"], record["__module__"]
    if name not in _OPERATORS or not module.startswith(_OPERATOR_MODULES):
        raise ProtocolError(f"the result has settings of the unknown class {name!r:.60}")
    import qiskit.quantum_info

    return getattr(qiskit.quantum_info, name)(**_with_int_keys(record["__value__"]))


def _noise_record(record: dict[str, Any]) -> Any:
    name = record["__class__"]
    if name not in _NOISE_CLASSES or record["__module__"] not in _NOISE_MODULES:
        raise ProtocolError(f"the result has a record of the unknown class {name!r:.60}")
    kind = spans.runtime_class("results.noise_learner", name)
    return kind(**_with_int_keys(record["__value__"]))


def _with_int_keys(value: dict[str, Any]) -> dict[Any, Any]:
    """Undo the writing of integer keys as text, which a flag in the object announces."""
    flagged = "__int_keys__" in value
    return {
        int(key) if flagged and key.lstrip("-").isdecimal() else key: (
            _with_int_keys(item) if isinstance(item, dict) else item
        )
        for key, item in value.items()
        if key != "__int_keys__"
    }


def _datetime(value: Any) -> datetime:
    return datetime.fromisoformat(value)


def _complex(value: Any) -> complex:
    real, imaginary = value
    return complex(real, imaginary)


def _set(value: Any) -> set[Any]:
    return set(_expect(value, list))


def _parameter(value: Any) -> Any:
    return load_parameter(_expect(value, str))


def _observables(value: Any) -> Any:
    from qiskit.primitives.containers.observables_array import ObservablesArray

    return ObservablesArray(value)


def _bit_array(value: Any) -> Any:
    from qiskit.primitives.containers import BitArray

    _expect(value["num_bits"], int)
    return BitArray(**value)


def _data_bin(value: Any) -> Any:
    from qiskit.primitives.containers import DataBin

    shape, fields = value["shape"], _expect(value["fields"], dict)
    if hidden := [name for name in fields if name.startswith("__")]:
        raise ValueError(f"{hidden[0]!r:.60} is no name for data")
    return DataBin(shape=tuple(shape) if isinstance(shape, list) else shape, **fields)


def _pub_result(kind: Any, value: Any) -> Any:
    from qiskit.primitives.containers import DataBin

    _expect(value["data"], DataBin)
    _expect(value.get("metadata"), dict, type(None))
    return kind(**value)


def _plain_pub_result(value: Any) -> Any:
    from qiskit.primitives.containers import PubResult

    return _pub_result(PubResult, value)


def _sampler_pub_result(value: Any) -> Any:
    from qiskit.primitives.containers import SamplerPubResult

    return _pub_result(SamplerPubResult, value)


def _estimator_pub_result(value: Any) -> Any:
    kind = spans.runtime_class("results.estimator_pub", "EstimatorPubResult")
    return _pub_result(kind, value)


def _primitive_result(value: Any) -> Any:
    from qiskit.primitives.containers import PrimitiveResult, PubResult

    for item in _expect(value["pub_results"], list):
        _expect(item, PubResult)
    _expect(value.get("metadata"), dict, type(None))
    return PrimitiveResult(**value)


def _pauli_lindblad_map(value: Any) -> Any:
    from qiskit.quantum_info import PauliLindbladMap

    terms = [tuple(term) for term in value["paulis"]]
    return PauliLindbladMap.from_sparse_list(terms, num_qubits=value["num_qubits"])


def _itself(value: Any) -> Any:
    return value


def _expect(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(f"{type(value).__name__} instead of {kinds[0].__name__}")
    return value


_FROM_RECORD: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "settings": _operator,
    "_json": _noise_record,
}
_FROM_DATA: Final[dict[str, Callable[[Any, Budget], Any]]] = {
    "BindingsArray": _bindings,
    "Instruction": _instruction,
    "QuantumCircuit": _circuit,
    "ndarray": _array,
}
_FROM_VALUE: Final[dict[str, Callable[[Any], Any]]] = {
    "BitArray": _bit_array,
    "DataBin": _data_bin,
    "DoubleSliceSpan": spans.double_slice_span,
    "EstimatorPubResult": _estimator_pub_result,
    "ExecutionSpan": spans.slice_span,
    "ExecutionSpanCollection": spans.spans,
    "ExecutionSpans": spans.spans,
    "ObservablesArray": _observables,
    "Parameter": _parameter,
    "PauliLindbladMap": _pauli_lindblad_map,
    "PrimitiveResult": _primitive_result,
    "PubResult": _plain_pub_result,
    "SamplerPubResult": _sampler_pub_result,
    "TwirledSliceSpan": spans.twirled_slice_span,
    "TwirledSliceSpanV2": spans.twirled_slice_span_v2,
    "complex": _complex,
    "datetime": _datetime,
    "set": _set,
    "to_json": _itself,
}
