"""Give Qiskit code a sampler and an estimator that run on an embedded service."""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2

import qawait
import qawait.sync
from qawait.adapters.qiskit import QawaitEstimator, QawaitSampler


def lowest(estimator: BaseEstimatorV2) -> float:
    """Return the lowest energy of a turned qubit; it takes any estimator of Qiskit's."""
    turned = QuantumCircuit(1)
    turned.ry(Parameter("angle"), 0)
    angles = [[step * 0.4] for step in range(16)]
    (energies,) = estimator.run([(turned, "Z", angles)]).result()
    return float(energies.data.evs.min())


def counts(sampler: BaseSamplerV2) -> dict[str, int]:
    """Return how a Bell pair is measured; it takes any sampler of Qiskit's."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    (measured,) = sampler.run([bell]).result()
    return dict(measured.data.meas.get_counts())


def main() -> None:
    """Run both on one client."""
    often = qawait.PollSchedule(lateness=0.05)  # a quarter of a second would be usual
    with qawait.sync.local(backends=["manila"], schedule=often) as client:
        print(counts(QawaitSampler(client, "ibm_manila", default_shots=1000)))
        print(f"{lowest(QawaitEstimator(client, 'ibm_manila', default_precision=0.02)):.2f}")


if __name__ == "__main__":
    main()
