"""Backends as the service describes them."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import fake_provider

from ibm_primitives.devices import line_configuration
from qawait.errors import ProtocolError
from qawait.ibm.backend import Backend
from qawait.ibm.circuits import fits
from support.recorded import exchange

FAKES: dict[str, Any] = {
    kind.backend_name: kind  # type: ignore[attr-defined]  # the fakes have it
    for _, kind in inspect.getmembers(fake_provider, inspect.isclass)
    if hasattr(kind, "conf_filename")
}
CONTROL_FLOW = {"if_else", "for_loop", "while_loop", "switch_case"}
pytestmark = pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk:UserWarning")


def _snapshot(kind: Any, *, properties: bool = True) -> Backend:
    folder = Path(kind.dirname)
    configuration = json.loads((folder / kind.conf_filename).read_text())
    known = json.loads((folder / kind.props_filename).read_text()) if properties else None
    return Backend.from_wire(configuration=configuration, properties=known)


def _circuit(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for place in range(1, num_qubits):
        circuit.cx(0, place)
    circuit.rx(0.3, 0)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("name", FAKES)
def test_what_is_transpiled_for_our_target_runs_on_the_real_one(name: str) -> None:
    """For every snapshot of a real backend, a circuit made for our target fits IBM's own."""
    backend, real = _snapshot(FAKES[name]), FAKES[name]().target
    manager = generate_preset_pass_manager(1, target=backend.target, seed_transpiler=1)
    done = manager.run(_circuit(min(3, backend.num_qubits)))
    assert fits(done, real) is None


@pytest.mark.parametrize("name", ["fake_fez", "fake_manila", "fake_kingston", "fake_sherbrooke"])
def test_our_target_equals_the_real_one(name: str) -> None:
    """Instructions, places, errors, durations and timing are those of IBM's own conversion."""
    ours, real = _snapshot(FAKES[name]).target, FAKES[name]().target
    assert set(ours.operation_names) == set(real.operation_names)
    for operation in set(ours.operation_names) - CONTROL_FLOW:
        assert _values(ours[operation]) == _values(real[operation]), operation
    assert list(map(_qubit, ours.qubit_properties)) == list(map(_qubit, real.qubit_properties))
    for timing in ("dt", "granularity", "min_length", "pulse_alignment", "acquire_alignment"):
        assert getattr(ours, timing) == getattr(real, timing)


def _values(places: Any) -> dict[tuple[int, ...], Any]:
    return {place: known and (known.error, known.duration) for place, known in places.items()}


def _qubit(known: Any) -> tuple[float, ...]:
    return known.t1, known.t2, known.frequency


def test_without_properties_the_target_has_the_same_instructions() -> None:
    """Properties are optional: then nothing is known of errors."""
    target = _snapshot(FAKES["fake_fez"], properties=False).target
    assert {"cz", "rz", "measure", "delay", "if_else"} <= set(target.operation_names)
    assert target["cz"][(0, 1)] is None


def test_fractional_gates_are_left_out_unless_asked_for() -> None:
    """Backends that have rx and rzz are used without, as by IBM's client, or with them."""
    backend = _snapshot(FAKES["fake_fractional"])
    assert backend.has_fractional_gates
    assert not {"rx", "rzz"} & set(backend.target.operation_names)
    fractional = backend.with_fractional_gates()
    assert {"rx", "rzz", "if_else"} <= set(fractional.target.operation_names)
    assert not {"rx", "rzz"} & set(backend.target.operation_names)
    assert not _snapshot(FAKES["fake_manila"]).has_fractional_gates


def test_our_target_with_fractional_gates_equals_the_real_one() -> None:
    """Places, errors and the angles that rzz takes are those of IBM's own conversion."""
    ours = _snapshot(FAKES["fake_fractional"]).with_fractional_gates().target
    real = FAKES["fake_fractional"]().target
    assert set(ours.operation_names) == set(real.operation_names)
    for operation in ("rx", "rzz"):
        assert _values(ours[operation]) == _values(real[operation])
    for angle in (-0.1, 0.0, 0.3, math.pi / 2, 2.0):
        assert ours.supported_angle_bound("rzz", [angle]) == real.supported_angle_bound(
            "rzz", [angle]
        )


