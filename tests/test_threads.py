"""Work in threads: awaited, abandoned, and never in the way of the process's end."""

from __future__ import annotations

import subprocess
import sys
import threading

import anyio
import pytest

from qawait.threads import in_thread

pytestmark = pytest.mark.anyio


async def test_it_gives_the_result() -> None:
    """The value computed in the thread is what is awaited."""
    assert await in_thread(lambda: 6 * 7) == 42


async def test_it_raises_the_error() -> None:
    """An error in the thread is raised where it is awaited."""
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


async def test_a_cancelled_caller_does_not_wait() -> None:
    """A caller that is cancelled leaves the thread to itself."""
    release = threading.Event()
    with anyio.fail_after(2):
        with anyio.move_on_after(0.05):
            await in_thread(release.wait)
    release.set()


def test_a_thread_does_not_keep_the_process() -> None:
    """A process whose loop was torn down ends although a thread is still at work."""
    program = (
        "import asyncio, threading\n"
        "from qawait.threads import in_thread\n"
        "loop = asyncio.new_event_loop()\n"
        "task = loop.create_task(in_thread(threading.Event().wait))\n"
        "loop.call_later(0.05, loop.stop)\n"
        "loop.run_forever()\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=10, check=False, capture_output=True)
