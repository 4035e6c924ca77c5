"""Requests and answers over connections of our own: what is read, refused, shown and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.wire import Request
from qawait.secret import Secret
from support.counted import connected, get
from support.leaks import shown
from support.tcp import answer, read_request

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

TOKEN = Secret("canary-token")
SPLIT = Secret("canary\r\nX: y")
KEYS = Secret("canary-key" * 10**6)


@pytest.mark.parametrize("later", [False, True])
async def test_a_second_answer_is_given_to_nobody(later: bool) -> None:  # noqa: FBT001 - a parameter
    """Bytes after an answer cost the connection: the next request reads its own answer."""
    forged = answer(b"forged")

    async def twice(stream: SocketStream) -> None:
        body = answer((await read_request(stream)).split()[1])
        if later:
            await stream.send(body)
            await anyio.sleep(0.01)
            await stream.send(forged)
        else:
            await stream.send(body + forged)
        await anyio.sleep_forever()

    async with connected(twice) as (transport, _):
        for path in ("/a", "/b", "/c"):
            assert (await transport.send(get(path), {})).body == path.encode()
            await anyio.sleep(0.03)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"x"),
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 \r\n\r\n" + answer(b"x"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",
    ],
)
async def test_a_plain_answer_is_read_byte_by_byte(said: bytes) -> None:
    """Provisional heads are read past, and it does not matter how the bytes come."""

    async def drip(stream: SocketStream) -> None:
        while True:
            await read_request(stream)
            for byte in said:
                await stream.send(bytes([byte]))
                await anyio.lowlevel.checkpoint()

    async with connected(drip) as (transport, _):
        for _ in range(2):
            assert (await transport.send(get(), {})).body == b"x"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        b"HTTP/1.1 100 Continue\r\n\r\n" + b"S",
    ],
)
async def test_an_ambiguous_answer_is_refused(said: bytes) -> None:
    """It is malformed, whatever a lenient reader would make of it."""

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(said)

    async with connected(handler) as (transport, _):
        with pytest.raises(ProtocolError):
            await transport.send(get(), {})


async def test_endless_provisional_answers_are_refused() -> None:
    """An answer that only ever announces another is none."""

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        while True:
            await stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async with connected(handler) as (transport, _):
        with pytest.raises(ProtocolError):
            await transport.send(get(), {})


async def test_a_refusal_ends_a_large_request() -> None:
    """A server that answers and reads no further is understood; what is left stays here."""
    received: list[int] = []

    async def refuse(stream: SocketStream) -> None:
        received.append(len(await stream.receive(1000)))
        await stream.send(answer(b"{}", status="413 Too Large"))
        await anyio.sleep_forever()

    async with connected(refuse) as (transport, _):
        large = Request(name="POST", method="POST", path="/x", body=b"x" * 2**24, deadline=3.0)
        for _ in range(2):
            assert (await transport.send(large, {})).status == 413
    assert len(received) == 2, "half a request must not be followed by another"


async def test_a_large_request_arrives_whole() -> None:
    """And its connection is used again."""
    sizes: list[int] = []

    async def handler(stream: SocketStream) -> None:
        while True:
            sizes.append(len((await read_request(stream)).partition(b"\r\n\r\n")[2]))
            await stream.send(answer())

    async with connected(handler) as (transport, _):
        large = Request(name="POST", method="POST", path="/x", body=b"x" * 2**20, deadline=3.0)
        for _ in range(3):
            await transport.send(large, {})
    assert sizes == [2**20] * 3


async def test_a_large_request_that_is_cancelled_shows_nothing() -> None:
    """Neither header nor body is in the frames of the cancellation."""
    caught: list[BaseException] = []

    async def silent(stream: SocketStream) -> None:  # noqa: ARG001 - it reads nothing
        await anyio.sleep_forever()

    large = Request(name="POST", method="POST", path="/x", body=KEYS, deadline=3.0)
    async with connected(silent) as (transport, _):
        with anyio.move_on_after(0.1):
            try:
                await transport.send(large, {"Authorization": TOKEN})
            except BaseException as error:
                caught.append(error)
                raise
    text = shown(caught[0])  # before an assertion puts its words into this frame
    assert "canary" not in text


async def test_a_header_that_holds_a_line_break_is_not_sent() -> None:
    """Nothing arrives, and the error does not show the value."""
    async with connected() as (transport, seen):
        with pytest.raises(ConfigError) as caught:
            await transport.send(get(), {"Authorization": SPLIT})
        assert seen.paths in ([], [[]])
    text = shown(caught.value)  # as above
    assert "canary" not in text


async def test_a_new_token_is_sent_at_once() -> None:
    """Written headers are kept for those they were written for only."""
    heads: list[bytes] = []

    async def handler(stream: SocketStream) -> None:
        while True:
            heads.append(await read_request(stream))
            await stream.send(answer())

    async with connected(handler) as (transport, _):
        for token in ("canary", "canary", "b", "canary"):
            await transport.send(get(), {"Authorization": Secret(token)})
        assert "canary" not in repr(vars(transport._carrier))
    assert [b"Authorization: canary\r\n" in head for head in heads] == [True, True, False, True]
