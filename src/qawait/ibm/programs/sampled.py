"""Samples of the program `executor`, made into a result without a byte for each bit.

IBM's own code makes the result of a sampler, but from arrays with a byte for each
bit, several times over: 260 MiB for a million shots of 100 bits. Here it is given
one shot of each array, from which it makes names, shapes and metadata, and the
bits are put in afterwards, packed as they came.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from qawait.ibm.codec.tensor import PackedBits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qiskit.primitives import PrimitiveResult

    from qawait.ibm.codec.executor import ExecutorItem, ExecutorResult

_SAMPLER: Final = "sampler_v2"
_FLIPS: Final = "measurement_flips."
_SHOTS_AND_BYTES: Final = 2  # axes that every array of samples has


def is_sampled(result: ExecutorResult) -> bool:
    """Whether a result is that of a sampler, and all that was measured are bits."""
    return result.semantic_role == _SAMPLER and all(
        isinstance(bits, PackedBits) and bits.array.ndim >= _SHOTS_AND_BYTES
        for item in result.items
        for bits in item.results.values()
    )


def one_shot_of(result: ExecutorResult) -> ExecutorResult:
    """Return the result with the first shot of each array alone."""
    return replace(result, items=tuple(_first(item) for item in result.items))


def _first(item: ExecutorItem) -> ExecutorItem:
    thin: dict[str, Any] = {
        name: PackedBits(bits.array[..., :1, :], bits.num_bits)
        for name, bits in item.results.items()
        if isinstance(bits, PackedBits)
    }
    return replace(item, results=thin)


def with_all_shots(thin: PrimitiveResult[Any], result: ExecutorResult) -> PrimitiveResult[Any]:
    """Return what IBM's code made of one shot, with all of them."""
    from qiskit.primitives import PrimitiveResult

    pubs = [_filled(pub, item) for pub, item in zip(thin, result.items, strict=True)]
    return PrimitiveResult(pubs, metadata=thin.metadata)


def _filled(pub: Any, item: ExecutorItem) -> Any:
    from qiskit.primitives import DataBin, SamplerPubResult
    from qiskit.primitives.containers.bit_array import BitArray

    shape = pub.data.shape
    registers: dict[str, Any] = {}
    for name in pub.data:
        bits, flips = item.results[name], item.results.get(_FLIPS + name)
        array = bits.array if flips is None else bits.array ^ flips.array  # type: ignore[union-attr]
        registers[name] = BitArray(_in_one_row(array, shape), bits.num_bits)  # type: ignore[union-attr]
    return SamplerPubResult(data=DataBin(**registers, shape=shape), metadata=pub.metadata)


def _in_one_row(array: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return samples with the shots of all randomizations, the first axis, after one another."""
    import numpy as np

    if array.shape[:-_SHOTS_AND_BYTES] == shape:
        return array
    together = np.moveaxis(array, 0, len(shape))
    return together.reshape(*shape, -1, array.shape[-1])
