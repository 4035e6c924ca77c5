"""Waiting for changes, and through repeated cancellation."""

from __future__ import annotations

import asyncio
import gc

import anyio
import pytest

from qawait.jobs.updates import Updates, UpdateStream
from qawait.jobs.waiting import Signal, outlast
from qawait.types import Stage, Update

pytestmark = pytest.mark.anyio


def never() -> bool:
    """Be never reached."""
    return False


async def test_a_signal_wakes_everyone_who_waits() -> None:
    """One `set` ends every wait that had begun."""
    signal, woken = Signal(), []

    async def wait(name: int) -> None:
        await signal.wait()
        woken.append(name)

    async with anyio.create_task_group() as group:
        for name in range(3):
            group.start_soon(wait, name)
        await anyio.wait_all_tasks_blocked()
        signal.set()
    assert sorted(woken) == [0, 1, 2]


async def test_outlast_ends_when_it_is_reached() -> None:
    """A wait that nobody disturbs ends with its condition and absorbs nothing."""
    signal, done = Signal(), []
    async with anyio.create_task_group() as group:

        async def finish() -> None:
            done.append(True)
            signal.set()

        group.start_soon(finish)
        absorbed = await outlast(
            lambda: signal.until(lambda: bool(done)), lambda: bool(done), seconds=5
        )
    assert absorbed is None


@pytest.mark.virtual
async def test_outlast_is_bounded() -> None:
    """A condition that is never reached holds nobody beyond the time given."""
    began = anyio.current_time()
    await outlast(lambda: Signal().until(never), never, seconds=5)
    assert anyio.current_time() - began == pytest.approx(5)


@pytest.mark.virtual
async def test_outlast_does_not_spin_under_a_cancelled_scope() -> None:
    """A cancelled scope around the wait causes no busy loop."""
    turns = 0

    async def wait() -> None:
        nonlocal turns
        turns += 1
        await Signal().wait()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await outlast(wait, never, seconds=10)
    assert turns == 1


@pytest.mark.virtual
@pytest.mark.asyncio_only
async def test_outlast_absorbs_native_cancels_and_returns_the_first() -> None:
    """Each `task.cancel()` costs one turn; the first one is for the caller to raise."""
    turns = 0

    async def wait() -> None:
        nonlocal turns
        turns += 1
        await Signal().wait()

    task = asyncio.create_task(outlast(wait, never, seconds=0.2))
    for reason in ("first", "second", "third"):
        await asyncio.sleep(0.01)
        task.cancel(reason)
    absorbed = await task
    assert isinstance(absorbed, asyncio.CancelledError)
    assert absorbed.args == ("first",)
    assert turns == 4


async def test_readers_come_and_go_without_a_trace() -> None:
    """A thousand readers of a stream, left early, leave nothing behind."""
    stream = UpdateStream()
    stream.publish(Update(stage=Stage.QUEUED, time=0.0))
    for _ in range(1000):
        async for update in Updates(stream):
            assert update.stage is Stage.QUEUED
            break
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Updates)]


async def test_a_slow_reader_gets_the_latest() -> None:
    """What was published meanwhile is skipped; the last update is not."""
    stream = UpdateStream()
    reader = Updates(stream)
    for stage in (Stage.QUEUED, Stage.RUNNING, Stage.DONE):
        stream.publish(Update(stage=stage, time=0.0))
    assert [update.stage async for update in reader] == [Stage.DONE]
