"""Find the lowest energy of two spins with divi's VQE, on an embedded service."""

from divi.qprog import VQE, GenericLayerAnsatz
from divi.qprog.optimizers import ScipyMethod, ScipyOptimizer
from divi.qprog.problems import HamiltonianProblem
from qiskit.circuit.library import RYGate
from qiskit.quantum_info import SparsePauliOp

import qawait.sync
from qawait.adapters.divi import QawaitBackend


def main() -> None:
    """Run the program; a Ctrl-C would cancel the job that it waits for."""
    spins = SparsePauliOp.from_list([("ZI", 1.0), ("IX", 0.5)])
    often = qawait.PollSchedule(lateness=0.02)  # a quarter of a second would be usual
    with qawait.sync.local(schedule=often, seed=7) as client:
        vqe = VQE(
            HamiltonianProblem(spins),
            ansatz=GenericLayerAnsatz([RYGate]),
            optimizer=ScipyOptimizer(ScipyMethod.COBYLA),
            max_iterations=25,
            backend=QawaitBackend(client, backend="ibm_manila", shots=1024),
            seed=1,
        )
        vqe.run()
        print(f"lowest energy {vqe.best_loss:.2f} (exact: -1.50)")
        print(f"{vqe.total_backend_jobs} jobs, {vqe.total_circuit_count} circuits")


if __name__ == "__main__":
    main()
