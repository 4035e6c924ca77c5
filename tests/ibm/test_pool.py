"""The connections of a transport: how many, which one, and what becomes of dead ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from qawait import limits
from qawait.errors import NotSentError, UnknownOutcomeError
from qawait.ibm.transport import Transport
from support.counted import Seen, connected, get, until_asked, until_open
from support.tcp import answer, read_request, reset, tcp_server

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_one_after_the_other_needs_one_connection() -> None:
    """A connection is kept and used again."""
    async with connected() as (transport, seen):
        for number in range(20):
            assert (await transport.send(get(f"/{number}"), {})).body == b"/%d" % number
        assert seen.used == [20]


async def test_connections_are_capped_and_the_last_used_is_the_next() -> None:
    """A burst opens as many as may be in flight, and what follows uses one of them."""
    async with connected() as (transport, seen):
        async with anyio.create_task_group() as group:
            for number in range(300):
                group.start_soon(transport.send, get(f"/{number}"), {})
        assert len(seen.used) <= limits.REQUESTS_IN_FLIGHT
        before = seen.used
        for _ in range(5):
            await transport.send(get(), {})
        assert max(after - was for after, was in zip(seen.used, before, strict=True)) == 5


async def test_answers_go_to_those_who_asked() -> None:
    """However requests and cancellations mix, nobody reads another's answer."""
    async with connected() as (transport, _):
        replies: dict[int, bytes] = {}

        async def ask(number: int) -> None:
            with anyio.CancelScope() as scope:
                if number % 3 == 0:
                    scope.deadline = anyio.current_time() + 0.0003 * number
                replies[number] = (await transport.send(get(f"/{number}"), {})).body

        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(ask, number)
        assert len(replies) >= 133
        assert all(body == b"/%d" % number for number, body in replies.items())


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    """The end is noticed before anything is sent: no request is lost to it."""
    asked: list[bytes] = []

    async def once(stream: SocketStream) -> None:
        asked.append(await read_request(stream))
        await stream.send(answer())

    async with connected(once) as (transport, _):
        for _ in range(5):
            await transport.send(get(), {})
            await anyio.sleep(0.02)
    assert len(asked) == 5


async def test_a_connection_reset_while_idle_is_replaced() -> None:
    """The same for RST."""

    async def once(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer())
        await anyio.sleep(0.01)
        await reset(stream)

    async with connected(once) as (transport, _):
        for _ in range(5):
            await transport.send(get(), {})
            await anyio.sleep(0.03)


async def test_what_was_sent_in_vain_is_not_sent_again() -> None:
    """A connection that dies after it was chosen: one request arrived, its outcome is unknown."""
    asked: list[bytes] = []

    async def dies(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer())
        asked.append(await read_request(stream))

    async with connected(dies) as (transport, _):
        await transport.send(get(), {})
        with pytest.raises(UnknownOutcomeError):
            await transport.send(get(), {})
        assert len(asked) == 1


async def test_idle_connections_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has idled for too long is closed, not used."""
    async with connected() as (transport, seen):
        await transport.send(get(), {})
        monkeypatch.setattr("qawait.limits.KEEPALIVE_SECONDS", -1.0)
        await transport.send(get(), {})
        assert seen.used == [1, 1]


async def test_closing_closes_every_connection() -> None:
    """Those that idle, the one kept for cancels, and those in use, whose outcome is unknown."""
    async with connected() as (transport, seen):
        transport.keep_warm()
        for _ in range(3):
            await transport.send(get(), {})
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                with pytest.raises(UnknownOutcomeError):
                    await transport.send(get("/slow"), {})

            group.start_soon(ask)
            await until_asked(seen, "/slow")
            await transport.aclose()
        await until_open(seen, 0)


async def test_a_transport_that_was_closed_keeps_no_connection() -> None:
    """It would stay open for ever."""
    async with connected() as (transport, seen):
        await transport.aclose()
        await transport.send(get(), {})
        await until_open(seen, 0)


async def test_a_handshake_that_is_cancelled_leaves_no_connection() -> None:
    """Nor one that outlasts its deadline."""
    seen = Seen()

    async def silent(stream: SocketStream) -> None:
        seen.open += 1
        try:
            while True:
                await stream.receive()
        finally:
            seen.open -= 1

    async with tcp_server(silent) as origin:
        transport = Transport(origin.replace("http:", "https:"))
        with anyio.move_on_after(0.1):
            await transport.send(get(), {})
        with pytest.raises(NotSentError):
            await transport.send(get(deadline=0.1), {})
        await until_open(seen, 0)
        await transport.aclose()
