"""A sampler's result as JSON can hold it."""

from __future__ import annotations

from typing import Any

from qawait.errors import ProtocolError


def counts_of(result: Any) -> dict[str, dict[str, int]]:
    """Return how often each bit string was measured, by classical register.

    Raises:
        ProtocolError: the result is not that of one sampled circuit.
    """
    try:
        data = result[0].data
        return {
            name: {bits: int(number) for bits, number in sorted(data[name].get_counts().items())}
            for name in data
        }
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ProtocolError("the service's result holds no counts") from error
