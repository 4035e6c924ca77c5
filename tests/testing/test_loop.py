"""The loop on virtual time: quick, deterministic, and honest about deadlocks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context

import pytest

from qawait.testing import VirtualLoop


def run(coroutine: object, seed: int | None = None) -> object:
    """Run a coroutine on a virtual loop."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed)) as runner:
        return runner.run(coroutine)  # type: ignore[arg-type]


async def interleave() -> list[int]:
    """Return the order in which ten tasks take their turns."""
    order: list[int] = []

    async def take_turns(name: int) -> None:
        for _ in range(3):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*[take_turns(name) for name in range(10)])
    return order


def test_hours_pass_in_no_time() -> None:
    """Three virtual hours take less than a second, and the clock shows them."""

    async def sleep() -> float:
        await asyncio.sleep(3 * 3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(sleep()) == pytest.approx(3 * 3600)
    assert time.monotonic() - began < 1


def test_the_same_seed_gives_the_same_order() -> None:
    """A seed replays an interleaving exactly."""
    assert run(interleave(), seed=5) == run(interleave(), seed=5)


def test_seeds_give_different_orders() -> None:
    """Fifty seeds give fifty interleavings."""
    orders = {tuple(run(interleave(), seed=seed)) for seed in range(50)}  # type: ignore[arg-type, var-annotated]
    assert len(orders) == 50


def test_a_deadlock_is_an_error() -> None:
    """When nothing can ever happen again the loop says so and does not hang."""

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        run(wait())


def test_timeouts_work() -> None:
    """`asyncio.timeout` counts virtual time."""

    async def time_out() -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(3600)

    with pytest.raises(TimeoutError):
        run(time_out())


def test_the_private_names_it_relies_on_are_there() -> None:
    """What asyncio keeps to itself has, on this Python, the names the loop uses."""
    loop = VirtualLoop(seed=0)

    async def main() -> None:
        task = asyncio.ensure_future(asyncio.sleep(0))
        assert task._log_destroy_pending  # type: ignore[attr-defined]
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        await task
        loop.call_later(9, print)
        assert isinstance(loop._ready, deque)
        [timer] = loop._scheduled  # type: ignore[attr-defined]
        assert isinstance(timer._context, Context)
        timer.cancel()

    loop.run_until_complete(main())
    assert callable(asyncio.BaseEventLoop._run_once)  # type: ignore[attr-defined]
    loop.close()


def test_its_clock_starts_where_it_is_told() -> None:
    """A loop can begin at any time, and be advanced by hand."""
    loop = VirtualLoop(start=100.0)
    loop.advance(5.0)
    assert loop.time() == 105.0
    loop.close()
