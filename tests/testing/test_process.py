"""Simulated processes: what is killed stays where it stands."""

from __future__ import annotations

import asyncio
import gc

import anyio
import pytest

from qawait.testing import SimulatedProcess, SimulatedService, VirtualLoop
from qawait.types import SubmitRequest

REQUEST = SubmitRequest(program="sampler", backend="sim", params={}, tag="tag0")


@pytest.fixture
def loop() -> VirtualLoop:
    """Return a loop with a shuffled queue."""
    return VirtualLoop(seed=1)


def test_nothing_of_a_killed_process_runs(loop: VirtualLoop) -> None:
    """Neither `finally` nor `except` nor a child task goes on after a kill."""
    done: list[str] = []

    async def child() -> None:
        await asyncio.sleep(2)
        done.append("child")

    async def parent() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        finally:
            done.append("finally")

    async def main() -> None:
        process = SimulatedProcess(loop, "victim")
        process.start(parent())
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(9)
        assert len(process.running()) == 2
        assert done == []
        process.bury()

    loop.run_until_complete(main())
    loop.close()


def test_other_processes_go_on(loop: VirtualLoop) -> None:
    """A kill ends the tasks of one process only."""

    async def work() -> str:
        await asyncio.sleep(2)
        return "done"

    async def main() -> str:
        victim, other = SimulatedProcess(loop, "victim"), SimulatedProcess(loop, "other")
        victim.start(work())
        going_on = other.start(work())
        await asyncio.sleep(1)
        victim.kill()
        assert not other.is_killed
        result: str = await going_on
        victim.bury()
        return result

    assert loop.run_until_complete(main()) == "done"
    loop.close()


def test_the_dead_are_buried_in_silence(
    loop: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """Freeing a killed process neither logs nor warns, whatever its clean-up does."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(10)

    process = SimulatedProcess(loop, "victim")

    async def main() -> None:
        process.start(stubborn())
        await asyncio.sleep(1)
        process.kill()

    loop.run_until_complete(main())
    loop.close()
    process.bury()
    gc.collect()
    assert caplog.records == []
    assert process.running() == []


@pytest.mark.parametrize("lands", [True, False], ids=["lands", "lost"])
def test_what_was_on_the_wire_may_land(loop: VirtualLoop, *, lands: bool) -> None:
    """A submit that had left a killed client makes its job, unless the wire was cut too."""
    service = SimulatedService(latency=1.0)

    async def main() -> int:
        process = SimulatedProcess(loop, "victim")
        process.start(service.submit(REQUEST))
        await asyncio.sleep(0.2)
        process.kill()
        if not lands:
            service.cut("victim")
        assert service.live() == []
        await asyncio.sleep(0.4)
        live = len(service.live())
        process.bury()
        return live

    assert loop.run_until_complete(main()) == int(lands)
    assert service.ledger[0].client == "victim"
    assert service.ledger[0].answered is None
    loop.close()


@pytest.mark.parametrize("lands", [True, False], ids=["lands", "lost"])
def test_a_cancelled_request_may_land(loop: VirtualLoop, *, lands: bool) -> None:
    """A request whose sender is cancelled takes effect, unless `cut_lands` is false."""
    service = SimulatedService(latency=1.0, cut_lands=lands)

    async def main() -> int:
        with anyio.move_on_after(0.2):
            await service.submit(REQUEST)
        await asyncio.sleep(0.5)
        return len(service.live())

    assert loop.run_until_complete(main()) == int(lands)
    loop.close()
