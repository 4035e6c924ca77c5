"""Every kind of cancellation at many moments: no orphan, no second cancel, nothing swallowed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from qawait.jobs import caller, waiting
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait import Client
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
STEP = 0.004
MOMENTS = 64
"""From before the submit to well into the polling of a job that never ends by itself."""
LATE_MOMENTS = 32
"""From before the submit to after the fetch of a job that ends soon."""


async def run(client: Client) -> Any:
    """Submit a job that needs no execution, wait for it and fetch its result."""
    job = await client.submit_program("sampler", PARAMS, backend="ibm_manila")
    return await job


async def native(client: Client, seconds: float, *, times: int = 1) -> None:
    """`task.cancel()`, once or more, with a turn of the loop between."""
    task = asyncio.ensure_future(run(client))
    await asyncio.sleep(seconds)
    for _ in range(times):
        task.cancel("stop")
        await asyncio.sleep(0)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.done()
    assert task.cancelled() or not task.exception()


async def twice(client: Client, seconds: float) -> None:
    """`task.cancel()` twice."""
    await native(client, seconds, times=2)


async def scope(client: Client, seconds: float) -> None:
    """An anyio scope whose time is over."""
    with anyio.move_on_after(seconds):
        await run(client)


async def scope_and_native(client: Client, seconds: float) -> None:
    """An anyio scope and `task.cancel()` at the same moment."""

    async def scoped() -> None:
        with anyio.move_on_after(seconds):
            await run(client)

    task = asyncio.ensure_future(scoped())
    await asyncio.sleep(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def wait_for(client: Client, seconds: float) -> None:
    """`asyncio.wait_for`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(run(client), seconds)


async def timeout(client: Client, seconds: float) -> None:
    """`asyncio.timeout`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await run(client)


async def sibling(client: Client, seconds: float) -> None:
    """A sibling in a `TaskGroup` that fails."""

    async def fail() -> None:
        await asyncio.sleep(seconds)
        raise LookupError

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(run(client))
            group.create_task(fail())


KINDS = [native, twice, scope, scope_and_native, wait_for, timeout, sibling]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often each cancelled caller looked again while it waited."""
    counts: list[int] = []

    async def counted(
        wait: Callable[[], Awaitable[object]], reached: Callable[[], bool], *, seconds: float
    ) -> BaseException | None:
        counts.append(0)

        async def turn() -> None:
            counts[-1] += 1
            await wait()

        return await waiting.outlast(turn, reached, seconds=seconds)

    monkeypatch.setattr(caller, "outlast", counted)
    return counts


@pytest.mark.asyncio_only
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_no_orphan_at_any_moment(
    emu: Emulator, turns: list[int], kind: Callable[[Client, float], Awaitable[None]]
) -> None:
    """A job that would run for ever is ended by exactly one cancel, whenever its caller stops."""
    await sweep(emu, kind)
    assert max(turns) < 5


async def test_no_orphan_on_any_loop(emu: Emulator) -> None:
    """A scope that is cancelled keeps the same promise on asyncio, uvloop and trio."""
    await sweep(emu, scope)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_no_cancel_too_many_around_the_end(
    emu: Emulator, kind: Callable[[Client, float], Awaitable[None]]
) -> None:
    """Whether the caller stops just before or after the end, no job gets a second cancel."""
    emu.script(outcome="complete", run_seconds=0.02, times=None)
    async with opened(emu) as client:
        await stop_at_each_moment(client, kind, LATE_MOMENTS)
        jobs = emu.jobs()
    assert {job.cancels for job in jobs} <= {0, 1}
    assert {job.live for job in jobs} == {False}


async def sweep(emu: Emulator, kind: Callable[[Client, float], Awaitable[None]]) -> None:
    """Stop callers at each of the moments and look at what became of their jobs."""
    emu.script(outcome="complete", run_seconds=600, times=None)
    async with opened(emu) as client:
        await stop_at_each_moment(client, kind, MOMENTS)
        jobs = emu.jobs()
        assert len(jobs) > MOMENTS / 2
        assert [job.id for job in jobs if job.live] == []
        assert {job.cancels for job in jobs} == {1}


async def stop_at_each_moment(
    client: Client, kind: Callable[[Client, float], Awaitable[None]], moments: int
) -> None:
    """Begin a run for each moment and stop it there, a few at a time."""
    await client.backend("ibm_manila")
    some = anyio.Semaphore(4)

    async def one(moment: int) -> None:
        async with some:
            await kind(client, moment * STEP)

    async with anyio.create_task_group() as group:
        for moment in range(moments):
            group.start_soon(one, moment)
