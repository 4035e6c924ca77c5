"""Circuits from text, whether they fit a backend, and made to fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio.lowlevel
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.library import RZZGate
from qiskit.quantum_info import Statevector

from ibm_primitives.devices import line
from qawait.errors import ConfigError
from qawait.ibm.backend import Backend
from qawait.ibm.circuits import as_circuit, fits, is_measured, transpile, transpile_all

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 'OPENQASM 3;\ninclude "stdgates.inc";\n'
BELL = HEADER + "qubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n"
BELL_2 = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
    "h q[0];\ncx q[0],q[1];\nmeasure q -> c;\n"
)


def _ghz(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for place in range(1, num_qubits):
        circuit.cx(0, place)
    circuit.measure_all()
    return circuit


# --- text --------------------------------------------------------------------------------------


def test_a_circuit_is_returned_as_it_is() -> None:
    """A QuantumCircuit is neither copied nor changed."""
    circuit = QuantumCircuit(1)
    assert as_circuit(circuit) is circuit


@pytest.mark.parametrize("text", [BELL, BELL_2, "// version 3\n/* OPENQASM 2.0; */\n" + BELL])
def test_openqasm_of_both_versions_is_read(text: str) -> None:
    """OpenQASM 3 and 2 describe the same Bell pair."""
    circuit = as_circuit(text)
    assert circuit.count_ops() == {"h": 1, "cx": 1, "measure": 2}


def test_text_without_a_version_counts_as_openqasm_3() -> None:
    """The version line is optional, as OpenQASM 3 says."""
    assert as_circuit("qubit q; bit c; c = measure q;").num_qubits == 1


@pytest.mark.parametrize("text", ["", " \n\t", "// nothing\n", "/* nothing */"])
def test_blank_text_is_refused(text: str) -> None:
    """Text that says nothing is an error that says so."""
    with pytest.raises(ConfigError, match="blank"):
        as_circuit(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEADER + "qubit q;\nfoo q;\n", "line 4: gate 'foo' is not defined"),
        (HEADER + "qubit[2] q;\nx q[0]\ny q[1];\n", "line 5: unexpected 'y'"),
        (BELL_2 + "foo q[0];\n", "line 8: 'foo' is not defined"),
        ('OPENQASM 3;\ninclude "/etc/hostname";\n', "line 2"),
        ("OPENQASM 3;\nqubit q;\n" + "(" * 5000, "nests too deeply"),
        ("OPENQASM 7;\nqubit q;\n", "OpenQASM 7 is not known"),
    ],
)
def test_malformed_text_is_refused_with_itsline(text: str, expected: str) -> None:
    """The error says where the text is wrong and what is."""
    with pytest.raises(ConfigError) as caught:
        as_circuit(text)
    assert expected in str(caught.value)


def test_openqasm_2_includes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text cannot read files of the machine that submits it."""
    (tmp_path / "mine.inc").write_text("gate mine a { x a; }")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="include"):
        as_circuit('OPENQASM 2.0;\ninclude "mine.inc";\nqreg q[1];\n')


@pytest.mark.parametrize("source", [None, 3, b"OPENQASM 3;", [BELL]])
def test_what_is_no_circuit_is_refused(source: object) -> None:
    """Anything but a circuit and text is an error that names its type."""
    with pytest.raises(ConfigError, match=type(source).__name__):
        as_circuit(source)


# --- measurements ------------------------------------------------------------------------------


def test_measurements_are_found_inside_control_flow_and_instructions() -> None:
    """A circuit counts as measured wherever it measures."""
    flow = QuantumCircuit(1, 1)
    with flow.for_loop(range(2)):
        flow.measure(0, 0)
    nested = QuantumCircuit(2)
    wrapped = QuantumCircuit(2, 2)
    wrapped.append(_ghz(2).to_instruction(), [0, 1], [0, 1])
    assert is_measured(_ghz(2))
    assert is_measured(flow)
    assert is_measured(wrapped)
    assert not is_measured(nested)


def test_a_condition_is_no_measurement() -> None:
    """Reading a classical bit is not writing one."""
    circuit = QuantumCircuit(1, 1)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    assert not is_measured(circuit)


# --- fitting -----------------------------------------------------------------------------------


def test_a_circuit_of_supported_instructions_fits() -> None:
    """Barriers are no obstacle, and qubit n is the backend's qubit n."""
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.barrier()
    circuit.cz(1, 2)
    circuit.measure(0, 0)
    assert fits(circuit, line(3)) is None


def test_an_unsupported_instruction_does_not_fit() -> None:
    """The reason names the instruction and its qubits."""
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    assert fits(circuit, line(2)) == "the backend does not support cx on qubits [0, 1]"


def test_qubits_that_are_not_coupled_do_not_fit() -> None:
    """A supported gate on the wrong qubits is unsupported."""
    circuit = QuantumCircuit(3)
    circuit.cz(0, 2)
    assert fits(circuit, line(3)) == "the backend does not support cz on qubits [0, 2]"


