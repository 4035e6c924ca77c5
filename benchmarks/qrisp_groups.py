"""An expectation value of five groups: one job after another, and all at once.

    python benchmarks/qrisp_groups.py [ROUNDS]

Needs the extra `qrisp`. Each job waits a second in the queue of an embedded
service, as it would much longer in a real one.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from qrisp import QuantumVariable, ry
from qrisp.operators import X, Y, Z
from rows import Row, markdown, number

import qawait
import qawait.sync
from qawait.adapters.qrisp import QawaitBackend

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUE_SECONDS = 1.0
HAMILTONIAN = X(0) * X(1) + Y(0) * Y(1) + Z(0) * Z(1) + X(0) * Z(1) + Z(0) * X(1)
METHOD = {"diagonalisation_method": "commuting_qw", "precision": 0.1}


def prepared() -> QuantumVariable:
    """Return two qubits in a state without symmetry."""
    state = QuantumVariable(2)
    ry(0.7, state[0])
    ry(1.1, state[1])
    return state


def seconds(backend: Any) -> float:
    """Return how long one expectation value takes."""
    value = HAMILTONIAN.expectation_value(prepared, backend=backend, **METHOD)
    began = time.perf_counter()
    value()
    return time.perf_counter() - began


def run(rounds: int = 3) -> list[Row]:
    """Measure and return the rows."""
    warnings.simplefilter("ignore")  # that a batch makes several jobs
    ways: dict[str, Callable[[QawaitBackend, QawaitBackend], Any]] = {
        "one job after another": lambda backend, _: backend,
        "a job for each group, at once": lambda _, cut: cut.batched(),
        "all groups in one job": lambda backend, _: backend.batched(),
    }
    with qawait.sync.local(
        backends=("manila",),
        queue_seconds=QUEUE_SECONDS,
        schedule=qawait.PollSchedule(lateness=0.05),
    ) as client:
        backend = QawaitBackend(client, backend="ibm_manila")
        cut = QawaitBackend(client, backend="ibm_manila", max_circuits=1)
        seconds(backend.batched())  # what is compiled and imported once
        times = {
            name: statistics.median(seconds(chosen(backend, cut)) for _ in range(rounds))
            for name, chosen in ways.items()
        }
    first = times["one job after another"]
    groups = len(HAMILTONIAN.commuting_qw_groups())
    return [
        Row(
            name=f"expectation value of {groups} groups",
            peer=name,
            value=taken,
            unit="s",
            ratio=f"{number(first / taken)} times as fast",
        )
        for name, taken in times.items()
    ]


if __name__ == "__main__":
    print(markdown(run(*map(int, sys.argv[1:]))))
