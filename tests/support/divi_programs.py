"""Small divi programs with known answers, in words that each release understands."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import networkx as nx
from divi.qprog import QAOA, VQE, BatchConfig, BatchMode, GenericLayerAnsatz, ProgramEnsemble
from divi.qprog.optimizers import ScipyMethod, ScipyOptimizer
from divi.qprog.problems import MaxCutProblem
from qiskit.circuit.library import RYGate
from qiskit.quantum_info import SparsePauliOp

try:
    from divi.qprog.problems import HamiltonianProblem
except ImportError:  # before 0.15
    HamiltonianProblem = None

if TYPE_CHECKING:
    from qawait.adapters.divi import QawaitBackend

LOWEST = -1.5
"""The lowest value of the Hamiltonian below."""
HAMILTONIAN = SparsePauliOp.from_list([("ZI", 1.0), ("IX", 0.5)])
CUTS = ([0, 2], [1, 3])
"""The two sides of the largest cut of a ring of four."""
MERGED = BatchConfig(mode=BatchMode.MERGED)
APART = BatchConfig(mode=BatchMode.OFF)


def vqe(backend: QawaitBackend, *, iterations: int = 25, **options: Any) -> Any:
    """Return a program that finds the lowest energy of two qubits."""
    problem = (HamiltonianProblem(HAMILTONIAN),) if HamiltonianProblem else ()
    return VQE(
        *problem,
        **({} if problem else {"hamiltonian": HAMILTONIAN}),
        ansatz=GenericLayerAnsatz([RYGate]),
        optimizer=ScipyOptimizer(ScipyMethod.COBYLA),
        max_iterations=iterations,
        backend=backend,
        seed=1,
        **options,
    )


def qaoa(backend: QawaitBackend, *, iterations: int = 8) -> Any:
    """Return a program that cuts a ring of four in two."""
    return QAOA(
        MaxCutProblem(nx.cycle_graph(4)),
        optimizer=ScipyOptimizer(ScipyMethod.COBYLA),
        max_iterations=iterations,
        backend=backend,
        seed=1,
    )


class Several(ProgramEnsemble):  # type: ignore[misc]  # divi is not typed
    """The same program several times over."""

    def __init__(self, backend: QawaitBackend, number: int, **options: Any) -> None:
        super().__init__(backend)
        self._number = number
        self._options = options

    def create_programs(self) -> None:
        """Make the programs."""
        super().create_programs()
        made = {f"program {n}": vqe(self.backend, **self._options) for n in range(self._number)}
        self.programs = made

    def aggregate_results(self) -> list[float]:
        """Return the lowest value that each has found."""
        super().aggregate_results()
        return [program.best_loss for program in self.programs.values()]


def run(ensemble: Several, how: BatchConfig) -> list[float]:
    """Run an ensemble to its end."""
    ensemble.create_programs()
    blocking = "blocking" in inspect.signature(ensemble.run).parameters
    ensemble.run(batch_config=how, **({"blocking": True} if blocking else {}))
    return ensemble.aggregate_results()
