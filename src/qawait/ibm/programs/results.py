"""What a program gave back, as its user wants it: post-processed by IBM's own code where due."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ProtocolError
from qawait.ibm.codec.executor import ExecutorResult
from qawait.ibm.codec.tensor import PackedBits
from qawait.ibm.heavy import in_worker, runtime_imported
from qawait.ibm.programs import runtime, sampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCHEMA: Final = "v2.0"
_TAG: Final = '"__type__"'


async def processed(program: str | None, value: Any) -> Any:
    """Return the value of a program's result, without holding up the event loop for long.

    Results of `sampler` and `estimator` are what they should be as they come. Those
    of `executor` hold measurements, and with them all that IBM's own code needs to
    make a `PrimitiveResult` of them, or a `QuantumProgramResult` where no
    primitive sent the job. So they mean the same to every process that reads
    them. Those of `noise-learner` are IBM's own classes too.

    Raises:
        ProtocolError: if IBM's code can make nothing of it.
    """
    if program == "noise-learner" and _holds_layers(value):
        await runtime_imported()
        return runtime.noise_learned(value["data"], value.get("metadata"))
    if isinstance(value, ExecutorResult) or _names_its_schema(program, value):
        await runtime_imported()
        return await in_worker(_processed, str(program), value)
    return value


def _holds_layers(value: Any) -> bool:
    """Whether this is what the second version of `noise-learner` gives: layers with their noise."""
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, list) and any(type(one).__name__ == "LayerError" for one in data)


def _names_its_schema(program: str | None, value: Any) -> bool:
    if program not in ("executor", "noise-learner") or not isinstance(value, dict):
        return False
    return isinstance(value.get("schema_version"), str)


def _processed(program: str, value: Any) -> Any:
    if isinstance(value, ExecutorResult):
        if sampled.is_sampled(value):
            thin = _read_by_theirs(program, _as_posted(sampled.one_shot_of(value)))
            return sampled.with_all_shots(thin, value)
        value = _as_posted(value)
    return _read_by_theirs(program, value)


def _read_by_theirs(program: str, value: Any) -> Any:
    try:
        # written anew from values, so that a name in it can be written in one way only
        text = json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"the result of {program} is no plain JSON: {error}") from error
    if _TAG in text:  # with which IBM's code imports whatever the service names
        raise ProtocolError(f"the result of {program} holds a tagged value, where none belongs")
    return runtime.result_of(program, text)


def _as_posted(result: ExecutorResult) -> dict[str, Any]:
    """Return a decoded result in the form that IBM's code reads, its tensors uncompressed."""
    data = [
        {
            "results": {name: _tensor(_flat(array)) for name, array in item.results.items()},
            "metadata": _tree(item.metadata),
        }
        for item in result.items
    ]
    return {
        "schema_version": _SCHEMA,
        "data": data,
        "metadata": _tree(result.metadata),
        "passthrough_data": _tree(result.passthrough_data),
        "semantic_role": result.semantic_role,
    }


def _flat(array: PackedBits | NDArray[Any]) -> NDArray[Any]:
    """Return an array with an item for each bit."""
    import numpy as np

    if not isinstance(array, PackedBits):
        return array
    lowest_first = array.array[..., ::-1]
    bits = np.unpackbits(lowest_first, axis=-1, count=array.num_bits, bitorder="little")
    return bits.view(np.bool_)


def _tree(value: Any) -> Any:
    import numpy as np

    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, dict):
        return {key: _tree(item) for key, item in value.items()}
    return _tensor(value) if isinstance(value, np.ndarray) else value


def _tensor(array: NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    if array.dtype.kind == "b":
        dtype, data = "bool", np.packbits(array.ravel(), bitorder="little").tobytes()
    else:
        dtype, data = f"{array.dtype.kind}{8 * array.dtype.itemsize}", array.tobytes()
    text = base64.b64encode(zlib.compress(data, 0)).decode("ascii")
    return {"data": text, "shape": list(array.shape), "dtype": dtype}
