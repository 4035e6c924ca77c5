"""A small fast server on the loopback for benchmarks: HTTP and TLS, in a process of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOB = "d95d48073c2d94079899"
RECORD = json.dumps(
    {
        "id": JOB,
        "backend": "ibm_fez",
        "state": {"status": "Queued"},
        "status": "Queued",
        "program": {"id": "sampler"},
        "created": "2026-01-01T00:00:00.000000Z",
        "tags": ["t" * 40, "c" * 40],
        "filler": "x" * 300,
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(RECORD),
    RECORD,
)
CANCELLED = b"HTTP/1.1 204 No Content\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers each request at once, `/slow` never, and keeps when cancels came."""

    came: list[float] = []  # noqa: RUF012 - one server, one list

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; none of these requests has a body."""
        *whole, self.waiting = (self.waiting + data).split(b"\r\n\r\n")
        for request in whole:
            target = request.split(b" ", 2)[1]
            if target.endswith(b"/cancel"):
                self.came.append(time.monotonic())
                self.transport.write(CANCELLED)
            elif target == b"/came":
                body = json.dumps(self.came).encode()
                self.came.clear()
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                self.transport.write(head + body)
            elif b"/slow" not in target:
                self.transport.write(ANSWER)


class Server2(asyncio.Protocol):
    """Answers each request of HTTP/2 at once, with the same record."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak HTTP/2."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self.transport = cast("asyncio.Transport", transport)
        self.speaker = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.speaker.initiate_connection()
        self.transport.write(self.speaker.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; none of these requests has a body."""
        from h2.events import StreamEnded

        head = [(":status", "200"), ("content-type", "application/json")]
        for event in self.speaker.receive_data(data):
            if isinstance(event, StreamEnded):
                self.speaker.send_headers(event.stream_id, head)
                self.speaker.send_data(event.stream_id, RECORD, end_stream=True)
        self.transport.write(self.speaker.data_to_send())


async def listen(folder: Path) -> None:
    """Serve HTTP and TLS, then both again as HTTP/2."""
    loop = asyncio.get_running_loop()
    await until_closed(
        *[
            await loop.create_server(made, "127.0.0.1", 0, ssl=tls, backlog=2048)
            for made, alpn in ((Server, "http/1.1"), (Server2, "h2"))
            for tls in (None, server_context(folder, alpn))
        ]
    )


def server_context(folder: Path, alpn: str = "http/1.1") -> ssl.SSLContext:
    """Return the TLS of a server with the certificate of this run."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    tls.set_alpn_protocols([alpn])
    return tls


async def until_closed(*servers: asyncio.Server) -> None:
    """Print the servers' ports, and serve until the standard input is closed."""
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def certify(folder: Path) -> None:
    """Make a certificate for 127.0.0.1 that lasts a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def pinned(number: int) -> Callable[[], None]:
    """Return what ties a process to a processor."""
    cpus = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cpus[number % len(cpus)]})


@contextmanager
def served(folder: Path, script: str = __file__, *arguments: str) -> Iterator[list[str]]:
    """Run a server on the other processor; give its origins, every second of which has TLS."""
    process = subprocess.Popen(
        [sys.executable, script, str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pinned(1),  # noqa: PLW1509 - no threads here
    )
    assert process.stdout is not None
    assert process.stdin is not None
    ports = process.stdout.readline().split()
    schemes = [("http", "https")[place % 2] for place in range(len(ports))]
    try:
        yield [f"{s}://127.0.0.1:{port}" for s, port in zip(schemes, ports, strict=True)]
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(listen(Path(sys.argv[1])))
