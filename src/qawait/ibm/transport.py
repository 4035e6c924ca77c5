"""One request, one verdict. The only importer of httpx, whose transports a user may bring.

A call ends in one of three ways: a `Reply`, `NotSentError` (certainly nothing
reached the service) or `UnknownOutcomeError` (it may have). There are no
redirects, no cookies, no retries here, and no proxy but the one given; the
certificates are the system's through `SSL_CERT_FILE` and `SSL_CERT_DIR`, else
certifi's.

The frames beneath hold headers in plain text: an exception from there is read
and dropped, never chained.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import quote, urlencode

import anyio

from qawait import limits
from qawait.errors import (
    ConfigError,
    NotSentError,
    ProtocolError,
    QawaitError,
    UnknownOutcomeError,
)
from qawait.ibm.body import BodyReader
from qawait.ibm.carrier import Own, Progress, content, fields, plain
from qawait.ibm.certificates import trusting, usual_certificates
from qawait.ibm.connection import UnreachableError
from qawait.ibm.http1 import MalformedError
from qawait.ibm.pool import Lanes
from qawait.ibm.route import Origin, Proxy, Route
from qawait.ibm.wire.message import Reply, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping

    import httpx

    from qawait.ibm.body import Sink
    from qawait.ibm.carrier import Carrier, Exchange
    from qawait.secret import Secret

__all__ = ["Transport", "trusting", "usual_certificates"]

_log = logging.getLogger("qawait.transport")

_PATH = re.compile(r"(/[A-Za-z0-9_.~%-]+)+")


class Transport:
    """Sends requests below one base URL, to its origin and nowhere else.

    The connections are those of a `Pool`, or a `transport` of httpx's kind.
    """

    def __init__(
        self,
        base_url: str,
        *,
        verify: ssl.SSLContext | None = None,
        proxy: Secret | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._origin = Origin.read(base_url)
        self._lanes = Lanes(limits.REQUESTS_IN_FLIGHT)
        self._bulk_lanes = Lanes(limits.BULK_IN_FLIGHT)
        self._carrier: Carrier
        if transport is None:
            self._carrier = Own(self._origin, _route(self._origin, verify, proxy))
        else:
            self._carrier = _Foreign(self._origin, transport)

    def __repr__(self) -> str:
        return f"<Transport {self._origin.host}>"

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str | Secret],
        *,
        on_sending: Callable[[], None] | None = None,
        sink: Callable[[], Sink] | None = None,
    ) -> Reply:
        """Send one request and return its complete answer, be it a success or a refusal.

        Credentials among the headers are given as `Secret`. The request's
        deadline counts from now, the wait for its turn included. `on_sending` is
        called right before the first byte may leave, and right after a checkpoint.
        `sink` makes what takes the body of an answer with status 200 while it
        comes in; the body of the reply is empty then.

        Raises:
            NotSentError: nothing reached the service.
            UnknownOutcomeError: the request may have been carried out.
            ProtocolError: the answer was a redirect, malformed, truncated or too large.
        """
        progress = Progress(on_sending)
        outcome: Reply | QawaitError | None = None
        started = time.monotonic()
        with anyio.move_on_after(request.deadline):
            outcome = await self._in_turn(request, headers, progress, sink)
        if outcome is None:
            outcome = self._late(request, progress)
        self._note(request, outcome, time.monotonic() - started)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    def keep_warm(self) -> None:
        """Keep a connection ready for urgent requests from now on: there is a job to cancel."""
        self._carrier.keep_warm()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._carrier.aclose()

    async def _in_turn(
        self,
        request: Request,
        headers: Mapping[str, str | Secret],
        progress: Progress,
        sink: Callable[[], Sink] | None,
    ) -> Reply | QawaitError:
        if request.bulk:
            await self._bulk_lanes.enter()
        try:
            await self._lanes.enter(urgent=request.urgent)
            try:
                return await self._attempt(request, headers, progress, sink)
            finally:
                self._lanes.leave()
        finally:
            if request.bulk:
                self._bulk_lanes.leave()

    async def _attempt(
        self,
        request: Request,
        headers: Mapping[str, str | Secret],
        progress: Progress,
        sink: Callable[[], Sink] | None,
    ) -> Reply | QawaitError:
        try:
            return await self._exchange(request, headers, progress, sink)
        except Exception as error:  # noqa: BLE001 - each failure gets a verdict, and none its frames
            return self._verdict(request, error, progress)
        except BaseException as stopped:  # noqa: BLE001 - it is raised again
            # A cancellation passes on, but not the frames beneath: their locals hold the headers.
            stopped.__context__ = None
            raise stopped.with_traceback(None) from None

    async def _exchange(
        self,
        request: Request,
        headers: Mapping[str, str | Secret],
        progress: Progress,
        sink: Callable[[], Sink] | None,
    ) -> Reply | QawaitError:
        exchange = await self._carrier.ask(request, self._target(request), headers, progress)
        try:
            return await _received(request, exchange, sink)
        finally:
            await exchange.aclose()

    def _target(self, request: Request) -> str:
        """Return path and query; nothing in a request can lead away from the origin."""
        if not _PATH.fullmatch(request.path) or "/../" in f"{request.path}/":
            raise ConfigError(f"{request.name}: this is no path below the service's address")
        query = urlencode(request.query, quote_via=quote)
        mark = "?" if query else ""
        return f"{self._origin.prefix}{request.path}{mark}{query}"

    def _verdict(self, request: Request, error: Exception, progress: Progress) -> QawaitError:
        """Return what a failure means: not sent only if that is certain."""
        kind = type(error).__name__
        if isinstance(error, ConfigError):
            return ConfigError(error.message)
        if isinstance(error, UnreachableError):
            return NotSentError(f"{request.name}: cannot reach {self._origin.host}: {error}")
        if not progress.sent:
            return NotSentError(f"{request.name}: it could not be sent ({kind})")
        if isinstance(error, MalformedError):
            return ProtocolError(f"{request.name}: the answer {error}")
        return UnknownOutcomeError(f"{request.name}: the answer was lost ({kind})")

    def _late(self, request: Request, progress: Progress) -> QawaitError:
        said = f"{request.name}: no complete answer within {request.deadline:g} s"
        if progress.sent:
            return UnknownOutcomeError(said)
        return NotSentError(f"{said}: no connection to {self._origin.host} came free")

    def _note(self, request: Request, outcome: Reply | QawaitError, seconds: float) -> None:
        end = outcome.status if isinstance(outcome, Reply) else type(outcome).__name__
        _log.debug("%s: %s after %.3f s", request.name, end, seconds)


async def _received(
    request: Request, exchange: Exchange, sink: Callable[[], Sink] | None
) -> Reply | QawaitError:
    status, headers = exchange.status, exchange.headers
    if not 200 <= status < 300 and not 400 <= status < 600:  # noqa: PLR2004 - 2xx, 4xx, 5xx
        return ProtocolError(f"{request.name}: unexpected status {status}; none is followed")
    into = sink() if sink is not None and status == HTTPStatus.OK else None
    reader = BodyReader(status, headers, max_bytes=request.max_bytes, sink=into)
    fault = reader.start() or await exchange.into(reader) or reader.finish()
    if fault is not None:
        error = ProtocolError(f"{request.name}: the answer {fault}")
        error.__cause__ = reader.cause
        return error
    return Reply(status=status, headers=headers, body=reader.take(), at=time.time())


# --- a transport of httpx's kind ---------------------------------------------------------------


class _Foreign:
    """Requests over what a user has brought; its exceptions tell how far they got."""

    def __init__(self, origin: Origin, http: httpx.AsyncBaseTransport) -> None:
        self._origin = origin
        self._http = http

    async def ask(
        self,
        request: Request,
        target: str,
        headers: Mapping[str, str | Secret],
        progress: Progress,
    ) -> Exchange:
        """Send a request and return its answer."""
        import httpx

        body = content(request)
        base = httpx.URL(f"{self._origin.scheme}://{self._origin.netloc}")
        outgoing = httpx.Request(
            request.method,
            base.copy_with(raw_path=target.encode("ascii")),
            headers=plain(headers, self._origin) | dict(fields(request, len(body))),
            stream=_stream(body),
            extensions={"timeout": _timeouts(request)},
        )
        await progress.send()
        try:
            return _Response(await self._http.handle_async_request(outgoing))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise UnreachableError(str(error) or type(error).__name__) from None
        except (httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            raise UnreachableError(str(error) or type(error).__name__) from None
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error):
                raise
            raise MalformedError("is malformed") from None

    def keep_warm(self) -> None:
        """Leave the connections to those whose they are."""

    async def aclose(self) -> None:
        """Close it."""
        await self._http.aclose()


class _Response:
    """An answer as httpx has it."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = dict(response.headers.items())

    async def into(self, reader: BodyReader) -> str | None:
        """Give the body to a reader; return the reader's first fault."""
        import httpx

        # Not `aiter_raw()`, which counts a response that a test made in memory as read already.
        chunks = aiter(cast("AsyncIterable[bytes]", self._response.stream))
        fault: str | None = None
        try:
            async for chunk in chunks:
                try:
                    fault = await reader.feed(chunk)
                except BaseException:
                    await self._cut(chunks)
                    raise
                if fault is not None:
                    await self._cut(chunks)
                    break
        except httpx.RemoteProtocolError:
            raise MalformedError("is malformed or cut short") from None
        return fault

    async def _cut(self, chunks: AsyncIterator[bytes]) -> None:
        """Close the response, and end an iterator that would linger, left early."""
        with anyio.move_on_after(limits.LEAVE_SECONDS, shield=True), suppress(Exception):
            await self._response.aclose()
            async for _ in chunks:
                pass

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._response.aclose()


