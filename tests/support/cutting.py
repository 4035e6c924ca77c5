"""A TCP proxy that cuts the connection of one request after so many bytes."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import SocketStream

Side = Literal["request", "answer"]
_GONE = (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError)


@dataclass(slots=True)
class Cut:
    """Where the next submit is cut, and how; `None` lets it pass."""

    after: int | None = None
    side: Side = "request"
    reset: bool = False
    request_bytes: int = 0
    answer_bytes: int = 0
    done: bool = False


class CuttingProxy:
    """Passes bytes on, both ways, and cuts one request where it is told to.

    That is the first whose head has all of `marks` in it; by default, a submit.
    """

    def __init__(self, port: int, marks: Sequence[bytes]) -> None:
        self._upstream = port
        self._marks = marks
        self.cut = Cut()
        self.origin = ""

    async def serve(self, client: SocketStream) -> None:
        """Connect one client to the service."""
        async with client, await anyio.connect_tcp("127.0.0.1", self._upstream) as server:
            state = _Connection(self.cut)
            try:
                async with anyio.create_task_group() as group:

                    async def down() -> None:
                        await self._pass(server, client, state, "answer")
                        group.cancel_scope.cancel()

                    group.start_soon(down)
                    await self._pass(client, server, state, "request")
                    group.cancel_scope.cancel()
            finally:
                if state.is_reset:
                    _set_reset(client)

    async def _pass(
        self, source: SocketStream, sink: SocketStream, state: _Connection, side: Side
    ) -> None:
        try:
            while True:
                data = await source.receive()
                if side == "request" and all(mark in data for mark in self._marks):
                    state = state.begin(self.cut)
                allowed = state.allowed(data, side)
                if allowed:
                    await sink.send(data[:allowed])
                if allowed < len(data):
                    return
        except _GONE:
            return


class _Connection:
    """What one connection has carried of the submit that is to be cut."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._is_submit = False
        self._passed = {"request": 0, "answer": 0}
        self.is_reset = False

    def begin(self, cut: Cut) -> _Connection:
        """Notice that a submit begins here; only the first is cut."""
        self._cut = cut
        self._is_submit = not cut.done
        cut.done = True
        self._passed = {"request": 0, "answer": 0}
        return self

    def allowed(self, data: bytes, side: Side) -> int:
        """Return how much of the data may pass."""
        if not self._is_submit:
            return len(data)
        before = self._passed[side]
        self._passed[side] += len(data)
        self._cut.request_bytes, self._cut.answer_bytes = self._passed.values()
        if side != self._cut.side or self._cut.after is None:
            return len(data)
        left = self._cut.after - before
        if left >= len(data):
            return len(data)
        self.is_reset = self._cut.reset
        return max(left, 0)


def _set_reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def cutting_proxy(
    port: int, marks: Sequence[bytes] = (b"POST ", b"/jobs HTTP")
) -> AsyncIterator[CuttingProxy]:
    """Run a proxy in front of a service on a loopback port."""
    proxy = CuttingProxy(port, marks)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        proxy.origin = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.start_soon(listener.serve, proxy.serve)
        try:
            yield proxy
        finally:
            group.cancel_scope.cancel()
