"""The worker's side of the `noise-learner` program: every layer is found to have no noise.

Nothing is measured. What is true to the service is the form: version 2 answers
circuits with the layers that are found in them, version 3 answers layers, and
the generators are the Paulis of weight one and, between neighbours in a layer, two.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from .settings import NOISE_LAYERS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULTS = {
    "max_layers_to_learn": 4,
    "shots_per_randomization": 128,
    "num_randomizations": 32,
    "layer_pair_depths": [0, 1, 2, 4, 16, 32],
    "twirling_strategy": "active-accum",
}


def of_circuits(params: dict[str, Any], backend: str) -> str:
    """Return the result for circuits, which have been decoded, as the service prints it."""
    from qiskit_ibm_runtime import RuntimeEncoder

    asked = {**_DEFAULTS, **(params.get("options") or {})}
    errors = [_layer_error(*layer) for layer in _layers(params["circuits"])]
    metadata = {"backend": backend, "input_options": {name: asked[name] for name in _DEFAULTS}}
    learned = {"data": errors[: asked["max_layers_to_learn"]], "metadata": metadata}
    return json.dumps(learned, cls=RuntimeEncoder)


def _layers(circuits: list[Any]) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Yield each distinct layer of two-qubit gates with the qubits that it acts on."""
    from qiskit.converters import circuit_to_dag, dag_to_circuit

    seen = set()
    for circuit in circuits:
        for layer in circuit_to_dag(circuit).layers():
            gates = layer["graph"].two_qubit_ops()
            places = [
                tuple(circuit.find_bit(qubit).index for qubit in gate.qargs) for gate in gates
            ]
            names = tuple(sorted(zip((gate.name for gate in gates), places, strict=True)))
            if names and names not in seen:
                seen.add(names)
                qubits = tuple(sorted(itertools.chain(*places)))
                yield _restricted(dag_to_circuit(layer["graph"]), qubits), qubits


def _restricted(layer: Any, qubits: tuple[int, ...]) -> Any:
    from qiskit import QuantumCircuit

    part = QuantumCircuit(len(qubits))
    for instruction in layer.data:
        places = [layer.find_bit(qubit).index for qubit in instruction.qubits]
        if instruction.operation.num_qubits == 2:  # noqa: PLR2004 - the gates of the layer
            part.append(instruction.operation, [qubits.index(place) for place in places])
    return part


def _layer_error(circuit: Any, qubits: tuple[int, ...]) -> Any:
    from qiskit.quantum_info import PauliList
    from qiskit_ibm_runtime.results.noise_learner import LayerError, PauliLindbladError

    pairs = [[circuit.find_bit(bit).index for bit in one.qubits] for one in circuit.data]
    terms = _terms(range(len(qubits)), pairs)
    labels = [_label(term, len(qubits)) for term in terms]
    return LayerError(circuit, qubits, PauliLindbladError(PauliList(labels), [0.0] * len(labels)))


def _label(term: tuple[str, list[int]], width: int) -> str:
    letters = dict(zip(term[1], term[0], strict=True))
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(width)))


def _terms(qubits: Any, pairs: list[list[int]]) -> list[tuple[str, list[int]]]:
    alone = [(letter, [qubit]) for qubit in qubits for letter in "XYZ"]
    both = ["".join(letters) for letters in itertools.product("XYZ", repeat=2)]
    return [*alone, *((letters, pair) for pair in pairs for letters in both)]


def of_layers(params: dict[str, Any]) -> str:
    """Return the result for layers as the service prints it."""
    from ibm_quantum_schemas.noise_learner_v3.version_0_3 import NoiseLearnerV3ResultsModel
    from qiskit_ibm_runtime.noise_learner_v3.params_converters import (
        NOISE_LEARNER_V3_PARAMS_CONVERTERS as CONVERTERS,
    )

    converter = CONVERTERS[NOISE_LAYERS_SCHEMA]
    given = {name: value for name, value in params.items() if name != "version"}
    layers, _options = converter.decoder(converter.model.model_validate(given))
    model = NoiseLearnerV3ResultsModel(data=[_learned(layer) for layer in layers])
    text: str = model.model_dump_json()
    return text


def _learned(layer: Any) -> dict[str, Any]:
    import numpy as np
    from ibm_quantum_schemas.common import F64TensorModel

    width, body = len(layer.qubits), layer.operation.body
    is_measured = any(one.operation.name == "measure" for one in body)
    pairs = [
        [body.find_bit(qubit).index for qubit in one.qubits]
        for one in body
        if one.operation.name != "barrier" and len(one.qubits) > 1
    ]
    terms = (
        [("X", [qubit]) for qubit in range(width)] if is_measured else _terms(range(width), pairs)
    )
    return {
        "generators_sparse": [[term] for term in terms],
        "num_qubits": width,
        "rates": F64TensorModel.from_numpy(np.zeros(len(terms))),
        "rates_std": F64TensorModel.from_numpy(np.zeros(len(terms))),
        "metadata": _metadata(is_measured=is_measured),
    }


def _metadata(*, is_measured: bool) -> dict[str, Any]:
    if is_measured:
        kept: dict[str, Any] = {"fraction_kept": 1.0, "success_rates": {}}
        return {"learning_protocol": "trex", "post_selection": kept}
    kept = {"fraction_kept": {}, "success_rates": {}}
    return {"learning_protocol": "lindblad", "post_selection": kept}
