"""Samples of the program `executor`: what IBM's own code makes of them, without its memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qawait.errors import ProtocolError
from qawait.ibm.codec.executor import ExecutorItem, ExecutorResult
from qawait.ibm.codec.tensor import PackedBits
from qawait.ibm.programs import results, runtime, sampled


def packed(draw: np.random.Generator, shape: tuple[int, ...], num_bits: int) -> PackedBits:
    """Return random bits; those beyond the last are zero."""
    array = draw.integers(0, 256, (*shape, -(-num_bits // 8)), dtype=np.uint8)
    array[..., 0] &= 0xFF >> (-num_bits % 8)
    return PackedBits(array, num_bits)


def result_of(
    seed: int, sweep: tuple[int, ...], shots: int, randomizations: int, bits: dict[str, int]
) -> ExecutorResult:
    """Return what the service could give a sampler with two pubs."""
    draw = np.random.default_rng(seed)
    leading = (randomizations, *sweep) if randomizations else sweep

    def item() -> ExecutorItem:
        measured = {name: packed(draw, (*leading, shots), size) for name, size in bits.items()}
        flips = {
            f"measurement_flips.{name}": packed(draw, (*leading, 1), size)
            for name, size in bits.items()
            if randomizations
        }
        made: dict[str, Any] = {**measured, **flips}
        return ExecutorItem(results=made, metadata={})

    post_processor = {
        "version": "v0.1",
        "twirling": bool(randomizations),
        "meas_type": "classified",
        "shots": shots * max(1, randomizations),
        "options": {"default_shots": 4096},
        "circuits_metadata": [{"name": "first"}, None],
    }
    return ExecutorResult(
        items=(item(), item()),
        metadata={"chunk_timing": []},
        passthrough_data={"post_processor": post_processor},
        semantic_role="sampler_v2",
    )


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    sweep=st.sampled_from([(), (1,), (3,), (2, 3)]),
    shots=st.integers(1, 20),
    randomizations=st.integers(0, 4),
    bits=st.dictionaries(st.sampled_from(["meas", "c", "d"]), st.integers(1, 21), min_size=1),
)
def test_it_is_what_their_code_makes_of_all_shots(
    seed: int, sweep: tuple[int, ...], shots: int, randomizations: int, bits: dict[str, int]
) -> None:
    """Names, shapes, bits and metadata are equal, whatever was measured and twirled."""
    result = result_of(seed, sweep, shots, randomizations, bits)
    assert sampled.is_sampled(result)
    text = json.dumps(results._as_posted(result))
    theirs = runtime.result_of("executor", text)
    ours = results._processed("executor", result)
    assert ours.metadata == theirs.metadata
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.metadata == other.metadata
        assert mine.data.shape == other.data.shape
        assert list(mine.data) == list(other.data)
        assert all(mine.data[name] == other.data[name] for name in other.data)


def test_samples_that_are_no_bits_are_left_to_their_code() -> None:
    """Kerneled measurements are numbers, and an estimator's bits are not given out."""
    result = result_of(1, (), 4, 0, {"meas": 3})
    estimated = ExecutorResult(
        items=result.items, metadata={}, passthrough_data={}, semantic_role="estimator_v2"
    )
    kerneled = ExecutorItem(results={"meas_iq": np.ones((4, 3))}, metadata={})
    measured = ExecutorResult(
        items=(kerneled,), metadata={}, passthrough_data={}, semantic_role="sampler_v2"
    )
    assert not sampled.is_sampled(estimated)
    assert not sampled.is_sampled(measured)


def test_what_their_code_refuses_is_refused() -> None:
    """A result without what the post-processing needs is a protocol error."""
    result = result_of(1, (), 4, 0, {"meas": 3})
    result.passthrough_data["post_processor"].pop("shots")
    with pytest.raises(ProtocolError, match="cannot be read by qiskit-ibm-runtime"):
        results._processed("executor", result)
