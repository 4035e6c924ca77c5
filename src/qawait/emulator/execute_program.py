"""The worker's side of the `executor` program: quantum programs of schema v2.0.

IBM's own models decode and encode them, and IBM's own local executor runs
them, so that qawait's codec meets one that is not its own.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from .settings import EXECUTOR_SCHEMA


def decode(params: dict[str, Any]) -> Any:
    """Return the quantum program that a job's parameters describe."""
    from qiskit_ibm_runtime.quantum_program.params_converters import (
        QUANTUM_PROGRAM_PARAMS_CONVERTERS as CONVERTERS,
    )

    converter = CONVERTERS[EXECUTOR_SCHEMA]
    program, _options = converter.decoder(converter.model.model_validate(params))
    for item in program.items:
        if hasattr(item, "samplex"):
            # One read from JSON cannot be sampled before this.
            item.samplex.finalize()
    return program


def run(program: Any, params: dict[str, Any], simulator: Any, seed: int | None) -> str:
    """Run a quantum program and return its result as the service prints it."""
    run_quantum_program, options = _local_executor()
    start = datetime.now(UTC)
    result = run_quantum_program(simulator, program, options(seed_simulator=seed))
    return _encode(result, params["quantum_program"], (start, datetime.now(UTC)))


def _local_executor() -> tuple[Any, Any]:
    """Return IBM's local executor and the class of its options, wherever this version has them."""
    from qiskit_ibm_runtime.options_models import simulator

    try:
        from qiskit_ibm_runtime.fake_provider.executor import run_quantum_program as place
    except ImportError:  # before 0.50
        from qiskit_ibm_runtime.executor_local_mode import run_quantum_program as place

        return place.run_quantum_program, simulator.ExperimentalSimulatorOptions
    return place.run_quantum_program, simulator.SimulatorOptions


def _encode(result: Any, asked: dict[str, Any], times: tuple[datetime, datetime]) -> str:
    from ibm_quantum_schemas.executor.version_2_0.models import QuantumProgramResultModel

    arrays = [dict(item.items()) for item in result]
    model = QuantumProgramResultModel(
        data=[{"results": _tensors(item), "metadata": {}} for item in arrays],
        metadata={"chunk_timing": [_chunk(arrays, times)]},
        semantic_role=asked.get("semantic_role"),
    )
    # Echoed as it came: what the client put in must come back unchanged.
    echoed = {"passthrough_data": asked.get("passthrough_data")}
    return json.dumps({**model.model_dump(mode="json"), **echoed})


def _tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    from ibm_quantum_schemas.common import CompressedTensorModel

    return {name: CompressedTensorModel.from_numpy(array) for name, array in arrays.items()}


def _chunk(arrays: list[dict[str, Any]], times: tuple[datetime, datetime]) -> dict[str, Any]:
    parts = [_part(index, item) for index, item in enumerate(arrays)]
    return {"start": times[0], "stop": times[1], "parts": parts}


def _part(index: int, arrays: dict[str, Any]) -> dict[str, Any]:
    # The last two axes are shots and bits; those before are the item's own.
    measured = [array for name, array in arrays.items() if "." not in name]
    shape = measured[0].shape[:-2] if measured else ()
    size = math.prod(shape)
    return {
        "idx_item": index,
        "size": size,
        "permutation": list(range(len(shape))),
        "element_range": (0, size, 1),
    }
