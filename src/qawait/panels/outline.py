"""A result in a few lines: the most frequent outcomes, or the first expectation values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qawait import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_BITS: Final = 24
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One line: its `share` of 1 is how long the bar is."""

    label: str
    share: float
    value: str


@dataclass(frozen=True, slots=True)
class Outline:
    """What a result shows at a glance, and what it leaves out."""

    bars: tuple[Bar, ...]
    remark: str = ""


def outline(result: Any) -> Outline | None:
    """Return the outline of a sampler's or estimator's first pub; `None` for anything else.

    At most `limits.OUTLINE_SHOTS` shots are counted, which takes some 10 ms.
    """
    try:
        pub = result[0]
        data = pub.data
    except (TypeError, KeyError, IndexError, AttributeError):
        return None
    if hasattr(data, "evs"):
        return _of_values(data, _pubs(result))
    return _of_bits(pub, _pubs(result))


def _pubs(result: Any) -> list[str]:
    return [f"pub 1 of {len(result)}"] if len(result) > 1 else []


def _of_bits(pub: Any, remarks: list[str]) -> Outline | None:
    import numpy as np

    registers = [value for value in pub.data.values() if hasattr(value, "num_bits")]
    if not registers:
        return None
    bits = pub.join_data() if len(registers) > 1 else registers[0]
    shots = bits.array.reshape(-1, bits.array.shape[-1])
    counted = shots[: limits.OUTLINE_SHOTS]
    values, counts = np.unique(counted, axis=0, return_counts=True)
    first = np.argsort(-counts, kind="stable")[: limits.OUTLINE_BARS]
    total, most = int(counts.sum()), int(counts.max(initial=1))
    bars = tuple(
        Bar(_label(values[i].tobytes(), bits.num_bits), counts[i] / most, _count(counts[i], total))
        for i in first
    )
    if len(values) > len(bars):
        remarks.append(f"{len(values) - len(bars):,} more outcomes")
    if len(shots) > len(counted):
        remarks.append(f"of the first {len(counted):,} shots")
    return Outline(bars, " · ".join(remarks))


def _label(value: bytes, bits: int) -> str:
    if bits <= _LONGEST_BITS:
        return format(int.from_bytes(value), f"0{bits}b")
    return shortened(f"0x{value.hex()}")


def shortened(text: str) -> str:
    """Return a text with its middle left out, if it is long."""
    return text if len(text) <= _SHOWN + 1 else f"{text[: _SHOWN - 6]}…{text[-6:]}"


def _count(count: int, total: int) -> str:
    return f"{int(count):,}  {count / total:.0%}"


def _of_values(data: Any, remarks: list[str]) -> Outline:
    values = data.evs.reshape(-1).tolist()
    errors = data.stds.reshape(-1).tolist() if hasattr(data, "stds") else []
    shown = values[: limits.OUTLINE_BARS]
    most = max((abs(value) for value in shown), default=0.0) or 1.0
    bars = tuple(
        Bar(f"⟨{place}⟩", abs(value) / most, _value(value, errors[place : place + 1]))
        for place, value in enumerate(shown)
    )
    if len(values) > len(shown):
        remarks.append(f"{len(values) - len(shown):,} more values")
    return Outline(bars, " · ".join(remarks))


def _value(value: float, error: Iterable[float]) -> str:
    return " ± ".join([f"{value:+.4f}", *(f"{one:.4f}" for one in error)])
