"""One call through the transport, and what becomes of it."""

from __future__ import annotations

import pytest

from qawait.errors import QawaitError
from qawait.ibm.transport import Transport
from qawait.ibm.wire import Request
from support.tcp import once, tcp_server

BODY = b'{"id":"job1","state":{"status":"Queued"}}'


def post(*, deadline: float = 2.0, max_bytes: int = 100_000, body: bytes = b"x" * 64) -> Request:
    """Return a request that makes a job."""
    return Request(
        name="POST /jobs",
        method="POST",
        path="/jobs",
        body=body,
        content_type="application/json",
        deadline=deadline,
        max_bytes=max_bytes,
    )


async def failure(origin: str, request: Request | None = None) -> QawaitError:
    """Return the error of one call to a server."""
    transport = Transport(origin)
    try:
        with pytest.raises(QawaitError) as caught:
            await transport.send(request or post(), {})
    finally:
        await transport.aclose()
    return caught.value


async def closed_port() -> str:
    """Return the origin of a server that has gone."""
    async with tcp_server(once(b"")) as origin:
        return origin
