"""When a request counts as sent: cancellations, proxies and connections that never stood."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from qawait.errors import NotSentError, QawaitError, UnknownOutcomeError
from qawait.ibm.transport import Transport
from qawait.secret import Secret
from support.calls import BODY, closed_port, post
from support.leaks import shown
from support.tcp import answer, read_request, tcp_server

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_on_sending_comes_before_the_first_byte() -> None:
    """Whoever keeps an account of what has left hears of it in time, and once."""
    seen: list[str] = []

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        seen.append("arrived")
        await stream.send(answer(BODY))

    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        await transport.send(post(), {}, on_sending=lambda: seen.append("sending"))
        await transport.aclose()
    assert seen == ["sending", "arrived"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_before_on_sending_has_sent_nothing(turns: int) -> None:
    """Whenever a cancellation comes: nothing has left unless it was announced."""
    arrived: list[bool] = []
    called: list[bool] = []

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        arrived.append(True)

    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        with anyio.CancelScope() as scope:

            async def stop() -> None:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                if not called:
                    scope.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(stop)
                with contextlib.suppress(UnknownOutcomeError):
                    await transport.send(post(), {}, on_sending=lambda: called.append(True))
        await anyio.sleep(0.01)
        await transport.aclose()
    assert arrived == called


async def test_a_refused_connection_never_says_that_it_sends() -> None:
    """What is not sent is not announced."""
    called: list[bool] = []
    transport = Transport(await closed_port())
    with pytest.raises(NotSentError):
        await transport.send(post(), {}, on_sending=lambda: called.append(True))
    await transport.aclose()
    assert not called


async def through_a_proxy(said: bytes) -> QawaitError:
    """Return the error of a call through a proxy that answers its CONNECT so."""

    async def handler(stream: SocketStream) -> None:
        asked = await read_request(stream)
        assert asked.startswith(b"CONNECT api.test:443 ")
        await stream.send(said)

    async with tcp_server(handler) as origin:
        proxy = Secret(origin.replace("http://", "http://user:canary-password@"))
        transport = Transport("https://api.test", proxy=proxy)
        with pytest.raises(QawaitError) as caught:
            await transport.send(post(), {})
        await transport.aclose()
    return caught.value


@pytest.mark.parametrize(
    "said", [answer(status="407 Who Are You"), answer(status="200 OK", body=b""), b""]
)
async def test_a_proxy_that_fails_has_sent_nothing(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, cut off after it was granted, or hung up on: the service saw no request."""
    caplog.set_level(logging.DEBUG)
    error = await through_a_proxy(said)
    assert isinstance(error, NotSentError)
    assert "canary" not in shown(error)
    assert "canary" not in caplog.text
