"""What each way in which a connection can fail is called: not sent, unknown, or malformed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from qawait import limits
from qawait.errors import NotSentError, ProtocolError, UnknownOutcomeError
from qawait.ibm.transport import Transport
from qawait.ibm.wire import Request
from support.calls import BODY, closed_port, failure, post
from support.tcp import answer, once, read_request, reset, tcp_server

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_a_refused_connection_is_not_sent() -> None:
    """Nothing listens: not sent, and the error names the host."""
    error = await failure(await closed_port())
    assert isinstance(error, NotSentError)
    assert "127.0.0.1" in str(error)


async def test_an_unknown_host_is_not_sent() -> None:
    """A name that does not resolve: not sent."""
    assert isinstance(await failure("https://nowhere.invalid"), NotSentError)


async def test_a_failed_tls_handshake_is_not_sent() -> None:
    """A server that does not speak TLS: not sent."""

    async def plain(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(plain) as origin:
        error = await failure(origin.replace("http:", "https:"))
    assert isinstance(error, NotSentError)


async def test_a_stalled_tls_handshake_is_not_sent() -> None:
    """A deadline that passes before the connection stands: not sent."""

    async def silent(stream: SocketStream) -> None:
        await stream.receive()
        await anyio.sleep_forever()

    async with tcp_server(silent) as origin:
        error = await failure(origin.replace("http:", "https:"), post(deadline=0.2))
    assert isinstance(error, NotSentError)


async def test_a_deadline_in_the_queue_for_a_connection_is_not_sent() -> None:
    """A call that never gets its turn was not sent."""
    held, arrived = limits.REQUESTS_IN_FLIGHT, anyio.Event()

    async def silent(stream: SocketStream) -> None:
        nonlocal held
        await read_request(stream)
        held -= 1
        if not held:
            arrived.set()
        await anyio.sleep_forever()

    async with tcp_server(silent) as origin:
        transport = Transport(origin)
        async with anyio.create_task_group() as group:
            for _ in range(held):
                group.start_soon(transport.send, post(deadline=60), {})
            await arrived.wait()
            with pytest.raises(NotSentError):
                await transport.send(post(deadline=0.1), {})
            group.cancel_scope.cancel()
        await transport.aclose()


@pytest.mark.parametrize("seen", [0, 20, 150, 10_000], ids=["accept", "head", "body", "whole"])
async def test_a_reset_is_unknown(seen: int) -> None:
    """RST at once, within the head, within the body or after the request: unknown each time."""
    request = post(body=b"x" * 9_000)

    async def handler(stream: SocketStream) -> None:
        if seen >= 10_000:
            await read_request(stream)
        elif seen:
            await stream.receive(seen)
        await reset(stream)

    async with tcp_server(handler) as origin:
        error = await failure(origin, request)
    assert isinstance(error, UnknownOutcomeError)


async def test_a_close_without_an_answer_is_unknown() -> None:
    """FIN after the whole request: unknown."""
    async with tcp_server(once(b"")) as origin:
        assert isinstance(await failure(origin), UnknownOutcomeError)


async def test_silence_is_unknown_at_the_deadline() -> None:
    """No answer at all: unknown, when the deadline passes."""

    async def silent(stream: SocketStream) -> None:
        await read_request(stream)
        await anyio.sleep_forever()

    async with tcp_server(silent) as origin:
        started = anyio.current_time()
        error = await failure(origin, post(deadline=0.3))
    assert isinstance(error, UnknownOutcomeError)
    assert anyio.current_time() - started < 1.0


@pytest.mark.parametrize("dripping", ["head", "body"])
async def test_the_deadline_beats_a_slow_drip(dripping: str) -> None:
    """One byte per 30 ms keeps every read alive, and still the call ends in time."""
    whole = answer(BODY)
    start = 0 if dripping == "head" else len(whole) - len(BODY)

    async def drip(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(whole[:start])
        for byte in whole[start:]:
            await stream.send(bytes([byte]))
            await anyio.sleep(0.03)

    async with tcp_server(drip) as origin:
        started = anyio.current_time()
        error = await failure(origin, post(deadline=0.3))
    assert isinstance(error, UnknownOutcomeError)
    assert anyio.current_time() - started < 1.0


async def test_a_reset_within_the_body_is_unknown() -> None:
    """An answer whose rest is lost is a lost answer."""

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer(BODY, length=5_000))
        await anyio.sleep(0.05)
        await reset(stream)

    async with tcp_server(handler) as origin:
        assert isinstance(await failure(origin), UnknownOutcomeError)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(BODY, length=len(BODY) + 1), id="short of its length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + BODY, id="no length"),
        pytest.param(
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n',
            id="no last chunk",
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", id="1 MB header"),
        pytest.param(answer(BODY, headers=("Content-Encoding: br",)), id="unknown encoding"),
        pytest.param(
            answer(gzip.compress(gzip.compress(BODY)), headers=("Content-Encoding: gzip, gzip",)),
            id="stacked encodings",
        ),
        pytest.param(
            answer(gzip.compress(BODY)[:-9], headers=("Content-Encoding: gzip",)), id="cut gzip"
        ),
        pytest.param(
            answer(gzip.compress(BODY) + b"more", headers=("Content-Encoding: gzip",)),
            id="gzip and more",
        ),
        pytest.param(
            answer(gzip.compress(BODY)[:-8] + b"\0" * 8, headers=("Content-Encoding: gzip",)),
            id="gzip with a wrong checksum",
        ),
        pytest.param(answer(BODY, headers=("Content-Encoding: gzip",)), id="no gzip at all"),
        pytest.param(answer(b"x" * 200_000), id="too large"),
        pytest.param(
            answer(gzip.compress(b"x" * 200_000), headers=("Content-Encoding: gzip",)),
            id="too large unpacked",
        ),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", id="101"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n\r\n", id="304"),
        pytest.param(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", id="999"),
    ],
)
async def test_a_malformed_answer_is_a_protocol_error(said: bytes) -> None:
    """An answer that came and is not whole and plain is never taken for a value."""
    async with tcp_server(once(said)) as origin:
        assert isinstance(await failure(origin), ProtocolError)


async def test_an_endless_body_is_cut_off() -> None:
    """A chunked body without end stops at the limit, not at the deadline."""

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    async with tcp_server(handler) as origin:
        started = anyio.current_time()
        error = await failure(origin, post(deadline=10))
    assert isinstance(error, ProtocolError)
    assert anyio.current_time() - started < 3


async def test_every_cut_of_an_answer_is_an_error() -> None:
    """Whatever byte an answer ends at, no value comes of it."""
    whole = answer(gzip.compress(BODY), headers=("Content-Encoding: gzip",))
    cut = 0

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(whole[:cut])

    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        for cut in range(len(whole)):  # noqa: B007 - the handler reads it
            with pytest.raises((UnknownOutcomeError, ProtocolError)):
                await transport.send(post(), {})
        await transport.aclose()


async def test_a_connection_the_server_closed_while_idle_is_never_called_not_sent() -> None:
    """A request on a kept connection that has died is answered on a new one, or unknown."""
    async with tcp_server(once(answer(BODY))) as origin:
        transport = Transport(origin)
        for _ in range(20):
            try:
                reply = await transport.send(post(), {})
                assert reply.body == BODY
            except UnknownOutcomeError:
                pass
        await transport.aclose()


async def test_an_early_refusal_of_a_large_request_is_read() -> None:
    """A server that answers 413 and closes before it has read all is understood."""

    async def handler(stream: SocketStream) -> None:
        await stream.receive(100)
        await stream.send(answer(b"{}", status="413 Too Large", headers=("Connection: close",)))
        await anyio.sleep(0.2)

    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        reply = await transport.send(post(body=b"x" * 1000), {})
        await transport.aclose()
    assert reply.status == 413


async def test_a_fault_leaves_the_transport_usable() -> None:
    """After an answer that was refused midway the next call works."""
    said = [answer(b"x" * 200_000), answer(BODY)]

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(said.pop(0))

    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        with pytest.raises(ProtocolError):
            await transport.send(post(), {})
        assert (await transport.send(post(), {})).body == BODY
        await transport.aclose()


async def test_a_cancellation_passes_and_leaves_the_transport_usable() -> None:
    """A cancelled call ends at once, is not swallowed, and gives its connection back."""

    async def handler(stream: SocketStream) -> None:
        if b"/slow" in await read_request(stream):
            await anyio.sleep_forever()
        await stream.send(answer(BODY))

    slow = Request(name="GET /slow", method="GET", path="/slow", deadline=5)
    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        for _ in range(20):
            with anyio.move_on_after(0.02) as scope:
                await transport.send(slow, {})
            assert scope.cancelled_caught
        assert (await transport.send(post(), {})).body == BODY
        await transport.aclose()


async def test_downloads_leave_room_for_small_calls() -> None:
    """However many results are under way, a cancel gets its connection at once."""
    under_way, busy = 0, anyio.Event()

    async def handler(stream: SocketStream) -> None:
        nonlocal under_way
        if b"/results" in await read_request(stream):
            under_way += 1
            if under_way == limits.BULK_IN_FLIGHT:
                busy.set()
            await anyio.sleep_forever()
        await stream.send(answer(BODY))

    results = Request(name="GET", method="GET", path="/results", deadline=60, bulk=True)
    async with tcp_server(handler) as origin:
        transport = Transport(origin)
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(transport.send, results, {})
            await busy.wait()
            assert (await transport.send(post(deadline=30), {})).status == 200
            group.cancel_scope.cancel()
        await transport.aclose()
