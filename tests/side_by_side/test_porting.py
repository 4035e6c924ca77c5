"""The guide to porting: both blocks of every pair run, and leave the same values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from qiskit import QuantumCircuit

from side_by_side.bodies import plain, same
from side_by_side.clients import is_installed, start_anew
from side_by_side.results import parts
from support.documented import blocks_of, run, sections_of
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qawait.emulator import Emulator
    from support.documented import Block, Section

PAGE = "docs/from-qiskit-ibm-runtime.md"
PAIRS = sections_of(PAGE)
SINCE = {"The executor's primitives": "0.50", "Try without cost": "0.51"}
"""From which version of IBM's client on its block runs, where that is not any."""
BEFORE: dict[str, Callable[[Emulator], object]] = {
    "Cancel a job": lambda emu: emu.hold(),
    "Wait for a while": lambda emu: emu.hold(),
    "When a job fails": lambda emu: emu.next_job(outcome="fail", reason="out of helium"),
}
"""What happens at the service in some sections."""

pytestmark = [
    pytest.mark.filterwarnings(
        # IBM announces that these move or end; readers come from there.
        "ignore:The (SamplerV2|EstimatorV2|NoiseLearner) class is deprecated:DeprecationWarning",
        "ignore:Specifying different 'shots' across pubs is deprecated:DeprecationWarning",
        # an ideal device has outcomes without any spread
        "ignore:No positive, finite standard errors were found:UserWarning",
    ),
]


def test_there_are_pairs() -> None:
    """Every section is a pair of blocks, and says which values are the same."""
    assert len(PAIRS) >= 15
    for pair in PAIRS:
        assert len(pair.blocks) == 2, pair.title
        assert compared(pair), pair.title


def compared(pair: Section) -> list[str]:
    """Return the names of the values that a section says are the same."""
    said = re.search(r"^The same ((?:`\w+`(?:, | and )?)+)", pair.text, re.MULTILINE)
    return re.findall(r"`(\w+)`", said[1]) if said else []


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.title.replace(" ", "-"))
def test_both_blocks_leave_the_same(emu: Emulator, ibm: Any, pair: Section, tmp_path: Path) -> None:
    """What was written for IBM's client and what it becomes give equal values."""
    if not is_installed(SINCE.get(pair.title, "0.49")):
        pytest.skip("this version of IBM's client has no such names")
    before, after = pair.blocks
    theirs = anyio.run(
        _left, emu, before, pair, {"service": ibm, "filename": str(tmp_path / "theirs.json")}
    )
    ours = anyio.run(_left, emu, after, pair, {"filename": str(tmp_path / "ours.json")})
    for name in compared(pair):
        assert same(comparable(ours[name]), comparable(theirs[name]), name) == []


def comparable(value: Any) -> Any:
    """Return a value without what differs at every run; seconds are numbers of any kind."""
    if isinstance(value, QuantumCircuit):
        return plain(value)
    return float(value) if type(value) is int else parts(value)


async def _left(
    emu: Emulator, block: Block, pair: Section, names: dict[str, Any]
) -> dict[str, Any]:
    """Return what a block leaves behind in the names it was given, and further ones."""
    start_anew(emu)
    await run(blocks_of(PAGE)[0], names)
    if pair.title in BEFORE:
        BEFORE[pair.title](emu)
    async with opened(emu, guardian=False) as client:
        names.setdefault("client", client)
        await run(block, names)
        if names["client"] is not client and hasattr(names["client"], "aclose"):
            await names["client"].aclose()
    return names