@pytest.mark.parametrize("angle", [0.3, -0.7, 2.0, 5.0])
def test_circuits_are_transpiled_to_fractional_gates(angle: float) -> None:
    """A rotation of two qubits by any angle fits, and gives the same state."""
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.rzz(angle, 0, 1)
    target = _snapshot(FAKES["fake_fractional"]).with_fractional_gates().target
    done = generate_preset_pass_manager(1, target=target, seed_transpiler=1).run(circuit)
    assert fits(done, target) is None
    assert "rzz" in done.count_ops()


def test_properties_are_ibms_own_object() -> None:
    """Errors and times of each qubit and gate are those of IBM's own conversion."""
    backend, real = _snapshot(FAKES["fake_manila"]), FAKES["fake_manila"]().properties()
    properties = backend.properties
    assert properties is not None
    assert properties.t1(3) == real.t1(3)
    assert properties.gate_error("cx", [0, 1]) == real.gate_error("cx", [0, 1])
    assert properties.last_update_date is not None
    assert backend.properties is properties
    assert _snapshot(FAKES["fake_manila"], properties=False).properties is None


def test_malformed_properties_cannot_be_shown() -> None:
    """What IBM's object cannot be made of is a protocol error."""
    backend = Backend.from_wire(configuration=line_configuration(3), properties={"qubits": 5})
    with pytest.raises(ProtocolError, match="properties"):
        _ = backend.properties


def test_a_newer_status_keeps_the_target() -> None:
    """Status and queue length change, what was built stays, and a malformed status is refused."""
    backend = Backend.from_wire(configuration=line_configuration(2))
    target = backend.target
    newer = backend.with_status({"state": True, "status": "maintenance", "length_queue": 7})
    assert (newer.status, newer.operational, newer.queue_length) == ("paused", False, 7)
    assert newer.target is target
    with pytest.raises(ProtocolError, match="status"):
        backend.with_status({"length_queue": 7})


def test_what_is_not_operational_is_left_out() -> None:
    """A broken qubit takes its gates with it, a broken gate goes alone."""
    works, broken = [{"name": "operational", "value": 1}], [{"name": "operational", "value": 0}]
    properties = {
        "qubits": [works, works, works, broken],
        "gates": [{"gate": "cz", "qubits": [0, 1], "parameters": broken}],
    }
    target = Backend.from_wire(configuration=line_configuration(4), properties=properties).target
    assert set(target["cz"]) == {(1, 0), (1, 2), (2, 1)}
    assert set(target["measure"]) == {(0,), (1,), (2,)}


def test_a_gate_that_qiskit_does_not_know_is_opaque() -> None:
    """A backend's own gates and instructions keep their name, places and parameters."""
    configuration = line_configuration(2) | {
        "basis_gates": ["rz", "sx", "cz", "magic"],
        "instruction_signatures": [
            {"name": "measure_2", "num_qubits": 1, "num_clbits": 1, "parameters": []}
        ],
    }
    configuration["gates"].append(
        {"name": "magic", "parameters": ["t"], "qasm_def": "", "coupling_map": [[0, 1]]}
    )
    target = Backend.from_wire(configuration=configuration).target
    assert target.operation_from_name("magic").num_qubits == 2
    assert len(target.operation_from_name("magic").params) == 1
    assert target.operation_from_name("measure_2").num_clbits == 1


def test_the_target_is_built_once() -> None:
    """Asking again gives the same object."""
    backend = Backend.from_wire(configuration=line_configuration(2))
    assert backend.target is backend.target


def test_a_listed_device_is_described() -> None:
    """A record of the recorded listing says name, size, status and queue."""
    device = exchange("01", "GET", "/backends").received["devices"][0]
    backend = Backend.from_wire(device)
    assert repr(backend) == (
        "Backend(name='ibm_fez', num_qubits=156, status='online', operational=True, "
        "queue_length=3, simulator=False, processor='Heron r2', basis_gates=())"
    )
    assert str(backend) == "ibm_fez"


