"""Programs of qrisp, from a measurement to QAOA and VQE, on a client."""

from __future__ import annotations

from math import cos, sin
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest
import qrisp.default_backend
from qrisp import QuantumFloat, QuantumVariable, h, multi_measurement, ry
from qrisp.operators import X, Y, Z
from qrisp.qaoa import (
    QAOAProblem,
    RX_mixer,
    create_maxcut_cl_cost_function,
    create_maxcut_cost_operator,
)
from qrisp.vqe import VQEProblem

from qawait.adapters.qrisp import QawaitBackend

if TYPE_CHECKING:
    import qawait.sync
    from qawait.emulator import Emulator


@pytest.fixture
def backend(client: qawait.sync.Client) -> QawaitBackend:
    """Give a test a backend with room for programs."""
    return QawaitBackend(client, backend="ibm_fez")


def test_a_measurement(backend: QawaitBackend) -> None:
    """Arithmetic is compiled, transpiled, run and decoded."""
    number = QuantumFloat(2)
    number[:] = 3
    assert (number * number).get_measurement(backend=backend) == {9: 1.0}


def test_a_measurement_of_several_variables(backend: QawaitBackend) -> None:
    """Each has its own part of the bits."""
    first, second = QuantumFloat(2), QuantumFloat(3)
    first[:], second[:] = 2, 5
    assert multi_measurement([first, second], backend=backend) == {(2, 5): 1.0}


def test_the_default_backend(backend: QawaitBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names no backend runs on the one that was set."""
    monkeypatch.setattr(qrisp.default_backend, "def_backend", backend)
    number = QuantumFloat(3)
    number[:] = 6
    assert number.get_measurement() == {6: 1.0}


def test_a_batch_of_measurements(emu: Emulator, backend: QawaitBackend) -> None:
    """Two variables, each with its own number of shots, in one job."""
    batched = backend.batched()
    first, second = QuantumFloat(2), QuantumFloat(2)
    first[:], second[:] = 1, 2
    results = [
        first.get_measurement(backend=batched, shots=10),
        second.get_measurement(backend=batched, shots=20),
    ]
    batched.dispatch()
    assert results == [{1: 1.0}, {2: 1.0}]
    assert len(emu.jobs()) == 1


ANGLES = (0.7, 1.1)


def prepared() -> QuantumVariable:
    """Return two qubits in a state without symmetry."""
    state = QuantumVariable(2)
    for angle, qubit in zip(ANGLES, state, strict=True):
        ry(angle, qubit)
    return state


HAMILTONIAN = X(0) * X(1) + Y(0) * Y(1) + Z(0) * Z(1) + X(0) * Z(1) + Z(0) * X(1)
PRECISION = 0.05


@pytest.mark.parametrize("at_once", [False, True])
def test_an_expectation_value(emu: Emulator, backend: QawaitBackend, *, at_once: bool) -> None:
    """It is the exact one within 5 sigma; a batch makes one job of all its groups."""
    options: Any = {"diagonalisation_method": "commuting_qw", "precision": PRECISION}
    chosen = backend.batched() if at_once else backend
    measured = HAMILTONIAN.expectation_value(prepared, backend=chosen, **options)()
    x, z = [sin(angle) for angle in ANGLES], [cos(angle) for angle in ANGLES]
    exact = x[0] * x[1] + z[0] * z[1] + x[0] * z[1] + z[0] * x[1]
    assert abs(measured - exact) <= 5 * PRECISION
    groups = len(HAMILTONIAN.commuting_qw_groups())
    assert len(emu.jobs()) == (1 if at_once else groups)


def test_qaoa(emu: Emulator, backend: QawaitBackend) -> None:
    """A cut of a cycle of four vertices is found."""
    graph = nx.cycle_graph(4)
    problem = QAOAProblem(
        create_maxcut_cost_operator(graph), RX_mixer, create_maxcut_cl_cost_function(graph)
    )
    arguments = QuantumVariable(4)
    found = problem.run(
        arguments, depth=1, max_iter=5, mes_kwargs={"backend": backend, "shots": 200}
    )
    assert sum(found.values()) == pytest.approx(1.0)
    assert len(emu.jobs()) > 1
    assert not emu.live()


@pytest.mark.parametrize("at_once", [False, True])
def test_vqe(emu: Emulator, backend: QawaitBackend, *, at_once: bool) -> None:
    """The energy of a small problem comes close to its lowest."""

    def ansatz(state: Any, theta: Any) -> None:
        ry(theta[0], state[0])

    problem = VQEProblem(Z(0) + 0.5 * X(0), ansatz, num_params=1)
    chosen = backend.batched() if at_once else backend
    energy = problem.run(
        QuantumVariable(1),
        depth=1,
        max_iter=10,
        mes_kwargs={"backend": chosen, "precision": 0.1},
    )
    assert -1.118 - 0.5 <= energy <= 0.0
    assert not emu.live()


def test_a_superposition(backend: QawaitBackend) -> None:
    """Probabilities are shares of the shots."""
    coin = QuantumVariable(1)
    h(coin)
    measured = coin.get_measurement(backend=backend, shots=1000)
    assert abs(measured["0"] - 0.5) <= 5 * 0.5 / 1000**0.5
