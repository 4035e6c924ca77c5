from __future__ import annotations

import numpy as np
import pytest
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)

from qawait import limits
from qawait.panels.outline import outline


def sampled(*pubs: dict[str, BitArray]) -> PrimitiveResult[SamplerPubResult]:
    """Return a sampler's result."""
    return PrimitiveResult([SamplerPubResult(DataBin(**pub)) for pub in pubs])


def bits(samples: list[int], width: int) -> BitArray:
    """Return measured bits."""
    return BitArray.from_samples(samples, num_bits=width)


def test_the_most_frequent_outcomes_come_first() -> None:
    """Each outcome has its count and share; the longest bar is the most frequent one's."""
    found = outline(sampled({"meas": bits([0, 3, 3, 3], 2)}))
    assert found is not None
    assert [bar.label for bar in found.bars] == ["11", "00"]
    assert [bar.value for bar in found.bars] == ["3  75%", "1  25%"]
    assert found.bars[0].share == 1
    assert found.remark == ""


def test_registers_are_joined() -> None:
    """Several registers are one outcome, as Qiskit joins them."""
    found = outline(sampled({"a": bits([1], 1), "b": bits([0], 1)}))
    assert found is not None
    assert [bar.label for bar in found.bars] == ["01"]


def test_what_is_left_out_is_said() -> None:
    """More pubs and more outcomes than are shown are named."""
    many = {"meas": bits(list(range(20)), 5)}
    found = outline(sampled(many, many))
    assert found is not None
    assert len(found.bars) == limits.OUTLINE_BARS
    assert found.remark == "pub 1 of 2 · 12 more outcomes"


def test_many_shots_are_counted_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many shots are counted, and it is said."""
    monkeypatch.setattr(limits, "OUTLINE_SHOTS", 3)
    found = outline(sampled({"meas": bits([1, 1, 1, 0], 1)}))
    assert found is not None
    assert (found.bars[0].value, found.remark) == ("3  100%", "of the first 3 shots")


def test_long_outcomes_are_shortened() -> None:
    """A hundred bits are shown in hexadecimal, without their middle."""
    found = outline(sampled({"meas": bits([2**99 + 1], 100)}))
    assert found is not None
    assert found.bars[0].label == "0x080000000000…000001"


def test_values_are_shown_with_their_errors() -> None:
    """An estimator's result shows its first values, each with its standard error."""
    data = DataBin(evs=np.array([-0.5, 1.0]), stds=np.array([0.01, 0.02]))
    found = outline(PrimitiveResult([PubResult(data)]))
    assert found is not None
    assert [bar.value for bar in found.bars] == ["-0.5000 ± 0.0100", "+1.0000 ± 0.0200"]
    assert [bar.share for bar in found.bars] == [0.5, 1.0]


@pytest.mark.parametrize("other", [None, {}, {"a": 1}, [], [1], "text", sampled({})])
def test_anything_else_has_no_outline(other: object) -> None:
    """What no primitive made is not guessed at."""
    assert outline(other) is None
