"""Pubs and options objects that both clients are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from side_by_side.circuits import (
    GRID,
    SWEEP,
    fitted,
    ghz,
    moved,
    pairs,
    turned,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def bell(backend: Any) -> list[Any]:
    """One Bell pair."""
    return [(fitted(ghz(2), backend),)]


def one_of(make: Callable[[], Any], *further: Any) -> Callable[[Any], list[Any]]:
    """Return what makes one pub of a circuit and what goes with it."""
    return lambda backend: [(fitted(make(), backend), *further)]


def swept(backend: Any) -> list[Any]:
    """A line of points, values in the order of the parameters."""
    return [(fitted(turned(), backend), np.stack([SWEEP, SWEEP / 2], axis=-1))]


def named(backend: Any) -> list[Any]:
    """A grid of points, values by name."""
    return [(fitted(turned(), backend), {"b": GRID[..., 0], "a": GRID[..., 1]})]


def two(backend: Any) -> list[Any]:
    """Two pubs of their own circuits."""
    return [(fitted(ghz(2), backend),), (fitted(turned(), backend), [0.5, 1.5])]


def two_alike(backend: Any) -> list[Any]:
    """Two pubs of one circuit, with the same shots."""
    circuit = fitted(turned(), backend)
    return [(circuit, [0.5, 1.5], 64), (circuit, [[2.5, 0.5]], 64)]


def own_shots(backend: Any) -> list[Any]:
    """Two pubs with their own shots."""
    circuit = fitted(ghz(3), backend)
    return [(circuit, None, 17), (circuit, None, 33)]


def estimated(*observables: Any) -> Callable[[Any], list[Any]]:
    """Return what makes one pub of a fixed circuit and observables."""

    def pubs(backend: Any) -> list[Any]:
        circuit = fitted(ghz(2, measured=False), backend)
        one = [moved(circuit, observable) for observable in observables]
        return [(circuit, one[0] if len(one) == 1 else one)]

    return pubs


def broadcast(backend: Any) -> list[Any]:
    """Every observable at every point."""
    circuit = fitted(turned(measured=False), backend)
    terms = [[moved(circuit, term)] for term in ("ZZ", "XX", "IY")]
    return [(circuit, terms, np.stack([SWEEP, SWEEP / 2], axis=-1))]


def two_estimated(backend: Any) -> list[Any]:
    """Two pubs of their own circuits and observables."""
    first, second = fitted(ghz(2, measured=False), backend), fitted(turned(measured=False), backend)
    return [
        (first, [moved(first, "ZZ"), moved(first, "XX")]),
        (second, moved(second, ["ZI", "XY"]), [0.25, 0.75]),
    ]


def mapping(backend: Any) -> list[Any]:
    """An observable as a mapping."""
    return [(fitted(ghz(2, measured=False), backend), {"IIIZZ": 1.0, "IIIXI": 0.5})]


def projected(backend: Any) -> list[Any]:
    """Observables of projectors and Paulis."""
    return [(fitted(ghz(2, measured=False), backend), ["III00", "III+Z"])]


def own_precision(backend: Any) -> list[Any]:
    """Two pubs with their own precision."""
    circuit = fitted(ghz(2, measured=False), backend)
    return [(circuit, moved(circuit, "ZZ"), None, 0.25), (circuit, moved(circuit, "XX"), None, 0.5)]


def alike_precision(backend: Any) -> list[Any]:
    """One pub with its own precision."""
    circuit = fitted(ghz(2, measured=False), backend)
    return [(circuit, moved(circuit, "ZZ"), None, 0.25)]


def wide(backend: Any) -> list[Any]:
    """A circuit on every qubit of the backend."""
    return [(fitted(pairs(backend), backend),)]


def wide_estimated(backend: Any) -> list[Any]:
    """Observables as wide as the backend."""
    circuit = fitted(pairs(backend, measured=False), backend)
    return [(circuit, [moved(circuit, "Z" * 127), moved(circuit, "I" * 125 + "ZZ")])]


def legacy_sampler_options(_backend: Any) -> Any:
    """Options of the program `sampler`, as IBM's object."""
    from qiskit_ibm_runtime.options import SamplerOptions

    options = SamplerOptions(default_shots=40)
    options.twirling.enable_measure = True
    options.environment.job_tags = ["by", "object"]
    options.max_execution_time = 90
    options.experimental = {"image": "mine:1", "execution": {"init_qubits": False}, "new": 1}
    return options


def legacy_estimator_options(_backend: Any) -> Any:
    """Options of the program `estimator`, as IBM's object."""
    from qiskit_ibm_runtime.options import EstimatorOptions

    options = EstimatorOptions(resilience_level=2, default_precision=0.125)
    options.resilience.zne.noise_factors = [1, 3, 5]
    options.environment.log_level = "DEBUG"
    return options


def noise_of_a_device(_backend: Any) -> Any:
    """A noise model of Aer's among the options."""
    from qiskit_aer.noise import NoiseModel, ReadoutError

    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.75, 0.25], [0.5, 0.5]]))
    return {"simulator": {"noise_model": noise, "seed_simulator": 3}}


def noise_of_layers(_backend: Any) -> Any:
    """Learned noise among the options, in a mapping."""
    from qiskit.quantum_info import PauliList
    from qiskit_ibm_runtime.results.noise_learner import (
        LayerError,
        NoiseLearnerResult,
        PauliLindbladError,
    )

    layer = ghz(2, measured=False)
    layer.name = "layer"
    error = PauliLindbladError(PauliList(["XX", "ZZ"]), [0.25, 0.5])
    learned = NoiseLearnerResult([LayerError(layer, [0, 1], error)], {"backend": "ibm_manila"})
    return {"resilience": {"pec_mitigation": True, "layer_noise_model": learned}}


def executor_sampler_options(_backend: Any) -> Any:
    """Options of a sampler on the executor, as IBM's object."""
    from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

    options = SamplerOptions(default_shots=40)
    options.twirling.enable_measure = True
    options.environment.job_tags = ["by", "object"]
    if hasattr(options.environment, "image"):  # from 0.50 on
        options.environment.image = "mine:1"
    options.max_execution_time = 90
    return options


def executor_estimator_options(_backend: Any) -> Any:
    """Options of an estimator on the executor, as IBM's object."""
    from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions

    options = EstimatorOptions(resilience_level=0, default_precision=0.125)
    options.twirling.enable_gates = True
    options.twirling.num_randomizations = 4
    options.environment.log_level = "DEBUG"
    return options


def with_noise_model(**resilience: Any) -> Callable[[Any], Any]:
    """Return what makes options with the noise of each layer of the circuit of `mapping`."""

    def options(backend: Any) -> Any:
        made = _with_layers(backend, **resilience)
        made.twirling.num_randomizations = 6
        return made

    return options


def _with_layers(backend: Any, **resilience: Any) -> Any:
    from qiskit.quantum_info import PauliLindbladMap
    from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions

    from side_by_side.clients import primitive_class

    estimator = primitive_class("executor", "estimator")(mode=backend)
    estimator.options = EstimatorOptions(resilience=resilience)
    layers = estimator.find_unique_layers(mapping(backend))
    noise = [
        (layer, PauliLindbladMap.from_list([("X" * layer.operation.num_qubits, 0.02)]))
        for layer in layers
    ]
    return EstimatorOptions(resilience={**resilience, "layer_noise_model": noise})
