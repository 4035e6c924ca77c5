"""Serving a gateway: an end that keeps nobody waiting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import uvicorn

from qawait import limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from qawait.gateway.app import Gateway


def _is_not_startup(record: logging.LogRecord) -> bool:
    """Keep back the traceback of a start that failed: the command says why in one line."""
    return not record.getMessage().startswith(("Traceback", "Application startup failed"))


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
    """Serve on a socket until SIGTERM or Ctrl-C, and return the exit code.

    Raises:
        QawaitError: the gateway could not start.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_not_startup)
    config = uvicorn.Config(
        gateway,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=limits.GATEWAY_KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=limits.GATEWAY_STOP_SECONDS,
    )
    server = GatewayServer(config, gateway, announce)
    try:
        server.run(sockets=[sock])
    finally:  # uvicorn leaves by `sys.exit` when it cannot start
        if gateway.failure is not None:
            raise gateway.failure
    return 0
