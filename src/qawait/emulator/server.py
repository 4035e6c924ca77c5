"""Serving the emulator: loopback sockets, one write per answer, faults on the connection."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .border import App, Receive, Scope, Send

HOSTS = ("127.0.0.1", "::1")
# Above this an answer goes out in parts: it would not fit one packet anyway.
FLUSH_FROM_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 1
BACKLOG = 2048


class CorkedTransport(asyncio.Transport):
    """A transport that sends what was written in one turn of the loop in one write.

    The server writes headers and body separately; on the wire they should be
    one packet, as from any real service.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep data for the end of this turn, or send at once if it is much."""
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size >= FLUSH_FROM_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is kept."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write several pieces."""
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is kept is lost."""
        self._parts.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether the connection is closing or closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of its socket."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take no more from the socket for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking from the socket."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._transport.set_protocol(protocol)


class SocketWire:
    """The connection beneath a request, for the faults that end it."""

    def __init__(self, transport: CorkedTransport) -> None:
        self._transport = transport
        self.gone = asyncio.Event()

    async def reset(self) -> None:
        """End the connection with a TCP reset, after what was written."""
        self._transport.flush()
        # Lingering for no time is what makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
        await self.gone.wait()

    async def finish(self) -> None:
        """End the connection with a FIN, after what was written."""
        self._transport.close()
        await self.gone.wait()


class EmulatorProtocol(H11Protocol):
    """uvicorn's HTTP protocol, corked, and telling the application of its socket."""

    # Narrower than asyncio's own, exactly as uvicorn has it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        corked = CorkedTransport(transport)
        self._wire = SocketWire(corked)
        super().connection_made(corked)
        self.app = _with_wire(self.app, self._wire)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is over."""
        super().connection_lost(exc)
        self._wire.gone.set()


def _with_wire(app: App, wire: SocketWire) -> App:
    async def wired(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {"qawait.wire": wire}
        await app(scope, receive, send)

    return wired


class EmulatorServer(uvicorn.Server):
    """A server that says when it listens, and ends without waiting for what hangs."""

    def __init__(self, app: App, on_listening: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=EmulatorProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,  # HTTP asks for it, and `qawait doctor` compares clocks by it
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End every connection first: what hangs would keep the server up."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, EmulatorProtocol):
                connection.transport.abort()
        await super().shutdown(sockets)

    def stop_at_eof(self, descriptor: int) -> None:
        """End when a pipe's other side closes, which it does however that process dies."""
        threading.Thread(target=self._watch, args=(descriptor,), daemon=True).start()

    def _watch(self, descriptor: int) -> None:
        # Reads the descriptor itself: a buffered file would be locked at exit.
        while os.read(descriptor, 4096):
            pass
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address; port 0 takes a free one."""
    if host not in HOSTS:
        raise ValueError(f"the emulator listens on loopback only, not on {host}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # asyncio sets TCP_NODELAY on each connection it accepts.
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def serve(server: EmulatorServer, sock: socket.socket) -> None:
    """Serve until a signal or the end of the parent."""
    asyncio.run(server.serve(sockets=[sock]))
