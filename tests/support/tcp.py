"""Servers on the loopback that answer with exactly the bytes, or the fault, a test wants."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.abc import ByteReceiveStream, SocketStream

    Handler = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def tcp_server(handler: Handler) -> AsyncIterator[str]:
    """Serve each connection with `handler`; give the origin `http://127.0.0.1:port`."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            try:
                await handler(stream)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return  # the client has gone

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, serve)
        try:
            yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        finally:
            group.cancel_scope.cancel()


async def read_request(stream: ByteReceiveStream) -> bytes:
    """Return one whole request: its head and as much body as it announces."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def always(answer: bytes) -> Handler:
    """Answer every request of a connection with these bytes."""

    async def handler(stream: SocketStream) -> None:
        while True:
            await read_request(stream)
            await stream.send(answer)

    return handler


def once(answer: bytes) -> Handler:
    """Answer the first request with these bytes, then close."""

    async def handler(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(answer)

    return handler


async def reset(stream: SocketStream) -> None:
    """Close a connection with RST instead of FIN."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


def answer(
    body: bytes = b"{}", *, status: str = "200 OK", headers: tuple[str, ...] = (), length: int = -1
) -> bytes:
    """Return a whole HTTP/1.1 answer; a length below 0 is the body's own."""
    size = len(body) if length < 0 else length
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body