def _stream(content: bytes) -> httpx.AsyncByteStream:
    """Return a request's body, sent at once.

    httpx's own is an asynchronous generator, which trio complains about when a
    connection breaks before it has ended.
    """
    import httpx

    class Once(httpx.AsyncByteStream):
        def __init__(self) -> None:
            self._waiting = [content] if content else []

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            if not self._waiting:
                raise StopAsyncIteration
            return self._waiting.pop()

    return Once()


def _timeouts(request: Request) -> dict[str, float]:
    # The deadline is the limit; httpx's own clocks only have to end with it at the latest.
    return {
        "connect": min(limits.CONNECT_SECONDS, request.deadline),
        "read": request.deadline,
        "write": request.deadline,
        "pool": request.deadline,
    }


# --- the way there -----------------------------------------------------------------------------


def _route(origin: Origin, verify: ssl.SSLContext | None, proxy: Secret | None) -> Route:
    if origin.scheme == "http":
        # Plain text is for this machine only, and no proxy is on the way to that.
        return Route(origin.host, origin.port)
    tls = verify or trusting()
    tls.set_alpn_protocols(["http/1.1"])
    between = None if proxy is None else Proxy.read(proxy)
    if between is not None and between.scheme == "https":
        between = replace(between, tls=trusting())
    return Route(origin.host, origin.port, tls, between)
