"""Serving a gateway: an end that keeps nobody waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from qawait import limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from qawait.gateway.app import Gateway

_START_FAILED = 3


class GatewayServer(uvicorn.Server):
    """Ends the gateway's streams first when it is to end: they would never end by themselves."""

    def __init__(
        self, config: uvicorn.Config, gateway: Gateway, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is under way, then apply each job's policy."""
        self._gateway.stop()
        await super().shutdown(sockets=sockets)


def run(gateway: Gateway, sock: socket.socket, announce: Callable[[], None]) -> int:
    """Serve on a socket until SIGTERM or Ctrl-C, and return the exit code."""
    config = uvicorn.Config(
        gateway,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=limits.GATEWAY_KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=limits.GATEWAY_STOP_SECONDS,
    )
    server = GatewayServer(config, gateway, announce)
    server.run(sockets=[sock])
    return 0 if server.started else _START_FAILED
