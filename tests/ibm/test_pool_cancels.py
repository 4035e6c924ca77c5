"""A cancel goes first: the connection kept for it, and its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from qawait import limits
from qawait.ibm.pool import Lanes
from support.counted import cancel, connected, get, give_up, until_open
from support.tcp import answer, read_request

if TYPE_CHECKING:
    from anyio.abc import SocketStream

    from qawait.ibm.wire import Reply

pytestmark = pytest.mark.anyio


async def test_a_cancel_after_a_query_given_up_finds_a_connection() -> None:
    """The query closes its own; the cancel goes out on one that was open before."""
    async with connected() as (transport, seen):
        await transport.send(get("/submit"), {})
        transport.keep_warm()
        await transport.send(get("/status"), {})
        await give_up(transport, seen)
        opened = len(seen.paths)
        await transport.send(cancel(), {})
        assert len(seen.paths) == opened
        assert seen.paths[0] == ["/submit", "/cancel"]


async def test_without_a_job_one_connection_is_enough() -> None:
    """No second one is kept before there is something to cancel."""
    async with connected() as (transport, seen):
        for _ in range(5):
            await transport.send(get(), {})
        assert seen.used == [5]
        transport.keep_warm()
        for _ in range(5):
            await transport.send(get(), {})
        assert seen.used == [5, 5]


async def test_queries_keep_the_connection_for_cancels_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that has idled for a while takes a query, and another is kept in its place."""
    monkeypatch.setattr("qawait.limits.WARM_SECONDS", -1.0)
    async with connected() as (transport, seen):
        transport.keep_warm()
        for _ in range(10):
            await transport.send(get(), {})
        assert seen.used == [5, 5]


async def test_a_cancel_does_not_wait_for_a_turn() -> None:
    """Whatever else is in flight, there is one place more."""
    async with connected() as (transport, seen), anyio.create_task_group() as group:
        for _ in range(limits.REQUESTS_IN_FLIGHT + 5):
            group.start_soon(transport.send, get("/slow"), {})
        await until_open(seen, limits.REQUESTS_IN_FLIGHT)
        replies: list[Reply] = []

        async def stop() -> None:
            replies.append(await transport.send(cancel(), {}))

        async with anyio.create_task_group() as cancels:
            for _ in range(3):
                cancels.start_soon(stop)
        assert [reply.status for reply in replies] == [200] * 3
        group.cancel_scope.cancel()


async def test_a_dead_connection_for_cancels_is_replaced() -> None:
    """A cancel that finds it closed connects."""
    asked: list[bytes] = []

    async def once(stream: SocketStream) -> None:
        asked.append(await read_request(stream))
        await stream.send(answer())

    async with connected(once) as (transport, _):
        transport.keep_warm()
        for _ in range(2):
            await transport.send(get(), {})
        await anyio.sleep(0.02)
        assert (await transport.send(cancel(), {})).status == 200
    assert len(asked) == 3


# --- turns -------------------------------------------------------------------------------------


async def order(lanes: Lanes, *kinds: str) -> list[int]:
    """Let several wait, then give two turns back; return who got one, in order."""
    came: list[int] = []

    async def wait(number: int, kind: str) -> None:
        await lanes.enter(urgent=kind == "urgent")
        came.append(number)
        lanes.leave()

    async with anyio.create_task_group() as group:
        for number, kind in enumerate(kinds):
            group.start_soon(wait, number, kind)
            await anyio.wait_all_tasks_blocked()
        lanes.leave()
        await anyio.wait_all_tasks_blocked()
        lanes.leave()
    return came


async def test_the_urgent_go_first_and_all_in_order() -> None:
    """Whoever waits is served by urgency, then by arrival."""
    lanes = Lanes(1)
    await lanes.enter()
    await lanes.enter(urgent=True)
    assert await order(lanes, "poll", "urgent", "poll", "urgent") == [1, 3, 0, 2]


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("passed_on", [False, True])
async def test_a_turn_is_not_lost_with_who_waited_for_it(
    urgent: bool,  # noqa: FBT001 - a parameter
    passed_on: bool,  # noqa: FBT001 - as above
) -> None:
    """Cancelled before the turn came or just after, the next one gets it."""
    lanes = Lanes(1)
    await lanes.enter()
    await lanes.enter(urgent=True)

    async def wait() -> None:
        await lanes.enter(urgent=urgent)
        lanes.leave()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            if passed_on:
                lanes.leave()
                lanes.leave()
            scope.cancel()
    if not passed_on:
        lanes.leave()
        lanes.leave()
    with anyio.fail_after(1):
        await lanes.enter()
        await lanes.enter(urgent=True)
