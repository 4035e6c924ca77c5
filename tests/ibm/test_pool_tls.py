"""Connections that are encrypted, and such as lead through a proxy."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.streams.tls import TLSAttribute, TLSStream

from qawait.errors import ConfigError, NotSentError
from qawait.ibm.transport import Transport
from qawait.ibm.wire import Request
from qawait.secret import Secret
from support.leaks import shown
from support.tcp import answer, read_request, tcp_server
from support.tls import certificate, client_side, server_side

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from anyio.abc import ByteStream, SocketStream

pytestmark = pytest.mark.anyio

LOGIN = "us%40er:canary-p%3Ass"
PASSWORD_IN_PORT = Secret("http://user:canary#x@127.0.0.1")


def get(path: str = "/x") -> Request:
    """Return a query."""
    return Request(name="GET /x", method="GET", path=path, deadline=3.0)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one certificate for all tests here."""
    return certificate(tmp_path_factory.mktemp("tls"))


def echo(pem: Path, seen: list[str]) -> Callable[[ByteStream], Awaitable[None]]:
    """Return a server that answers with the path, and notes the protocol that was agreed on."""

    async def handler(stream: ByteStream) -> None:
        try:
            tls = await TLSStream.wrap(
                stream,
                server_side=True,
                ssl_context=server_side(pem),
                standard_compatible=False,
            )
        except ssl.SSLError:
            return
        seen.append(str(tls.extra(TLSAttribute.alpn_protocol)))
        while True:
            await tls.send(answer((await read_request(tls)).split()[1]))

    return handler


async def test_an_encrypted_connection_is_used_again(pem: Path) -> None:
    """What TLS itself sends between two answers is not taken for the end."""
    seen: list[str] = []
    async with tcp_server(echo(pem, seen)) as origin:
        transport = Transport(origin.replace("http:", "https:"), verify=client_side(pem))
        for number in range(10):
            assert (await transport.send(get(f"/{number}"), {})).body == b"/%d" % number
            await anyio.sleep(0.003)
        await transport.aclose()
    assert seen == ["http/1.1"]


async def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    """Nothing is sent, and the error says why."""
    other = certificate(tmp_path, address="127.0.0.2")
    async with tcp_server(echo(other, [])) as origin:
        transport = Transport(origin.replace("http:", "https:"), verify=client_side(other))
        with pytest.raises(NotSentError, match="IP address mismatch"):
            await transport.send(get(), {})
        await transport.aclose()


async def test_a_certificate_that_nobody_signed_is_refused(pem: Path) -> None:
    """Nothing is sent, and the error says why."""
    async with tcp_server(echo(pem, [])) as origin:
        transport = Transport(origin.replace("http:", "https:"))
        with pytest.raises(NotSentError, match="self-signed certificate"):
            await transport.send(get(), {})
        await transport.aclose()


async def test_a_large_encrypted_request_arrives_whole(pem: Path) -> None:
    """While an early answer is looked out for, and its connection is used again."""
    seen: list[str] = []
    async with tcp_server(echo(pem, seen)) as origin:
        transport = Transport(origin.replace("http:", "https:"), verify=client_side(pem))
        body = b"x" * 2**20
        large = Request(name="POST", method="POST", path="/x", body=body, deadline=5.0)
        for _ in range(2):
            assert (await transport.send(large, {})).body == b"/x"
        await transport.aclose()
    assert len(seen) == 1


async def test_a_proxy_is_asked_for_a_tunnel(pem: Path) -> None:
    """It learns the host and its own password; the request goes through encrypted."""
    heads: list[bytes] = []

    async def proxy(stream: SocketStream) -> None:
        heads.append(await read_request(stream))
        await stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await echo(pem, [])(stream)

    async with tcp_server(proxy) as origin:
        through = Secret(origin.replace("http://", f"http://{LOGIN}@"))
        transport = Transport("https://127.0.0.1:4433", verify=client_side(pem), proxy=through)
        for _ in range(2):
            assert (await transport.send(get(), {"A": Secret("canary-token")})).body == b"/x"
        await transport.aclose()
    [head] = heads
    login = base64.b64encode(b"us@er:canary-p:ss")
    assert head.startswith(b"CONNECT 127.0.0.1:4433 HTTP/1.1\r\nHost: 127.0.0.1:4433\r\n")
    assert b"Proxy-Authorization: Basic %s\r\n" % login in head
    assert b"canary" not in head


def test_a_proxy_that_is_none_is_not_quoted() -> None:
    """A password may be where its port should be."""
    with pytest.raises(ConfigError) as caught:
        Transport("https://127.0.0.1", proxy=PASSWORD_IN_PORT)
    text = shown(caught.value)
    assert "canary" not in text


async def test_this_machine_is_reached_without_a_proxy() -> None:
    """Plain text never leaves it."""

    async def plain(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer(b"direct"))

    async with tcp_server(plain) as origin:
        transport = Transport(origin, proxy=Secret("http://127.0.0.1:9"))
        assert (await transport.send(get(), {})).body == b"direct"
        await transport.aclose()


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a proxy that the account names sees a request."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def silent(stream: SocketStream) -> None:
        seen.append(await stream.receive())

    seen: list[bytes] = []
    async with tcp_server(silent) as origin:
        transport = Transport(origin.replace("http:", "https:"))
        with pytest.raises(NotSentError):
            await transport.send(get(), {})
        await transport.aclose()
    assert len(seen) == 1
