"""Solve a small MaxCut with qrisp's QAOA on an embedded service: no account, no network."""

import networkx as nx
from qrisp import QuantumVariable
from qrisp.qaoa import (
    QAOAProblem,
    RX_mixer,
    create_maxcut_cl_cost_function,
    create_maxcut_cost_operator,
)

import qawait
import qawait.sync
from qawait.adapters.qrisp import QawaitBackend


def main() -> None:
    """Cut a ring of four vertices, and say how many jobs that took."""
    ring = nx.cycle_graph(4)
    problem = QAOAProblem(
        create_maxcut_cost_operator(ring), RX_mixer, create_maxcut_cl_cost_function(ring)
    )
    often = qawait.PollSchedule(lateness=0.05)  # a quarter of a second would be usual
    with qawait.sync.local(backends=["manila"], schedule=often) as client:
        backend = QawaitBackend(client, backend="ibm_manila", timeout=60)
        found = problem.run(
            QuantumVariable(4),
            depth=1,
            max_iter=10,
            mes_kwargs={"backend": backend, "shots": 500},
        )
        jobs = len(list(client.jobs()))
    likeliest = max(found, key=found.get)
    print(f"the best of {len(found)} cuts is {likeliest}, found by {jobs} jobs")


if __name__ == "__main__":
    main()
