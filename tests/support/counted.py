"""A server that keeps count of its connections, and a transport to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from qawait.ibm.transport import Transport
from qawait.ibm.wire import Request
from support.tcp import answer, read_request, tcp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

    from support.tcp import Handler


def get(path: str = "/x", *, deadline: float = 3.0) -> Request:
    """Return a query."""
    return Request(name="GET /x", method="GET", path=path, deadline=deadline)


def cancel() -> Request:
    """Return a cancel."""
    return Request(name="POST /cancel", method="POST", path="/cancel", deadline=3.0, urgent=True)


@dataclass
class Seen:
    """What a server saw: the paths asked for, by connection, and how many of these are open."""

    paths: list[list[str]] = field(default_factory=list)
    open: int = 0

    @property
    def used(self) -> list[int]:
        """How many requests came on each connection."""
        return [len(paths) for paths in self.paths]

    async def serve(self, stream: SocketStream) -> None:
        """Answer everything but `/slow`."""
        mine: list[str] = []
        self.paths.append(mine)
        self.open += 1
        try:
            while True:
                path = (await read_request(stream)).split()[1].decode()
                mine.append(path)
                if path != "/slow":
                    await stream.send(answer(path.encode()))
        finally:
            self.open -= 1


async def until_open(seen: Seen, count: int) -> None:
    """Return once the server has so many connections."""
    with anyio.fail_after(3):
        while seen.open != count:  # noqa: ASYNC110 - the other side of a socket
            await anyio.sleep(0.002)


async def until_asked(seen: Seen, path: str) -> None:
    """Return once the server was asked for a path."""
    with anyio.fail_after(3):
        while not any(path in paths for paths in seen.paths):  # noqa: ASYNC110 - as above
            await anyio.sleep(0.002)


@asynccontextmanager
async def connected(handler: Handler | None = None) -> AsyncIterator[tuple[Transport, Seen]]:
    """Give a transport to a server of its own."""
    seen = Seen()
    async with tcp_server(handler or seen.serve) as origin:
        transport = Transport(origin)
        try:
            yield transport, seen
        finally:
            await transport.aclose()


async def give_up(transport: Transport, seen: Seen) -> None:
    """Cancel a query while it waits for its answer."""
    async with anyio.create_task_group() as group:
        group.start_soon(transport.send, get("/slow"), {})
        await until_asked(seen, "/slow")
        group.cancel_scope.cancel()
