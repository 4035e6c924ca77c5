"""IBM's noise learners and qawait's: the same layers and circuits, the same job and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from side_by_side.bodies import expected_of_ours, posted, same, without_own_tags
from side_by_side.circuits import fitted, ghz
from side_by_side.clients import primitive_class, start_anew
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.emulator import Emulator

pytestmark = pytest.mark.filterwarnings(
    "ignore:The NoiseLearner class is deprecated:DeprecationWarning",
)


def circuits(backend: Any) -> list[Any]:
    """Return two circuits with three distinct layers between them."""
    return [fitted(ghz(3, measured=False), backend), fitted(ghz(4, measured=False), backend)]


def layers(backend: Any) -> list[Any]:
    """Return the layers of a circuit as IBM's estimator finds them."""
    circuit = fitted(ghz(3, measured=False), backend)
    estimator = primitive_class("executor", "estimator")(mode=backend)
    estimator.options.twirling.enable_gates = True
    found: list[Any] = estimator.find_unique_layers([(circuit, "I" * circuit.num_qubits)])
    return [layer for layer in found if layer.operation.num_qubits > 1]


def by_object() -> Any:
    """Return options for circuits as IBM's object."""
    from qiskit_ibm_runtime.options import NoiseLearnerOptions

    return NoiseLearnerOptions(
        max_layers_to_learn=1, layer_pair_depths=[0, 2], environment={"job_tags": ["by", "object"]}
    )


def by_estimator() -> Any:
    """Return the options of an estimator, of which a part is about learning noise."""
    from qiskit_ibm_runtime.options import EstimatorOptions

    options = EstimatorOptions()
    options.resilience.layer_noise_learning.num_randomizations = 8
    options.twirling.strategy = "all"
    return options


def taken_apart(learned: Any) -> list[Any]:
    """Return what one layer's noise consists of, in values that can be compared."""
    if hasattr(learned, "to_pauli_lindblad_map"):
        return [learned.to_pauli_lindblad_map(), learned.metadata]
    error = learned.error
    return [learned.circuit, list(learned.qubits), list(error.generators), error.rates.tolist()]


GIVEN: list[Any] = [
    pytest.param("circuits", circuits, dict, id="circuits"),
    pytest.param(
        "circuits",
        circuits,
        lambda: {"max_layers_to_learn": 2, "experimental": {"new": 1}, "max_execution_time": 70},
        id="circuits-options",
    ),
    pytest.param("circuits", circuits, by_object, id="circuits-object"),
    pytest.param("circuits", circuits, by_estimator, id="circuits-estimator"),
    pytest.param("layers", layers, dict, id="layers"),
    pytest.param("layers", layers, lambda: {"num_randomizations": 4}, id="layers-options"),
]


@pytest.mark.parametrize(("what", "make", "options"), GIVEN)
def test_both_clients_learn_the_same(
    emu: Emulator, ibm: Any, what: str, make: Callable[[Any], list[Any]], options: Any
) -> None:
    """The bodies are equal field by field once decoded, and so is what was learned."""
    from qiskit_ibm_runtime import noise_learner, noise_learner_v3

    backend = ibm.backend("ibm_manila")
    given = make(backend)
    place: Any = noise_learner_v3 if what == "layers" else noise_learner
    learner = place.NoiseLearnerV3 if what == "layers" else place.NoiseLearner
    start_anew(emu)
    job = learner(backend, options()).run(given)
    expected = posted(emu)
    emu.wait_for(job.job_id(), "Completed", "Failed", within=60)
    learned = job.result()
    start_anew(emu)
    body, result = anyio.run(_ours, emu, given, options())
    assert same(without_own_tags(body), expected_of_ours(expected)) == []
    assert type(result) is type(learned)
    assert [taken_apart(one) for one in result] == [taken_apart(one) for one in learned]
    assert len(result) > 0


async def _ours(emu: Emulator, given: Any, options: Any) -> Any:
    async with opened(emu, on_cancel="detach") as client:
        learner = client.noise_learner("ibm_manila", options=options, optimization_level=None)
        job = await learner.submit(given)
        return posted(emu), await job.result()
