"""Circuits for both clients, made for a backend so that neither has to transpile."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import Pauli, SparsePauliOp

SWEEP = np.linspace(0, 3, 4)
GRID = np.arange(12).reshape(2, 3, 2) / 4


def fitted(circuit: QuantumCircuit, backend: Any) -> QuantumCircuit:
    """Return a circuit made to run on a backend, the same at every call."""
    manager = generate_preset_pass_manager(
        optimization_level=0, target=backend.target, seed_transpiler=5
    )
    fit: QuantumCircuit = manager.run(circuit)
    fit.metadata = {"made": "for both"}
    fit.name = "fitted"
    return fit


def ghz(qubits: int, *, measured: bool = True) -> QuantumCircuit:
    """Return a chain of entangled qubits."""
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure_all()
    return circuit


def pairs(backend: Any, *, measured: bool = True) -> QuantumCircuit:
    """Return a circuit that entangles pairs of neighbours all over a backend, at once."""
    circuit = QuantumCircuit(backend.num_qubits)
    circuit.h(range(backend.num_qubits))
    free = set(range(backend.num_qubits))
    for one, other in sorted(backend.target.build_coupling_map()):
        if {one, other} <= free:
            circuit.cx(one, other)
            free -= {one, other}
    if measured:
        circuit.measure_all()
    return circuit


def turned(*, measured: bool = True) -> QuantumCircuit:
    """Return a circuit with two parameters, used in another order than their names'."""
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("b"), 0)
    circuit.cx(0, 1)
    circuit.rx(Parameter("a"), 1)
    if measured:
        circuit.measure_all()
    return circuit


def registers() -> QuantumCircuit:
    """Return a circuit that measures into three registers, one wider than a byte."""
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(9, "high")
    one = ClassicalRegister(1, "one")
    circuit = QuantumCircuit(QuantumRegister(4, "q"), low, high, one)
    circuit.h(0)
    circuit.x(2)
    circuit.measure([0, 1], low)
    circuit.measure(2, high[8])
    circuit.measure(3, one[0])
    return circuit


def measured_midway() -> QuantumCircuit:
    """Return a circuit that measures, resets and goes on with the same qubit."""
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, "mid"))
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.h(1)
    circuit.measure_all()
    return circuit


def dynamic() -> QuantumCircuit:
    """Return a circuit in which one outcome decides what is done next."""
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, "first"))
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.x(1)
    circuit.measure_all()
    return circuit


def moved(circuit: QuantumCircuit, observable: Any) -> Any:
    """Return an observable for the qubits that a fitted circuit was moved to."""
    if not isinstance(observable, SparsePauliOp | Pauli):
        observable = SparsePauliOp(observable)
    return observable.apply_layout(circuit.layout, circuit.num_qubits)
