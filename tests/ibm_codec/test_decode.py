"""Results are decoded as the real client's decoder does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import RXGate
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Operator, Pauli, PauliLindbladMap, PauliList, SparsePauliOp
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.execution_span import (
    DoubleSliceSpan,
    ExecutionSpans,
    SliceSpan,
    TwirledSliceSpan,
    TwirledSliceSpanV2,
)
from qiskit_ibm_runtime.results import EstimatorPubResult, LayerError, PauliLindbladError

from ibm_codec.same import same
from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.decode import decode_result, feed, finish
from qawait.ibm.codec.stream import StreamDecoder
from support.recorded import exchange

RECORDED = ["03", "04", "12"]
START = datetime(2026, 11, 20, 4, 33, 45, 870693, tzinfo=UTC)
STOP = START + timedelta(seconds=2)


def _agree(value: object) -> None:
    body = json.dumps(value, cls=RuntimeEncoder)
    assert same(decode_result(body.encode(), circuits=True), json.loads(body, cls=RuntimeDecoder))


@pytest.mark.parametrize("transcript", RECORDED)
def test_recorded_results_are_what_the_real_decoder_makes_of_them(transcript: str) -> None:
    """Ours equals the real one's value for each recorded result."""
    body = exchange(transcript, "GET", "/results").raw
    theirs = json.loads(body, cls=RuntimeDecoder)
    assert isinstance(theirs, PrimitiveResult)
    assert same(decode_result(body), theirs)


