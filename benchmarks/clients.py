"""The clients that are measured: ours, httpx's, aiohttp's, and bare streams as the limit."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from loopback import JOB

from qawait.ibm.transport import Transport
from qawait.ibm.wire import jobs
from qawait.secret import Secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

TOKEN = "x" * 900
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"
HEADERS: dict[str, str | Secret] = {
    "Authorization": Secret(f"Bearer {TOKEN}"),
    "Service-CRN": CRN,
    "IBM-API-Version": "2026-04-15",
    "User-Agent": "qawait/bench",
    "X-Qx-Client-Application": "qawait/bench",
}
PLAIN = {
    name: value.reveal() if isinstance(value, Secret) else value for name, value in HEADERS.items()
}
RAW = "\r\n".join(
    (
        f"GET /api/v1/jobs/{JOB}?exclude_params=true HTTP/1.1",
        *(f"{name}: {value}" for name, value in PLAIN.items()),
        "Host: 127.0.0.1",
        "Accept: application/json",
        "",
        "",
    )
).encode()


class Client(Protocol):
    """Asks and cancels."""

    async def ask(self) -> object:
        """Ask for the status of a job, and read the answer's JSON."""

    async def hang(self) -> object:
        """Ask what is never answered."""

    async def cancel(self) -> object:
        """Cancel a job."""

    async def aclose(self) -> None:
        """Close the connections."""


class Ours:
    """Our transport."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        self.transport = Transport(f"{origin}/api/v1", verify=tls)

    async def ask(self) -> object:
        """Ask for the status of a job."""
        return json.loads((await self.transport.send(jobs.get(JOB), HEADERS)).body)

    async def hang(self) -> object:
        """Ask what is never answered."""
        self.transport.keep_warm()
        return await self.transport.send(jobs.get("slow"), HEADERS)

    async def cancel(self) -> object:
        """Cancel a job."""
        return await self.transport.send(jobs.cancel(JOB), HEADERS)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()


class Httpx:
    """A client of httpx as it comes, without time-outs."""

    size: int | None = 100
    http2 = False

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        import httpx

        self.http = httpx.AsyncClient(
            base_url=f"{origin}/api/v1",
            verify=tls,
            headers=PLAIN,
            http1=not self.http2,
            http2=self.http2,
            timeout=None,  # noqa: S113 - with one, most of 1,000 requests fail
            limits=httpx.Limits(max_connections=self.size, max_keepalive_connections=self.size),
        )

    async def ask(self) -> object:
        """Ask for the status of a job."""
        return (await self.http.get(f"/jobs/{JOB}", params={"exclude_params": "true"})).json()

    async def hang(self) -> object:
        """Ask what is never answered."""
        return await self.http.get("/jobs/slow")

    async def cancel(self) -> object:
        """Cancel a job."""
        return await self.http.post(f"/jobs/{JOB}/cancel")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()


class Httpx32(Httpx):
    """The same with 32 connections."""

    size = 32


class Http2(Httpx):
    """The same as HTTP/2, spoken by h2."""

    http2 = True


class Aiohttp:
    """A session of aiohttp as it comes, without time-outs."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        import aiohttp

        self.base = f"{origin}/api/v1"
        self.http = aiohttp.ClientSession(
            headers=PLAIN,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(ssl=tls),
        )

    async def ask(self) -> object:
        """Ask for the status of a job."""
        params = {"exclude_params": "true"}
        async with self.http.get(f"{self.base}/jobs/{JOB}", params=params) as answer:
            return await answer.json()

    async def hang(self) -> object:
        """Ask what is never answered."""
        async with self.http.get(f"{self.base}/jobs/slow") as answer:
            return await answer.read()

    async def cancel(self) -> object:
        """Cancel a job."""
        async with self.http.post(f"{self.base}/jobs/{JOB}/cancel") as answer:
            return await answer.read()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.close()


class Raw:
    """Bytes on the streams of asyncio or trio, nothing checked: the limit."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        self.port = int(origin.rpartition(":")[2])
        self.tls = tls if origin.startswith("https") else None
        self.idle: list[tuple[Any, Any]] = []
        self.slots = anyio.Semaphore(32, fast_acquire=True)

    async def open(self) -> tuple[Any, Any]:
        """Return what sends and what receives on a new connection."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            import trio

            stream: Any = await trio.open_tcp_stream("127.0.0.1", self.port)
            if self.tls is not None:
                stream = trio.SSLStream(
                    stream, self.tls, server_hostname="127.0.0.1", https_compatible=True
                )
            return stream.send_all, stream.receive_some
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)

        async def send(data: bytes) -> None:
            writer.write(data)

        return send, reader.read

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes and return what comes, all of it if that is one piece."""
        async with self.slots:
            connection = self.idle.pop() if self.idle else await self.open()
            send, receive = connection
            await send(data)
            came: bytes = await receive(65536)
            self.idle.append(connection)
            return came

    async def ask(self) -> object:
        """Ask for the status of a job."""
        return json.loads((await self.exchange(RAW)).partition(b"\r\n\r\n")[2])

    async def hang(self) -> object:
        """Ask what is never answered, on a connection that then is lost."""
        return await self.exchange(b"GET /slow HTTP/1.1\r\n\r\n")

    async def cancel(self) -> object:
        """Cancel a job."""
        return await self.exchange(b"POST /cancel HTTP/1.1\r\n\r\n")

    async def aclose(self) -> None:
        """Leave the connections to the end of the process."""


CLIENTS: dict[str, Callable[[str, ssl.SSLContext], Client]] = {
    "httpx": Httpx,
    "httpx, HTTP/2": Http2,
    "aiohttp": Aiohttp,
    "httpx, 32 connections": Httpx32,
    "qawait": Ours,
    "raw": Raw,
}