def test_a_circuit_of_too_many_qubits_does_not_fit() -> None:
    """The reason names both numbers."""
    assert fits(QuantumCircuit(4), line(3)) == "it has 4 qubits and the backend 3"


def test_instructions_inside_control_flow_must_fit_too() -> None:
    """The body of a condition is checked on the outer circuit's qubits."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1))
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cz(2, 0)
    assert "cz on qubits [2, 0]" in str(fits(circuit, line(3)))
    good = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1))
    with good.if_test((good.clbits[0], 1)):
        good.cz(2, 1)
    assert fits(good, line(3)) is None


@pytest.mark.parametrize(("angle", "fit"), [(0.3, True), (math.pi / 2, True), (2.0, False)])
def test_a_fractional_gate_fits_in_its_range(angle: float, fit: bool) -> None:  # noqa: FBT001 - test data
    """IBM calibrates rzz for angles from 0 to π/2 only; a free parameter is not judged."""
    target = line(2)
    target.add_instruction(RZZGate(Parameter("t")), {(0, 1): None})
    circuit = QuantumCircuit(2)
    circuit.rzz(angle, 0, 1)
    assert (fits(circuit, target) is None) is fit
    free = QuantumCircuit(2)
    free.rzz(Parameter("x"), 0, 1)
    assert fits(free, target) is None


# --- transpiling -------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("level", [0, 1, 2, 3])
async def test_a_transpiled_circuit_fits_and_does_the_same(level: int) -> None:
    """At every level the result runs on the target and prepares the same state."""
    circuit = _ghz(4)
    done = await transpile(circuit, line(4), optimization_level=level, seed=7)
    assert fits(done, line(4)) is None
    assert _distribution(done) == pytest.approx(_distribution(circuit))


def _distribution(circuit: QuantumCircuit) -> dict[str, float]:
    """Return the probabilities of a measured circuit's classical bits."""
    places = {}
    for instruction in circuit.get_instructions("measure"):
        bit = circuit.find_bit(instruction.clbits[0]).index
        places[bit] = circuit.find_bit(instruction.qubits[0]).index
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    found: dict[str, float] = state.probabilities_dict(
        [places[bit] for bit in sorted(places)], decimals=9
    )
    return found


@pytest.mark.anyio
async def test_several_circuits_are_transpiled_in_order() -> None:
    """The results come in the order of what was given."""
    done = await transpile_all([_ghz(2), _ghz(3)], line(4))
    assert [circuit.num_clbits for circuit in done] == [2, 3]


@pytest.mark.anyio
async def test_a_seed_makes_transpiling_repeatable() -> None:
    """The same seed gives the same circuit."""
    one, other = [await transpile(_ghz(4), line(4), seed=3) for _ in range(2)]
    assert one == other


@pytest.mark.anyio
async def test_a_circuit_too_large_for_the_backend_is_refused() -> None:
    """What cannot be made to fit is the caller's error."""
    with pytest.raises(ConfigError, match="cannot be made to run on the backend"):
        await transpile(_ghz(5), line(3))


@pytest.mark.anyio
async def test_an_instruction_that_no_backend_has_is_refused() -> None:
    """Control flow that the target lacks cannot be transpiled away."""
    circuit = QuantumCircuit(1, 1)
    with circuit.while_loop((0, 0)):
        circuit.measure(0, 0)
    with pytest.raises(ConfigError, match="cannot be made to run"):
        await transpile(circuit, line(3))


@pytest.mark.anyio
@pytest.mark.parametrize("level", [-1, 4, True, "1", 1.0])
async def test_an_optimization_level_is_one_of_qiskits(level: object) -> None:
    """Levels are 0 to 3."""
    with pytest.raises(ConfigError, match="optimization_level"):
        await transpile(_ghz(2), line(3), optimization_level=level)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_backend_without_its_configuration_cannot_be_a_target() -> None:
    """The error says how to get one that can."""
    listed = Backend.from_wire({"name": "ibm_x", "qubits": 5})
    with pytest.raises(ConfigError, match="ask for it by name"):
        await transpile(_ghz(2), listed)


@pytest.mark.anyio
async def test_transpiling_leaves_the_loop_running() -> None:
    """Other tasks get turns while a circuit is transpiled."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await transpile(_ghz(12), line(12))
        tasks.cancel_scope.cancel()
    assert turns > 3


@pytest.mark.anyio
async def test_a_cancelled_caller_does_not_wait_for_the_transpiler() -> None:
    """Cancelling takes effect at once; the thread is left to finish for nobody."""
    import threading

    from qawait.ibm.heavy import in_worker

    release = threading.Event()
    with anyio.move_on_after(0.05) as scope:
        await in_worker(release.wait)
    release.set()
    assert scope.cancelled_caught
