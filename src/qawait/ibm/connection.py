"""One connection to the service: opened, asked one request at a time, closed."""

from __future__ import annotations

import base64
import select
import ssl
import time
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from qawait import limits
from qawait.ibm import http1
from qawait.ibm.http1 import MalformedError
from qawait.ibm.route import bracketed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import ByteStream

    from qawait.ibm.body import BodyReader
    from qawait.ibm.route import Proxy, Route
    from qawait.secret import Secret

_SWITCHING: Final = 101
_FINAL: Final = 200
_GRANTED: Final = range(200, 300)


class UnreachableError(Exception):
    """There is no connection, so certainly nothing was sent; the text says why."""


class Connection:
    """Carries one request after the other; no second one before the first is answered."""

    __slots__ = ("_number", "_poll", "_socket", "_ssl", "_stream", "_unsent", "idle_since")

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._ssl = stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - anyio's, not Django's
        self._socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - as above
        self._number = self._socket.fileno()
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLIN)
        self._unsent = False
        self.idle_since = time.monotonic()

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer: neither the end nor stray bytes."""
        # A socket that is closed may have given its number to another one.
        if self._socket.fileno() != self._number or self._poll.poll(0):
            return False
        if self._ssl is None:
            return True
        try:
            self._ssl.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        return False

    async def ask(self, head: bytes, body: bytes = b"") -> Answer:
        """Send one request and return its answer as soon as its head has come.

        Raises:
            MalformedError: what came is no plain answer.
            EndOfStream: the server hung up without one.
            BrokenResourceError: the connection broke.
        """
        if len(body) > limits.SEND_BYTES:
            return await self._ask_at_length(head, body)
        try:
            await self._stream.send(head + body)
        except anyio.BrokenResourceError:
            self._unsent = True  # the server may have answered all the same, and then closed
        return await self._answer()

    async def _ask_at_length(self, head: bytes, body: bytes) -> Answer:
        """Send a large request, unless an answer comes first: then its rest is not wanted."""
        outcome: Answer | Exception
        self._unsent = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._send_all, head, body)
            try:
                outcome = await self._answer()
            except Exception as error:  # noqa: BLE001 - it is raised again outside of the group
                outcome = error
            group.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _send_all(self, head: bytes, body: bytes) -> None:
        try:
            await self._stream.send(head)
            for start in range(0, len(body), limits.SEND_BYTES):
                await self._stream.send(body[start : start + limits.SEND_BYTES])
        except anyio.BrokenResourceError:
            return  # whoever reads finds out what this means
        self._unsent = False

    async def _answer(self) -> Answer:
        """Read up to the end of a head, past those that only announce another."""
        data = b""
        for _ in range(1 + limits.PROVISIONAL_ANSWERS):
            head, data = await self._next_head(data)
            if head.status >= _FINAL:
                return Answer(self, head, data)
            if head.status == _SWITCHING:
                break
        raise MalformedError("is none, but announces one for ever or another protocol")

    async def _next_head(self, data: bytes) -> tuple[http1.Head, bytes]:
        """Return a head and what has come behind it."""
        searched = 0
        while (end := http1.find_head(data, searched)) < 0:
            searched = len(data)
            data += await self._head_bytes(data)
        return http1.read_head(data[:end]), data[end:]

    async def _head_bytes(self, before: bytes) -> bytes:
        data = await self.read()
        if data:
            return data
        if before:
            raise MalformedError("ends within its head")
        raise anyio.EndOfStream

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        try:
            return await self._stream.receive(limits.RECEIVE_BYTES)
        except anyio.EndOfStream:
            return b""

    @property
    def sent(self) -> bool:
        """Whether all of the last request left."""
        return not self._unsent

    async def aclose(self) -> None:
        """Close it at once, whatever is under way."""
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


class Answer:
    """An answer whose head has come; its body is read once."""

    __slots__ = ("_connection", "_head", "_rest", "reusable")

    def __init__(self, connection: Connection, head: http1.Head, rest: bytes) -> None:
        self._connection = connection
        self._head = head
        self._rest = rest
        self.reusable = False

    @property
    def status(self) -> int:
        """The status code, from 200 on."""
        return self._head.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are in lower case."""
        return self._head.headers

    async def into(self, reader: BodyReader) -> str | None:
        """Give the body to a reader, to its end or to the reader's first fault: return that one.

        Raises:
            MalformedError: the body breaks its framing, or off.
        """
        framing = http1.framing(self._head)
        data, self._rest = self._rest, b""
        while True:
            for piece in framing.take(data):
                fault = await reader.feed(piece)
                if fault is not None:
                    return fault
            if framing.done:
                break
            data = await self._connection.read()
            if not data:
                framing.end()
                break
        self.reusable = self._head.reusable and self._connection.sent and not framing.extra
        return None


# --- opening -----------------------------------------------------------------------------------


async def connect(route: Route) -> Connection:
    """Open a connection along a route.

    Raises:
        UnreachableError: there is none to be had.
    """
    try:
        with anyio.fail_after(limits.CONNECT_SECONDS):
            return Connection(await _opened(route))
    except TimeoutError:
        reason = f"no connection within {limits.CONNECT_SECONDS:g} s"
    except MalformedError as error:
        reason = f"the proxy's answer {error}"
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, UnicodeError) as error:
        reason = str(error) or type(error).__name__
    raise UnreachableError(reason)


async def _opened(route: Route) -> ByteStream:
    if route.proxy is not None:
        stream = await _tunnel(route, route.proxy)
    else:
        stream = await anyio.connect_tcp(route.host, route.port)
    return await _encrypted(stream, route.host, route.tls)


async def _encrypted(stream: ByteStream, host: str, tls: ssl.SSLContext | None) -> ByteStream:
    """Return the stream after a handshake; it is closed if there is no good one."""
    if tls is None:
        return stream
    try:
        return await TLSStream.wrap(
            stream, hostname=host, ssl_context=tls, server_side=False, standard_compatible=False
        )
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


async def _tunnel(route: Route, proxy: Proxy) -> ByteStream:
    """Return a stream through an HTTP proxy, which learns the host and nothing else."""
    stream: ByteStream = await anyio.connect_tcp(proxy.host, proxy.port)
    stream = await _encrypted(stream, proxy.host, proxy.tls)
    try:
        answer = await Connection(stream).ask(_wish(route, proxy.login))
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    if answer.status in _GRANTED:
        return stream
    await anyio.aclose_forcefully(stream)
    raise UnreachableError(f"the proxy answered {answer.status}")


def _wish(route: Route, login: Secret | None) -> bytes:
    target = f"{bracketed(route.host)}:{route.port}"
    fields = [("Host", target)]
    if login is not None:
        encoded = base64.b64encode(login.reveal().encode()).decode("ascii")
        fields.append(("Proxy-Authorization", f"Basic {encoded}"))
    return b"CONNECT %s HTTP/1.1\r\n%s\r\n" % (target.encode("ascii"), http1.write_fields(fields))
