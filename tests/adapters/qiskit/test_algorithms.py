"""Algorithms that take a V2 primitive, on a client: the same results as on Qiskit's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import n_local
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import PauliList, SparsePauliOp, Statevector
from qiskit_addon_cutting import (
    generate_cutting_experiments,
    partition_problem,
    reconstruct_expectation_values,
)
from qiskit_algorithms import QAOA, VQE
from qiskit_algorithms.optimizers import SPSA
from qiskit_algorithms.utils import algorithm_globals
from scipy.optimize import minimize

from qawait.adapters.qiskit import QawaitEstimator, QawaitSampler
from support.open import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    import qawait.sync
    from qawait.emulator import Emulator

BACKEND = "ibm_manila"
SIGMAS = 5.0
SHOTS = 2048
PRECISION = 0.02


@pytest.fixture
def client(emu: Emulator) -> Iterator[qawait.sync.Client]:
    """Give a test a blocking client of the emulator."""
    algorithm_globals.random_seed = 3
    with blocking(emu, guardian=False) as opened:
        yield opened


def test_every_energy_of_vqe_is_that_of_the_exact_estimator(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """Each evaluation on its way, and the one that it returns."""
    hamiltonian = SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.5), ("IX", 0.5)])
    ansatz = n_local(2, "ry", "cx", reps=1)
    seen: list[tuple[Any, float]] = []

    def descend(fun: Any, x0: Any, **_: Any) -> Any:
        def noted(point: Any) -> Any:
            seen.append((point.copy(), fun(point)))
            return seen[-1][1]

        return minimize(noted, x0, method="COBYLA", options={"maxiter": 8})

    estimator = QawaitEstimator(client, BACKEND, default_precision=PRECISION)
    vqe = VQE(estimator, ansatz, descend, initial_point=np.full(ansatz.num_parameters, 0.4))
    found = vqe.compute_minimum_eigenvalue(hamiltonian)
    sigma = PRECISION * np.linalg.norm(hamiltonian.coeffs, 1)
    exact = StatevectorEstimator().run([(ansatz, hamiltonian, [at for at, _ in seen])]).result()
    assert np.all(np.abs(exact[0].data.evs - [energy for _, energy in seen]) <= SIGMAS * sigma)
    assert found.eigenvalue in [energy for _, energy in seen]
    assert len(emu.jobs()) == len(seen)


@pytest.mark.filterwarnings(
    "ignore:The class .*qiskit.circuit.library:DeprecationWarning"
)  # theirs
@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # of Qiskit
def test_qaoa_samples_the_state_that_it_found(client: qawait.sync.Client) -> None:
    """Its final distribution is that of the exact state within 5 sigma."""
    cut = SparsePauliOp.from_list([("ZZI", 1.0), ("IZZ", 1.0)])
    sampler = QawaitSampler(client, BACKEND, default_shots=SHOTS)
    found = QAOA(sampler, SPSA(maxiter=2)).compute_minimum_eigenvalue(cut)
    circuit = found.optimal_circuit.assign_parameters(found.optimal_parameters)
    exact = Statevector(circuit.remove_final_measurements(inplace=False)).probabilities()
    for state, chance in enumerate(exact):
        sigma = np.sqrt(chance * (1 - chance) / SHOTS) + 1 / SHOTS
        assert abs(found.eigenstate.get(f"{state:03b}", 0.0) - chance) <= SIGMAS * sigma


def test_a_cut_circuit_is_put_together_again(client: qawait.sync.Client) -> None:
    """Both halves' experiments run at once; the whole is the exact value within 5 sigma."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.9, 0)
    circuit.cx(0, 1)
    circuit.ry(0.4, 1)
    terms = PauliList(["ZZ", "IZ", "XX"])
    parts = partition_problem(circuit, "AB", observables=terms)
    experiments, coefficients = generate_cutting_experiments(
        parts.subcircuits, parts.subobservables, num_samples=np.inf
    )
    sampler = QawaitSampler(client, BACKEND, default_shots=SHOTS)
    jobs = {label: sampler.run(given) for label, given in experiments.items()}
    results = {label: job.result() for label, job in jobs.items()}
    values = reconstruct_expectation_values(results, coefficients, parts.subobservables)
    exact = [Statevector(circuit).expectation_value(term).real for term in terms]
    weights = np.array([weight for weight, _ in coefficients])
    sigma = np.sqrt(2 * np.sum(weights**2) / SHOTS)  # of each product of two means, at most
    assert np.all(np.abs(np.array(values) - exact) <= SIGMAS * sigma)
