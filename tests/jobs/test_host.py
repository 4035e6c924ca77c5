"""The host: tasks that no caller's cancellation reaches."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from qawait.errors import ConfigError
from qawait.jobs.host import TaskHost

pytestmark = pytest.mark.anyio


async def test_a_callers_cancellation_does_not_reach_its_tasks() -> None:
    """A task started from a scope that is cancelled runs to its end."""
    host, ended = TaskHost(), anyio.Event()
    await host.start()

    async def work() -> None:
        await anyio.sleep(0.02)
        ended.set()

    with anyio.CancelScope() as scope:
        host.start_soon(work)
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    with anyio.fail_after(2):
        await ended.wait()
    await host.stop()


async def test_it_may_be_started_and_stopped_in_different_tasks() -> None:
    """A notebook opens a client in one cell and closes it in another: each is a task."""
    host = TaskHost()
    async with anyio.create_task_group() as group:
        group.start_soon(host.start)
    async with anyio.create_task_group() as group:
        group.start_soon(host.stop)
    assert host.is_stopped


async def test_stopping_cancels_what_runs_and_cleans_up() -> None:
    """`stop` ends every task, then runs the clean-up, once."""
    calls: list[str] = []

    async def clean_up() -> None:
        calls.append("cleaned")

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            calls.append("ended")

    host = TaskHost(clean_up=clean_up)
    await host.start()
    host.start_soon(work)
    await anyio.wait_all_tasks_blocked()
    await host.stop()
    await host.stop()
    assert calls == ["ended", "cleaned"]


async def test_a_stopped_host_takes_no_tasks() -> None:
    """Work for a client that is closed is refused with a clear error."""
    host = TaskHost()
    await host.start()
    await host.stop()
    with pytest.raises(ConfigError, match="closed"):
        host.start_soon(anyio.sleep_forever)
