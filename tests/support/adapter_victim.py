"""A program without a loop that is to be stopped: `python adapter_victim.py HOW [JOBS]`.

It finds the service by the `QISKIT_IBM_*` variables and waits through an adapter:
`sampler` as Qiskit's algorithms do, `measure` and `dispatch` as qrisp's programs do.
Stopped by a Ctrl-C, it says what became of the job.
"""

from __future__ import annotations

import sys
import warnings

import qawait.sync

BACKEND = "ibm_manila"


def sampler(client: qawait.sync.Client) -> None:
    """Wait for a job of Qiskit's sampler."""
    from qiskit.circuit import QuantumCircuit

    from qawait.adapters.qiskit import QawaitSampler

    flip = QuantumCircuit(1)
    flip.x(0)
    flip.measure_all()
    QawaitSampler(client, BACKEND).run([flip], shots=1).result()


def measure(client: qawait.sync.Client) -> None:
    """Wait for the measurement of a variable."""
    from qrisp import QuantumFloat

    from qawait.adapters.qrisp import QawaitBackend

    number = QuantumFloat(1)
    number[:] = 1
    number.get_measurement(backend=QawaitBackend(client, backend=BACKEND))


def dispatch(client: qawait.sync.Client, jobs: int) -> None:
    """Wait for a batch that makes several jobs."""
    from qrisp import QuantumCircuit

    from qawait.adapters.qrisp import QawaitBackend

    flip = QuantumCircuit(1, 1)
    flip.measure(0, 0)
    batched = QawaitBackend(client, backend=BACKEND, max_circuits=1).batched()
    batched.run([flip] * jobs)
    batched.dispatch()


def main(how: str, jobs: int = 1) -> None:
    """Wait in the manner that the command line names."""
    warnings.simplefilter("ignore")
    with qawait.sync.connect() as client:
        try:
            match how:
                case "sampler":
                    sampler(client)
                case "measure":
                    measure(client)
                case _:
                    dispatch(client, jobs)
        except KeyboardInterrupt as stopped:
            print(*getattr(stopped, "__notes__", []), flush=True)
            raise


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
