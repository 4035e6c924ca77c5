"""A submit cut at many bytes of its request and of its answer: always exactly one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from support.cutting import Cut, CuttingProxy, Side, cutting_proxy
from support.open import opened

if TYPE_CHECKING:
    from qawait import Client
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
LANES = 6
EVERY = {"request": 4, "answer": 1}
"""A cut after each so many bytes, besides the first and last few."""


async def submit(client: Client, proxy: CuttingProxy, cut: Cut) -> str:
    """Submit one job through the proxy and return its id."""
    proxy.cut = cut
    job = await client.submit_program("sampler", PARAMS, backend="ibm_manila", on_cancel="detach")
    assert job.tag is not None
    return f"{job.tag} {job.id}"


def places(length: int, step: int) -> list[int]:
    """Return the byte counts to cut after: both ends closely, the middle in steps."""
    return sorted({*range(min(4, length)), *range(0, length, step), *range(length - 3, length)})


@pytest.mark.parametrize("side", ["request", "answer"])
async def test_a_cut_submit_makes_exactly_one_job(
    emu: Emulator, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many bytes passed before the connection broke, one job results, with its id."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SPACING_SECONDS", 0.05)
    emu.script(outcome="complete", times=None)
    submitted: list[str] = []
    async with anyio.create_task_group() as lanes:

        async def lane(number: int) -> None:
            async with cutting_proxy(emu.port) as proxy:
                url = f"{proxy.origin}/experimental/api/v1"
                async with opened(emu, url=url) as client:
                    whole = Cut()
                    submitted.append(await submit(client, proxy, whole))
                    length = whole.request_bytes if side == "request" else whole.answer_bytes
                    assert length > 100
                    for after in places(length, EVERY[side])[number::LANES]:
                        cut = Cut(after=after, side=side, reset=after % 2 == 1)
                        submitted.append(await submit(client, proxy, cut))
                        assert cut.done

        for number in range(LANES):
            lanes.start_soon(lane, number)
    made = [f"{_own_tag(job.tags)} {job.id}" for job in emu.jobs()]
    assert sorted(made) == sorted(submitted)
    assert len(emu.ledger("GET", "/jobs")) > 100, "cuts must have led to look-ups"


def _own_tag(tags: tuple[str, ...]) -> str:
    [tag] = [tag for tag in tags if not tag.startswith("qawait-client-")]
    return tag
