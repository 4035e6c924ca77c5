"""What is sent for circuits, arrays and options."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import CouplingMap
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.codec import encode, inflate
from qawait.ibm.codec.encode import encode_params, to_json
from support.recorded import exchange


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.mark.anyio
@pytest.mark.parametrize("transcript", ["03", "04", "08", "12"])
async def test_params_are_byte_for_byte_what_the_real_client_posted(transcript: str) -> None:
    """Decoding what was recorded and encoding it again gives the same JSON."""
    from qiskit.primitives.containers.estimator_pub import EstimatorPub

    sent = exchange(transcript, "POST", "/jobs").sent["params"]
    decoded = json.loads(json.dumps(sent), cls=RuntimeDecoder)
    is_sampler = len(sent["pubs"][0]) == 3
    kind = SamplerPub if is_sampler else EstimatorPub
    pubs = [kind.coerce(tuple(pub)) for pub in decoded["pubs"]]
    further = {key: value for key, value in sent.items() if key != "pubs"}
    ours = json.loads(await encode_params(pubs, further))
    assert list(ours) == list(sent)
    assert _without_circuits(ours) == _without_circuits(sent)
    assert _circuits(ours) == _circuits(sent)


def _without_circuits(params: dict[str, Any]) -> dict[str, Any]:
    return params | {"pubs": [pub[1:] for pub in params["pubs"]]}


def _circuits(params: dict[str, Any]) -> list[QuantumCircuit]:
    return [json.loads(json.dumps(pub[0]), cls=RuntimeDecoder) for pub in params["pubs"]]


VALUES = {
    "complex": 1 - 2j,
    "date": date(2026, 11, 20),
    "datetime": datetime(2026, 11, 20, 4, 33, 45, 870693, tzinfo=UTC),
    "set": {3},
    "array": np.arange(6.0).reshape(2, 3),
    "object array": np.array(["linear", None], dtype=object),
    "int64": np.int64(3),
    "parameter": Parameter("θ"),
    "observables": ObservablesArray(["ZZ", {"XX": 0.5, "II": 2}]),
    "bindings": BindingsArray({"a": 1.0, ("b", "c"): [2.0, 3.0]}),
    "coupling map": CouplingMap.from_line(3),
    "nested": {"a": [1, 2.5, None, True, "x"]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
def test_values_have_the_form_that_the_real_encoder_gives_them(value: object) -> None:
    """Whatever options may hold is written as the real client writes it."""
    assert json.loads(to_json(value)) == json.loads(json.dumps(value, cls=RuntimeEncoder))


def test_a_circuit_is_written_as_the_real_encoder_writes_it() -> None:
    """A circuit's compressed QPY is the same text."""
    circuit = _bell()
    circuit.metadata = {"when": datetime(2026, 1, 1, tzinfo=UTC)}
    assert json.loads(to_json(circuit)) == json.loads(json.dumps(circuit, cls=RuntimeEncoder))