@pytest.mark.anyio
@pytest.mark.parametrize("inline", [True, False])
async def test_decoding_in_a_thread_gives_the_same(
    inline: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A result is the same whether small enough for the loop or decoded in a thread."""
    monkeypatch.setattr(limits, "INLINE_BYTES", 2**20 if inline else 0)
    body = exchange("03", "GET", "/results").raw
    decoder = StreamDecoder()
    await feed(decoder, body)
    assert same(await finish(decoder), decode_result(body))


def test_counts_can_be_read_from_a_decoded_result() -> None:
    """A user reads a recorded Bell pair's counts as from Qiskit."""
    counts = decode_result(exchange("03", "GET", "/results").raw)[0].data.meas.get_counts()
    assert sum(counts.values()) == 128
    assert set(counts) <= {"00", "01", "10", "11"}


SPANS = [
    SliceSpan(START, STOP, {0: ((100,), slice(4, 9)), 1: ((3, 5, 18), slice(1, 3))}),
    DoubleSliceSpan(START, STOP, {2: ((3, 5, 18), slice(4, 9), slice(0, 5))}),
    TwirledSliceSpan(START, STOP, {0: ((2, 3, 8), True, slice(0, 6), slice(0, 8))}),
    TwirledSliceSpanV2(START, STOP, {0: ((2, 3, 8), False, slice(0, 6), slice(0, 8), 14)}),
]
VALUES: dict[str, object] = {
    "circuit": QuantumCircuit(2, 1, name="two"),
    "instruction": RXGate(0.25),
    "parameter": Parameter("θ_1"),
    "complex": -1.5 + 2j,
    "datetime": START,
    "datetime with offset": START.astimezone(timezone(timedelta(hours=-5, minutes=-30))),
    "datetime without zone": START.replace(tzinfo=None),
    "date": START.date(),
    "set": {1, "a", 2.5},
    "span collection": ExecutionSpans(SPANS),
    **{type(span).__name__: span for span in SPANS},
    "observables": ObservablesArray([["ZZ", "XI"], [{"YY": 0.5}, {"II": 2, "ZX": -1}]]),
    "one observable": ObservablesArray({"ZZ": 1.5}),
    "bindings": BindingsArray({"a": [1.0, 2.0], ("b", "c"): np.ones((2, 2))}),
    "no bindings": BindingsArray(shape=(3,)),
    "lindblad": PauliLindbladMap.from_list([("XY", 0.1), ("IZ", 0.2)]),
    "operator": Operator(np.eye(4)),
    "pauli": Pauli("-iXY"),
    "paulis": PauliList(["XX", "ZI"]),
    "pauli sum": SparsePauliOp(["XX", "ZI"], [1.0, 2j]),
    "extrapolators": np.array([["linear", "fallback"]], dtype=object),
    "extrapolators or none": np.array(["polynomial_degree_2", None], dtype=object),
    "one extrapolator": np.array("exponential", dtype=object),
    "array of times": np.array(["2026-11-20", "NaT"], dtype="datetime64[s]"),
    "array in columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "array of bytes": np.array([b"ab", b"c"]),
    "NaN": [float("nan"), float("inf"), -float("inf")],
    "to_json": {"__type__": "to_json", "__value__": {"a": [1]}},
    "int keys": {"a": {"1": 2}},
    "plain sampler": {"results": [{"data": {"c": {"samples": ["0x3", "0x0"]}}, "metadata": {}}]},
    "plain estimator": {"results": [{"data": {"evs": [0.5], "stds": [0.1]}, "metadata": {}}]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
def test_each_type_is_what_the_real_decoder_makes_of_it(value: object) -> None:
    """Every tag that the real encoder writes is read alike."""
    _agree(value)


def test_the_old_name_of_the_spans_is_read() -> None:
    """Results from before the collection was renamed are read."""
    body = json.dumps(ExecutionSpans(SPANS), cls=RuntimeEncoder)
    body = body.replace('"ExecutionSpans"', '"ExecutionSpanCollection"')
    assert decode_result(body.encode()) == ExecutionSpans(SPANS)


@pytest.mark.parametrize("module", ["utils.noise_learner_result", "results.noise_learner"])
def test_a_layer_error_is_read_by_its_old_and_new_module(module: str) -> None:
    """The records of a noise learner are built whichever module they name."""
    error = PauliLindbladError(PauliList(["XX", "ZI"]), np.array([0.1, 0.2]))
    body = json.dumps(LayerError(QuantumCircuit(2), [0, 1], error), cls=RuntimeEncoder)
    body = body.replace(
        "qiskit_ibm_runtime.utils.noise_learner_result", f"qiskit_ibm_runtime.{module}"
    )
    found = decode_result(body.encode(), circuits=True)
    assert isinstance(found, LayerError)
    assert found.error.generators == error.generators
    assert found.error.rates.tolist() == [0.1, 0.2]


def test_integer_keys_of_settings_come_back_as_integers() -> None:
    """Keys that JSON made text are integers again where the record says so."""
    from qawait.ibm.codec.values import _with_int_keys

    written = {"1": {"-2": "x", "y": 0, "__int_keys__": True}, "__int_keys__": True}
    assert _with_int_keys(written) == {1: {-2: "x", "y": 0}}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
METADATA = st.dictionaries(
    st.text(max_size=5).filter(lambda key: not key.startswith("__")),
    st.recursive(
        SCALARS | st.complex_numbers(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
PLAIN = st.sampled_from([np.dtype(name) for name in ("f8", "f4", "c16", "i8", "?", ">u2", "<U4")])


@given(st.data())
def test_any_array_is_what_the_real_decoder_makes_of_it(data: st.DataObject) -> None:
    """Arrays of every plain dtype, shape and order are equal, and can be written to."""
    array = data.draw(npst.arrays(data.draw(PLAIN), data.draw(SHAPES)))
    _agree(np.asfortranarray(array) if data.draw(st.booleans()) else array)
    body = json.dumps(array, cls=RuntimeEncoder).encode()
    assert decode_result(body).flags.writeable


@st.composite
def _sampler_results(draw: st.DrawFn) -> SamplerPubResult:
    shape = draw(SHAPES)
    shots, bits = draw(st.integers(0, 5)), draw(st.integers(1, 20))
    packed = npst.arrays(np.uint8, (*shape, shots, (bits + 7) // 8))
    fields = {name: BitArray(draw(packed), bits) for name in draw(st.sets(st.sampled_from("abc")))}
    return SamplerPubResult(DataBin(shape=shape, **fields), draw(METADATA))


@st.composite
def _estimator_results(draw: st.DrawFn) -> PubResult:
    shape = draw(SHAPES)
    arrays = npst.arrays(np.float64, shape)
    fields = {name: draw(arrays) for name in ("evs", "stds")}
    kind = draw(st.sampled_from([PubResult, EstimatorPubResult]))
    return kind(DataBin(shape=shape, **fields), draw(METADATA))


@given(
    st.lists(_sampler_results() | _estimator_results(), max_size=3),
    METADATA,
    st.sampled_from([None, *SPANS]),
)
def test_any_result_is_what_the_real_decoder_makes_of_it(
    pubs: list[PubResult], metadata: dict[str, Any], span: Any
) -> None:
    """Whole results of every shape are equal, spans and all."""
    extra = {"execution": {"execution_spans": ExecutionSpans([span])}} if span else {}
    _agree(PrimitiveResult(pubs, metadata | extra))


def test_a_result_of_a_real_server_may_name_its_field_types() -> None:
    """The field types, which only real servers send, change nothing."""
    body = exchange("03", "GET", "/results").raw
    typed = body.replace(
        b'"field_names": ["meas"]', b'"field_names": ["meas"], "field_types": ["x"]'
    )
    assert typed != body
    assert same(decode_result(typed), decode_result(body))


def test_a_circuit_is_not_read_unasked() -> None:
    """A result that holds a circuit, which none should, is refused."""
    body = json.dumps(QuantumCircuit(1), cls=RuntimeEncoder).encode()
    with pytest.raises(ProtocolError, match="QuantumCircuit"):
        decode_result(body)
