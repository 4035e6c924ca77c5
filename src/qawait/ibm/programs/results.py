"""What a program gave back, as its user wants it: read, and post-processed where that is due."""

from __future__ import annotations

import json
from typing import Any, Final

from qawait.errors import ProtocolError
from qawait.ibm.codec.decode import decode
from qawait.ibm.heavy import in_worker, runtime_imported
from qawait.ibm.programs import runtime

_LAYERS: Final = b'"LayerError"'
"""What a result contains if layers of circuits are in it, which are circuits themselves."""


async def read_result(body: bytes) -> Any:
    """Return the value of a result, without holding up the event loop for long.

    Results of the programs `sampler` and `estimator` hold their values. Those of
    `executor` hold measurements, and with them all that IBM's own code needs to
    make a `PrimitiveResult` of them, or a `QuantumProgramResult` where no
    primitive sent the job. So they mean the same to every process that reads
    them. Those of `noise-learner` are IBM's own classes too.

    Raises:
        ProtocolError: if the result is malformed, truncated or too large.
    """
    value = await decode(body, circuits=_LAYERS in body)
    if _holds_layers(value):
        return runtime.noise_learned(value["data"], value.get("metadata"))
    program = _program_of(value)
    return value if program is None else await _processed(program, value)


def _holds_layers(value: Any) -> bool:
    """Whether this is what the second version of `noise-learner` gives: layers with their noise."""
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, list) and any(type(one).__name__ == "LayerError" for one in data)


def _program_of(value: Any) -> str | None:
    """Return which program wrote a result that is to be post-processed, told by its form."""
    if not isinstance(value, dict) or not isinstance(value.get("schema_version"), str):
        return None
    if not isinstance(value.get("data"), list):
        return None
    metadata = value.get("metadata")
    is_executor = isinstance(metadata, dict) and "chunk_timing" in metadata
    return "executor" if is_executor else "noise-learner"


async def _processed(program: str, value: dict[str, Any]) -> Any:
    await runtime_imported()
    return await in_worker(_process, program, value)


def _process(program: str, value: dict[str, Any]) -> Any:
    try:
        # written anew from values: nothing is in it that only looked like plain JSON
        text = json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"the result of {program} is no plain JSON: {error}") from error
    return runtime.result_of(program, text)
