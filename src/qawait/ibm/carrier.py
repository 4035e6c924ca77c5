"""What carries requests: over connections of our own, or as a user's transport does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio.lowlevel

from qawait.ibm import http1
from qawait.ibm.pool import Pool
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qawait.ibm.body import BodyReader
    from qawait.ibm.route import Origin, Route
    from qawait.ibm.wire.message import Request


@dataclass(slots=True)
class Progress:
    """Whether a request may have left."""

    on_sending: Callable[[], None] | None
    sent: bool = False

    async def send(self) -> None:
        """Say that bytes may leave from now on, unless the caller has been cancelled."""
        if self.on_sending is not None:
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint_if_cancelled()
            self.on_sending()
        self.sent = True


class Exchange(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are in lower case."""

    async def into(self, reader: BodyReader) -> str | None:
        """Give the body to a reader; return the reader's first fault."""

    async def aclose(self) -> None:
        """Let go of the connection."""


class Carrier(Protocol):
    """What carries requests."""

    async def ask(
        self,
        request: Request,
        target: str,
        headers: Mapping[str, str | Secret],
        progress: Progress,
    ) -> Exchange:
        """Send a request and return its answer; what can fail is for `Transport` to judge."""

    def keep_warm(self) -> None:
        """Keep a connection ready for urgent requests from now on."""

    async def aclose(self) -> None:
        """Close every connection."""


class Own:
    """Requests over connections of our own."""

    def __init__(self, origin: Origin, route: Route) -> None:
        self._origin = origin
        self._pool = Pool(route)
        self._last: tuple[tuple[str, str | Secret], ...] = ()
        self._written = Secret("")

    async def ask(
        self,
        request: Request,
        target: str,
        headers: Mapping[str, str | Secret],
        progress: Progress,
    ) -> Exchange:
        """Send a request and return its answer."""
        body = content(request)
        head = b"%s %s HTTP/1.1\r\n%s%s\r\n" % (
            request.method.encode("ascii"),
            target.encode("ascii"),
            self._constant(headers),
            http1.write_fields(fields(request, len(body))),
        )
        return await self._pool.ask(head, body, urgent=request.urgent, announce=progress.send)

    def _constant(self, headers: Mapping[str, str | Secret]) -> bytes:
        """Return what `plain` gives as it is sent; written once for each token."""
        given = tuple(headers.items())
        if given != self._last or not self._written:
            written = http1.write_fields(plain(headers, self._origin).items())
            self._written = Secret(written.decode("latin-1"))
            self._last = given
        return self._written.reveal().encode("latin-1")

    def keep_warm(self) -> None:
        """Keep a connection ready for urgent requests from now on."""
        self._pool.keep_warm()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def content(request: Request) -> bytes:
    """Return the body of a request."""
    body = request.body.reveal() if isinstance(request.body, Secret) else request.body
    return body.encode() if isinstance(body, str) else body or b""


def fields(request: Request, size: int) -> list[tuple[str, str]]:
    """Return the header fields that differ from call to call."""
    found = []
    if request.accept is not None:
        found.append(("Accept", request.accept))
    if request.content_type is not None:
        found.append(("Content-Type", request.content_type))
    if size or request.method != "GET":
        found.append(("Content-Length", str(size)))
    return found


def plain(headers: Mapping[str, str | Secret], origin: Origin) -> dict[str, str]:
    """Return the header fields that are the same from call to call, credentials included."""
    plain = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in headers.items()
    }
    return plain | {"Host": origin.netloc, "Accept-Encoding": "gzip"}
