"""HTTP: one request, one verdict. The only importer of httpx.

A call ends in one of three ways: a `Reply`, `NotSentError` (certainly nothing
reached the service) or `UnknownOutcomeError` (it may have). There are no
redirects, no cookies, no retries here, and no proxy but the one given; the
certificates are the system's through `SSL_CERT_FILE` and `SSL_CERT_DIR`, else
certifi's.

httpx's transport is used without its client, which logs full URLs. Below it,
httpcore logs reprs that hide headers, and h11's frames hold them in plain
text: an exception from there is read and dropped, never chained.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import quote, urlencode

import anyio
import anyio.lowlevel
import httpx

from qawait import limits
from qawait.errors import (
    ConfigError,
    NotSentError,
    ProtocolError,
    QawaitError,
    UnknownOutcomeError,
)
from qawait.ibm.body import BodyReader
from qawait.ibm.wire.message import Reply, Request
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Mapping

_log = logging.getLogger("qawait.transport")

_PATH = re.compile(r"(/[A-Za-z0-9_.~%-]+)+")
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


@dataclass(slots=True)
class _Progress:
    """How far a request has got: httpcore says so through its trace events."""

    traced: bool = False
    sent: bool = False
    answered: bool = False
    on_sending: Callable[[], None] | None = None
    socket: Any = None

    async def send(self) -> None:
        """Say that bytes may leave from now on, unless the caller has been cancelled."""
        if self.on_sending is not None:
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint_if_cancelled()
            self.on_sending()
        self.sent = True

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        self.traced = True
        # A proxy's CONNECT carries no credential of ours and makes no job.
        if event.endswith(".send_request_headers.started"):
            if info["request"].method != b"CONNECT":
                await self.send()
        elif event.endswith(".connect_tcp.complete"):
            self.socket = info["return_value"]
        elif event.endswith(".start_tls.failed") and self.socket is not None:
            # httpcore leaves the socket open when a handshake is cancelled.
            with anyio.move_on_after(limits.CLOSE_SECONDS, shield=True):
                await self.socket.aclose()


class _Body(httpx.AsyncByteStream):
    """A request's body, sent at once.

    httpx's own is an asynchronous generator, which trio complains about when a
    connection breaks before it has ended.
    """

    def __init__(self, content: bytes) -> None:
        self._waiting = [content] if content else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.pop()


class Transport:
    """Sends requests below one base URL, to its origin and nowhere else."""

    def __init__(
        self,
        base_url: str,
        *,
        verify: ssl.SSLContext | None = None,
        proxy: Secret | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = httpx.URL(base_url)
        self._prefix = self._base.raw_path.rstrip(b"/")
        self._injected = transport is not None
        self._http = transport or _pool(self._base, verify, proxy)
        self._slots = anyio.Semaphore(limits.REQUESTS_IN_FLIGHT)
        self._bulk_slots = anyio.Semaphore(limits.BULK_IN_FLIGHT)

    def __repr__(self) -> str:
        return f"<Transport {self._base.host}>"

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str | Secret],
        *,
        on_sending: Callable[[], None] | None = None,
    ) -> Reply:
        """Send one request and return its complete answer, be it a success or a refusal.

        Credentials among the headers are given as `Secret`. The request's
        deadline counts from now, the wait for a free connection included.
        `on_sending` is called right before the first byte may leave, and right
        after a checkpoint.

        Raises:
            NotSentError: nothing reached the service.
            UnknownOutcomeError: the request may have been carried out.
            ProtocolError: the answer was a redirect, malformed, truncated or too large.
        """
        progress = _Progress(on_sending=on_sending)
        outcome: Reply | QawaitError | None = None
        started = anyio.current_time()
        with anyio.move_on_after(request.deadline):
            outcome = await self._in_turn(request, headers, progress)
        if outcome is None:
            outcome = self._late(request, progress)
        self._note(request, outcome, anyio.current_time() - started)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _in_turn(
        self, request: Request, headers: Mapping[str, str | Secret], progress: _Progress
    ) -> Reply | QawaitError:
        if not request.bulk:
            async with self._slots:
                return await self._attempt(request, headers, progress)
        async with self._bulk_slots, self._slots:
            return await self._attempt(request, headers, progress)

    async def _attempt(
        self, request: Request, headers: Mapping[str, str | Secret], progress: _Progress
    ) -> Reply | QawaitError:
        try:
            return await self._exchange(request, headers, progress)
        except Exception as error:  # noqa: BLE001 - each failure gets a verdict, and none its frames
            return self._verdict(request, error, progress)
        except BaseException as stopped:  # noqa: BLE001 - it is raised again
            # A cancellation passes on, but not the frames beneath: their locals hold the headers.
            stopped.__context__ = None
            raise stopped.with_traceback(None) from None

    async def _exchange(
        self, request: Request, headers: Mapping[str, str | Secret], progress: _Progress
    ) -> Reply | QawaitError:
        outgoing = self._outgoing(request, headers, progress)
        if self._injected:
            await progress.send()
        response = await self._http.handle_async_request(outgoing)
        progress.answered = True
        try:
            return await self._received(request, response)
        finally:
            await response.aclose()

    def _outgoing(
        self, request: Request, headers: Mapping[str, str | Secret], progress: _Progress
    ) -> httpx.Request:
        url = self._url(request)
        body = request.body.reveal() if isinstance(request.body, Secret) else request.body
        content = body.encode() if isinstance(body, str) else body or b""
        plain = {name: _plain(value) for name, value in headers.items()}
        plain |= {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "gzip"}
        if request.accept is not None:
            plain["Accept"] = request.accept
        if request.content_type is not None:
            plain["Content-Type"] = request.content_type
        if content or request.method != "GET":
            plain["Content-Length"] = str(len(content))
        return httpx.Request(
            request.method,
            url,
            headers=plain,
            stream=_Body(content),
            extensions={"timeout": _timeouts(request), "trace": progress.trace},
        )

    def _url(self, request: Request) -> httpx.URL:
        """Return the full URL; only the path is taken from the request, so the origin stays."""
        if not _PATH.fullmatch(request.path) or "/../" in f"{request.path}/":
            raise ConfigError(f"{request.name}: this is no path below the service's address")
        query = urlencode(request.query, quote_via=quote)
        target = f"{request.path}?{query}" if query else request.path
        return self._base.copy_with(raw_path=self._prefix + target.encode("ascii"))

    async def _received(self, request: Request, response: httpx.Response) -> Reply | QawaitError:
        status = response.status_code
        if not 200 <= status < 300 and not 400 <= status < 600:  # noqa: PLR2004 - 2xx, 4xx, 5xx
            return ProtocolError(f"{request.name}: unexpected status {status}; none is followed")
        headers = dict(response.headers.items())
        reader = BodyReader(status, headers, max_bytes=request.max_bytes)
        fault = reader.start() or await _read(response, reader)
        if fault is not None:
            return ProtocolError(f"{request.name}: the answer {fault}")
        return Reply(status=status, headers=headers, body=reader.take(), at=time.time())

    def _verdict(self, request: Request, error: Exception, progress: _Progress) -> QawaitError:
        """Return what a failure means: not sent only if that is certain."""
        if isinstance(error, ConfigError):
            return ConfigError(error.message)
        if self._never_left(error, progress):
            cause = str(error) or type(error).__name__
            return NotSentError(f"{request.name}: cannot reach {self._base.host}: {cause}")
        kind = type(error).__name__
        if _is_malformed(error, progress):
            return ProtocolError(f"{request.name}: the answer is malformed or cut short ({kind})")
        return UnknownOutcomeError(f"{request.name}: the answer was lost ({kind})")

    def _never_left(self, error: Exception, progress: _Progress) -> bool:
        """Whether certainly no byte left; without trace events the kind of error tells."""
        if isinstance(error, _NEVER_SENT):
            return self._injected or not progress.sent
        return progress.traced and not progress.sent

    def _late(self, request: Request, progress: _Progress) -> QawaitError:
        said = f"{request.name}: no complete answer within {request.deadline:g} s"
        if progress.sent or progress.answered:
            return UnknownOutcomeError(said)
        return NotSentError(f"{said}: no connection to {self._base.host} came free")

    def _note(self, request: Request, outcome: Reply | QawaitError, seconds: float) -> None:
        end = outcome.status if isinstance(outcome, Reply) else type(outcome).__name__
        _log.debug("%s: %s after %.3f s", request.name, end, seconds)


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _timeouts(request: Request) -> dict[str, float]:
    # The deadline is the limit; httpx's own clocks only have to end with it at the latest.
    return {
        "connect": min(limits.CONNECT_SECONDS, request.deadline),
        "read": request.deadline,
        "write": request.deadline,
        "pool": request.deadline,
    }


def _is_malformed(error: Exception, progress: _Progress) -> bool:
    """Whether an answer came and makes no sense; a server that just hangs up gave none."""
    if not isinstance(error, httpx.RemoteProtocolError):
        return False
    return progress.answered or "disconnected" not in str(error)


async def _read(response: httpx.Response, reader: BodyReader) -> str | None:
    """Read a body to its end, or to its first fault, which is returned."""
    fault: str | None = None
    try:
        async for chunk in _chunks(response):
            if fault is None:
                fault = reader.feed(chunk)
                if fault is not None:
                    # This ends the loop too; an iterator that is left early would linger.
                    await response.aclose()
    except Exception:
        if fault is None:
            raise
    return fault or reader.finish()


def _chunks(response: httpx.Response) -> AsyncIterable[bytes]:
    # Not `aiter_raw()`, which counts a response that a test made in memory as read already.
    return cast("AsyncIterable[bytes]", response.stream)


def _pool(
    base: httpx.URL, verify: ssl.SSLContext | None, proxy: Secret | None
) -> httpx.AsyncHTTPTransport:
    size = limits.REQUESTS_IN_FLIGHT
    return httpx.AsyncHTTPTransport(
        verify=_context(base, verify),
        limits=httpx.Limits(
            max_connections=size,
            max_keepalive_connections=size,
            keepalive_expiry=limits.KEEPALIVE_SECONDS,
        ),
        proxy=None if proxy is None else httpx.Proxy(proxy.reveal()),
    )


def _context(base: httpx.URL, verify: ssl.SSLContext | None) -> ssl.SSLContext:
    if verify is not None:
        return verify
    if base.scheme == "http":
        # Never used: one that trusts nobody spares the 20 ms of loading certificates.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return trusting()


def usual_certificates() -> str | None:
    """Return the file of certificates that httpx trusts; `None` where the environment names one."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None
    import certifi

    return certifi.where()


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file, or else the usual ones.

    Raises:
        ConfigError: the file cannot be read.
    """
    if ca_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise ConfigError(f"the file of certificates {ca_file} cannot be read: {problem}")