@given(
    npst.arrays(
        st.sampled_from([np.dtype(name) for name in ("f8", "c16", "u1", "i4", "?", ">f4", "U3")]),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_any_plain_array_is_written_as_the_real_encoder_writes_it(array: Any) -> None:
    """Arrays of every plain dtype and shape are the same text."""
    assert json.loads(to_json(array)) == json.loads(json.dumps(array, cls=RuntimeEncoder))


@pytest.mark.parametrize("value", [object(), float("nan"), [float("inf")], {(1, 2): 3}])
def test_what_has_no_form_on_the_wire_is_refused(value: object) -> None:
    """A value that the service could not read is the caller's error."""
    with pytest.raises(ConfigError):
        to_json(value)


def test_circuits_are_sent_in_a_version_that_the_programs_read() -> None:
    """The QPY version is capped, however new the installed qiskit is."""
    from qiskit import qpy

    assert encode.dump_circuit(_bell())[6] == min(17, qpy.QPY_VERSION)


@pytest.mark.anyio
async def test_a_circuit_that_pubs_share_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten pubs of one circuit cost one dump."""
    dumped = []
    dump = encode.dump_circuit

    def count(circuit: QuantumCircuit) -> bytes:
        dumped.append(circuit)
        return dump(circuit)

    monkeypatch.setattr(encode, "dump_circuit", count)
    circuit = _bell()
    body = await encode_params([SamplerPub(circuit, shots=n) for n in range(1, 11)], {})
    assert len(dumped) == 1
    assert len(json.loads(body)["pubs"]) == 10


@pytest.mark.anyio
async def test_equal_copies_of_a_circuit_are_compressed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copies with equal names share one compressed text."""
    compressed = []
    compress = inflate.compress

    def count(data: bytes) -> bytes:
        compressed.append(data)
        return compress(data)

    monkeypatch.setattr(encode, "compress", count)
    monkeypatch.setattr(limits, "INLINE_DUMP_INSTRUCTIONS", -1)
    circuit = _bell()
    body = await encode_params([SamplerPub(circuit.copy(), shots=1) for _ in range(3)], {})
    assert len(compressed) == 1
    assert len(json.loads(body)["pubs"]) == 3


@pytest.mark.anyio
async def test_distinct_large_circuits_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Circuits compressed beside each other end up in their own pubs."""
    monkeypatch.setattr(limits, "INLINE_DUMP_INSTRUCTIONS", -1)
    circuits = [QuantumCircuit(size, 1, name=f"of {size}") for size in range(1, 9)]
    body = await encode_params([SamplerPub(circuit, shots=1) for circuit in circuits], {})
    found = json.loads(body, cls=RuntimeDecoder)["pubs"]
    assert [pub[0].name for pub in found] == [circuit.name for circuit in circuits]


@pytest.mark.anyio
async def test_a_failure_of_the_compression_is_the_callers_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What goes wrong in a thread is raised as it is, in no group."""

    def fail(_: bytes) -> bytes:
        raise MemoryError

    monkeypatch.setattr(encode, "compress", fail)
    monkeypatch.setattr(limits, "INLINE_DUMP_INSTRUCTIONS", -1)
    with pytest.raises(MemoryError):
        await encode_params([SamplerPub(_bell(), shots=1)], {})


@pytest.mark.anyio
async def test_no_pubs_are_an_empty_list() -> None:
    """An input without pubs is JSON all the same."""
    assert json.loads(await encode_params([], {"version": 2})) == {"pubs": [], "version": 2}


@pytest.mark.anyio
async def test_large_circuits_and_arrays_are_encoded_like_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Going through a worker thread changes nothing."""
    pub = SamplerPub.coerce(_bell())
    inline = await encode_params([pub], {"version": 2})
    monkeypatch.setattr(limits, "INLINE_BYTES", -1)
    monkeypatch.setattr(limits, "INLINE_DUMP_INSTRUCTIONS", -1)
    assert await encode_params([pub], {"version": 2}) == inline


@pytest.mark.anyio
async def test_input_beyond_what_the_service_takes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Too large an input is an error before it is sent."""
    monkeypatch.setattr(limits, "SUBMIT_BODY_BYTES", 100)
    with pytest.raises(ConfigError, match="submit it as several jobs"):
        await encode_params([SamplerPub.coerce(_bell())], {})


@pytest.mark.anyio
async def test_a_circuit_too_new_for_the_service_names_its_pub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A circuit that the capped version cannot hold is refused with its index."""
    from qiskit import qpy
    from qiskit.qpy import QpyError

    def refuse(*_: object, **__: object) -> None:
        raise QpyError("unsupported")

    monkeypatch.setattr(qpy, "dump", refuse)
    with pytest.raises(ConfigError, match=r"pub 0: circuit .* QPY version 17"):
        await encode_params([SamplerPub.coerce(_bell())], {})


@pytest.mark.anyio
async def test_other_tasks_run_between_two_pubs() -> None:
    """Encoding many small pubs lets the event loop turn after each."""
    import anyio

    turns = 0
    done = False

    async def count() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await anyio.lowlevel.checkpoint()

    pubs = [SamplerPub.coerce(_bell()) for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await anyio.lowlevel.checkpoint()
        before = turns
        await encode_params(pubs, {})
        done = True
    assert turns - before >= 19
