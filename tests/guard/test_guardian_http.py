"""The guardian's own HTTP, against a server that answers with exactly the bytes a test wants."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qawait.guard.guardian import Where
from qawait.secret import Secret
from support.guardians import Lone, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what the child is tested on")

LIVE = b'{"id": "J", "state": {"status": "Queued"}}'
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"


def whole(body: bytes, *headers: str) -> bytes:
    """Return a good answer."""
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def chunked(*pieces: bytes) -> bytes:
    """Return a good answer in chunks, with an extension and a trailer."""
    body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


class Server:
    """Answers each request, of whatever connection, with the next of its answers.

    After each of the first `torn` it closes the connection.
    """

    def __init__(
        self, *answers: bytes, torn: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answers = list(answers)
        self._torn = torn
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        """Serve no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(OSError, IndexError), stream:
                self._serve(stream)

    def _serve(self, stream: socket.socket) -> None:
        if self._context is not None:
            if self._answers[0].startswith(b"HTTP/1.1 200 Tunnel"):
                self._answer(stream)
            stream = self._context.wrap_socket(stream, server_side=True)
        with stream:
            while True:
                self._answer(stream)

    def _answer(self, stream: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = stream.recv(4096)
            if not piece:
                raise OSError
            head += piece
        self.heads.append(head.decode())
        answer = self._answers.pop(0)
        stream.sendall(answer)
        self._torn -= 1
        if self._torn >= 0 or b"Connection: close" in answer:
            raise OSError


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Give a maker of servers that are closed afterwards."""
    servers: list[Server] = []

    def make(*answers: bytes, **options: Any) -> Server:
        servers.append(Server(*answers, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def settle(url: str, **changes: Any) -> int:
    """Let a guardian settle one job at a URL, and return its exit code."""
    given: dict[str, Any] = {"headers": {"X": "y"}, "client_tag": "C", "seconds": 3.0, **changes}
    guardian = Lone()
    guardian.tell({"conf": Where(url=url, **given).message()}, {"token": "bearer"})
    guardian.tell(*opened("T", "J"))
    return guardian.end()


@pytest.mark.parametrize(
    "first",
    [
        whole(LIVE),
        whole(LIVE, "Connection: close"),
        chunked(LIVE),
        chunked(LIVE[:5], LIVE[5:6], LIVE[6:]),
        b"HTTP/1.1 100 Continue\r\n\r\n" + whole(LIVE),
    ],
)
def test_every_form_of_answer_is_read(serve: Callable[..., Server], first: bytes) -> None:
    """Plain, closing and chunked answers, also after an interim one, are understood."""
    server = serve(first, GONE)
    assert settle(f"http://127.0.0.1:{server.port}/api/v1") == 0
    first_line = server.heads[0].split("\r\n")[0]
    assert first_line == "GET /api/v1/jobs/J?exclude_params=true HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}\r\n" in server.heads[0]
    assert "X: y\r\n" in server.heads[0]
    assert "Authorization: Bearer bearer\r\n" in server.heads[1]
    assert "Content-Length: 0\r\n" in server.heads[1]


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + LIVE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + LIVE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + LIVE,
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id',
        b"HTTP/1.1 OK\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
def test_a_broken_answer_is_asked_for_again(serve: Callable[..., Server], first: bytes) -> None:
    """An answer that is torn, endless or no HTTP is lost, and the question put again."""
    server = serve(first, whole(LIVE), GONE, torn=1)
    assert settle(f"http://127.0.0.1:{server.port}/api/v1") == 0
    assert len(server.heads) == 3


def test_a_dripping_answer_ends_with_the_time(serve: Callable[..., Server]) -> None:
    """Nobody holds it up by answering for ever."""
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
    start = time.monotonic()
    assert settle(f"http://127.0.0.1:{server.port}", seconds=0.5) == 1
    assert time.monotonic() - start < 2.0


def test_a_service_that_is_away_is_tried_again() -> None:
    """A connection that is refused is tried again while there is time."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.monotonic()
    assert settle(f"http://127.0.0.1:{port}", seconds=0.5) == 1
    assert 0.4 < time.monotonic() - start < 2.0


def test_a_plain_service_is_asked_through_a_proxy(serve: Callable[..., Server]) -> None:
    """A proxy gets full URLs, and its own credentials."""
    proxy = serve(whole(LIVE), GONE)
    address = Secret(f"http://me:pass%20word@127.0.0.1:{proxy.port}")
    assert settle("http://service.invalid/api/v1", proxy=address) == 0
    assert proxy.heads[0].startswith("GET http://service.invalid/api/v1/jobs/J?")
    assert "Host: service.invalid\r\n" in proxy.heads[0]
    assert "Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in proxy.heads[0]


# --- encryption ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 and service.invalid; key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("service.invalid")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + made.public_bytes(pem))
    return file


def context_of(certificate: Path) -> ssl.SSLContext:
    """Return a server's side of the encryption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_an_encrypted_service_is_checked(serve: Callable[..., Server], certificate: Path) -> None:
    """A service whose certificate is signed by the given file is trusted."""
    server = serve(whole(LIVE), GONE, context=context_of(certificate))
    assert settle(f"https://127.0.0.1:{server.port}", ca_file=str(certificate)) == 0
    assert len(server.heads) == 2


def test_a_stranger_gets_nothing(serve: Callable[..., Server], certificate: Path) -> None:
    """A service that nobody vouches for is sent no request."""
    server = serve(whole(LIVE), GONE, context=context_of(certificate))
    assert settle(f"https://127.0.0.1:{server.port}", seconds=0.5) == 1
    assert server.heads == []


def test_another_name_gets_nothing(serve: Callable[..., Server], certificate: Path) -> None:
    """A service whose certificate is for another name is sent no request."""
    server = serve(whole(LIVE), GONE, context=context_of(certificate))
    url = f"https://localhost:{server.port}"
    assert settle(url, ca_file=str(certificate), seconds=0.5) == 1
    assert server.heads == []


def test_an_encrypted_service_is_reached_by_a_tunnel(
    serve: Callable[..., Server], certificate: Path
) -> None:
    """Through a proxy, the encryption is with the service; the proxy sees no bearer."""
    tunnel = b"HTTP/1.1 200 Tunnel\r\n\r\n"
    proxy = serve(tunnel, whole(LIVE), GONE, context=context_of(certificate))
    address = Secret(f"http://me:pw@127.0.0.1:{proxy.port}")
    url = "https://service.invalid/api/v1"
    assert settle(url, proxy=address, ca_file=str(certificate)) == 0
    assert proxy.heads[0].startswith("CONNECT service.invalid:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic" in proxy.heads[0]
    assert "bearer" not in proxy.heads[0]
    assert proxy.heads[1].startswith("GET /api/v1/jobs/J?")
    assert "Proxy-Authorization" not in proxy.heads[1]