@pytest.mark.parametrize(
    ("status", "word", "queue"),
    [
        ({"state": True, "status": "active", "length_queue": 1}, "online", 1),
        ({"state": True, "status": "internal", "length_queue": 0}, "paused", 0),
        ({"state": False, "status": "active", "length_queue": 2}, "offline", 2),
    ],
)
def test_the_status_answer_goes_before_the_listing(
    status: dict[str, Any], word: str, queue: int
) -> None:
    """A newer answer about the status decides."""
    device = {"name": "ibm_x", "qubits": 2, "status": {"name": "paused"}, "queue_length": 9}
    backend = Backend.from_wire(device, status=status)
    assert (backend.status, backend.queue_length) == (word, queue)
    assert backend.operational is (word == "online")


def test_the_coupling_map_and_gates_come_from_the_configuration() -> None:
    """What circuits need to know is there without building the target."""
    backend = Backend.from_wire(configuration=line_configuration(3))
    assert backend.coupling_map == ((0, 1), (1, 2), (1, 0), (2, 1))
    assert backend.basis_gates == ("id", "rz", "sx", "x", "cz")
    assert backend.processor == "Heron r2"


def test_a_backend_cannot_be_changed() -> None:
    """A backend is a value."""
    backend = Backend.from_wire(configuration=line_configuration(3))
    with pytest.raises(AttributeError):
        backend.name = "other"  # type: ignore[misc]


MALFORMED = [
    {"gates": None},
    {"gates": [{}]},
    {"gates": [{"name": "cz", "coupling_map": [[0, 7]]}], "basis_gates": ["cz"]},
    {"gates": [{"name": "cz", "coupling_map": [[0, "a"]]}], "basis_gates": ["cz"]},
    {"supported_instructions": 3},
    {"instruction_signatures": [{"name": "x"}]},
    {"timing_constraints": {"granularity": "x"}},
    {"dt": "soon"},
]


@pytest.mark.parametrize("change", MALFORMED)
def test_a_malformed_configuration_is_a_protocol_error(change: dict[str, Any]) -> None:
    """Whatever qiskit would stumble over is the service's error."""
    backend = Backend.from_wire(configuration=line_configuration(3) | change)
    with pytest.raises(ProtocolError, match=r"malformed|does not have"):
        _ = backend.target


@pytest.mark.parametrize("key", ["n_qubits", "basis_gates", "backend_name"])
def test_a_configuration_without_the_essentials_is_a_protocol_error(key: str) -> None:
    """A missing key is noticed when the backend is made."""
    configuration = line_configuration(3)
    del configuration[key]
    with pytest.raises(ProtocolError, match=key):
        Backend.from_wire(configuration=configuration)


@pytest.mark.parametrize(
    "properties", [{"qubits": 3}, {"gates": [{"gate": "cz"}]}, {"qubits": [[{"name": "T1"}]] * 3}]
)
def test_malformed_properties_are_a_protocol_error(properties: dict[str, Any]) -> None:
    """The properties are checked like the configuration."""
    backend = Backend.from_wire(configuration=line_configuration(3), properties=properties)
    with pytest.raises(ProtocolError):
        _ = backend.target


JSON: st.SearchStrategy[Any] = (
    st.none() | st.integers(-3, 3) | st.text(max_size=3) | st.just([]) | st.just({})
)
CONFIGURATION = line_configuration(3)


@given(st.sampled_from(sorted(CONFIGURATION)), JSON)
def test_any_change_gives_a_backend_or_a_protocol_error(key: str, value: Any) -> None:
    """No other error gets out, whatever a field of a configuration holds."""
    with contextlib.suppress(ProtocolError):
        backend = Backend.from_wire(configuration=deepcopy(CONFIGURATION) | {key: value})
        _ = backend.target


@given(st.sampled_from(["name", "status", "qubits", "queue_length", "processor_type"]), JSON)
def test_any_listing_gives_a_backend_or_a_protocol_error(key: str, value: Any) -> None:
    """No other error gets out, whatever a field of a listed device holds."""
    with contextlib.suppress(ProtocolError):
        Backend.from_wire({"name": "ibm_x", "qubits": 2} | {key: value})


def test_units_are_converted() -> None:
    """Times arrive in several units and leave in seconds, frequencies in hertz."""
    from qawait.ibm.target import _in_si

    assert _in_si(60, "ns") == pytest.approx(60e-9)
    assert _in_si(100, "us") == pytest.approx(1e-4)
    assert math.isclose(_in_si(4.9, "GHz"), 4.9e9)
    assert _in_si(0.01, "") == 0.01
