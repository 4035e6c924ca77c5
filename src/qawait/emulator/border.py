"""Where requests come in: strangers are refused, all others recorded and, if asked, harmed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from .answers import JSON, error_body
from .faults import ENDING
from .ledger import Entry, tags_of
from .settings import MAX_BODY_BYTES

if TYPE_CHECKING:
    from .faults import Fault
    from .service import Service

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_CONTROL = "/_emulator/"
# A body that is too large is read on for a while: its sender would miss the answer otherwise.
_DRAINED_BYTES = 4 * MAX_BODY_BYTES
# These stand in the path where a name or an id does.
_NAMED = {"jobs": "{id}", "sessions": "{id}", "backends": "{name}"}


class Wire(Protocol):
    """What a fault needs of the socket beneath a request."""

    async def reset(self) -> None:
        """End the connection with a TCP reset."""

    async def finish(self) -> None:
        """End the connection with a FIN after what was written."""


class NeedsSocketError(RuntimeError):
    """A fault on the connection was asked of an app that is called without one."""


def classify(path: str) -> tuple[str, str, str | None]:
    """Return a path without `/experimental`, its template, and the job it is about."""
    path = path.removeprefix("/experimental")
    short = path.removeprefix("/api/v1")
    match short.split("/"):
        case ["", "catalog", *_]:
            return path, "/catalog/{plan}", None
        case ["", kind, name, *rest] if kind in _NAMED:
            route = "/".join(["", kind, _NAMED[kind], *rest])
            return path, route, name if kind == "jobs" else None
    return path, short, None


class Answer:
    """An answer caught on its way out, to be harmed."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def catch(self, message: Message) -> None:
        """Take a part of the answer, as an ASGI `send`."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    @classmethod
    def made(cls, fault: Fault) -> Answer:
        """Return the answer a rule prescribes; without a body, the documented error."""
        answer = cls()
        answer.status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
        body = fault.body
        answer.body = error_body(1000, "injected") if body is None else body.encode()
        kind = b"text/html" if answer.body.lstrip().startswith(b"<") else JSON.encode()
        answer.headers = [(b"content-type", kind)]
        answer.replace_headers(fault.headers)
        answer.measure()
        return answer

    def replace_headers(self, headers: Mapping[str, str]) -> None:
        """Set headers, in place of those of the same names."""
        new = [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]
        names = {name for name, _ in new}
        self.headers = [pair for pair in self.headers if pair[0] not in names] + new

    def measure(self) -> None:
        """State the body's true length; a 204 has neither."""
        self.headers = [pair for pair in self.headers if pair[0] != b"content-length"]
        if self.status == HTTPStatus.NO_CONTENT:
            self.body = b""
        else:
            self.headers.append((b"content-length", str(len(self.body)).encode()))

    def spoil(self, fault: Fault) -> None:
        """Make it wrong in a way that HTTP itself does not show."""
        if fault.kind == "replace":
            self.body = (fault.body or "").encode()
            self.status = fault.status or self.status
            self.replace_headers(fault.headers)
        else:
            if fault.kind == "truncate_gzip":
                self._pack()
            self.body = self.body[: int(len(self.body) * fault.keep)]
        self.measure()

    def _pack(self) -> None:
        if (b"content-encoding", b"gzip") not in self.headers:
            self.body = gzip.compress(self.body)
            self.headers.append((b"content-encoding", b"gzip"))

    async def start(self, send: Send) -> None:
        """Send status and headers."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})

    async def deliver(self, send: Send) -> None:
        """Send all of it."""
        await self.start(send)
        await send({"type": "http.response.body", "body": self.body})


class Exchange:
    """One request and its answer, with the rules that harm it."""

    def __init__(self, service: Service, entry: Entry, scope: Scope, receive: Receive) -> None:
        self._service = service
        self._entry = entry
        self._scope = scope
        self._receive = receive
        self._body: bytes | None = b""
        self._whole = False

    async def serve(self, app: App, send: Send) -> None:
        """Answer the request, or harm it as the rules say."""
        noting = self._noting(send)
        if await self._strike("headers", noting):
            return
        if not await self._read_body():
            await self._too_large(noting)
            return
        self._recognise()
        if await self._strike("before", noting):
            return
        await self._act(app, noting)

    def _noting(self, send: Send) -> Send:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._entry.status = message["status"]
            await send(message)

        return noted

    async def _read_body(self) -> bool:
        names = {name for name, _ in self._scope["headers"]}
        if not names & {b"content-length", b"transfer-encoding"}:
            return True
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= _DRAINED_BYTES:
            message = await self._receive()
            size += len(message.get("body", b""))
            if size <= MAX_BODY_BYTES:
                chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            return False
        self._body = b"".join(chunks)
        return True

    def _recognise(self) -> None:
        """Write down what is submitted; its tags only for rules, since the app reads them."""
        self._whole = True
        if self._body and (self._entry.method, self._entry.route) == ("POST", "/jobs"):
            limit = self._service.settings.ledger_body
            self._service.ledger.keep_body(self._entry, self._body, limit)
            if any(self._service.faults):
                self._entry.tags = tags_of(self._body)

    async def _too_large(self, send: Send) -> None:
        answer = Answer()
        answer.status = 413
        answer.body = error_body(1207, f"The request is larger than {MAX_BODY_BYTES} bytes.")
        answer.headers = [(b"content-type", JSON.encode()), (b"connection", b"close")]
        answer.measure()
        await answer.deliver(send)

    async def _strike(self, phase: str, send: Send) -> bool:
        """Apply the rules of a phase before the effect; tell whether that was the end."""
        for fault in self._service.faults.take(self._entry, phase):
            if fault.waits:
                if not await self._wait(fault):
                    return True
            else:
                await self._end(fault, send)
                return True
        return False

    async def _wait(self, fault: Fault) -> bool:
        """Wait as a rule says; tell whether to go on, which without a client is moot."""
        released = asyncio.ensure_future(fault.released.wait())
        # While the body is unread, looking for the end would swallow it.
        watched = self._whole and not fault.anyway
        gone = asyncio.ensure_future(self._disconnected() if watched else _never())
        try:
            await asyncio.wait(
                (released, gone), timeout=fault.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            return not gone.done()
        finally:
            released.cancel()
            gone.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _end(self, fault: Fault, send: Send) -> None:
        if fault.kind == "fail":
            await Answer.made(fault).deliver(send)
        elif fault.kind == "reset":
            await self._wire().reset()
        else:
            await self._wire().finish()

    def _wire(self) -> Wire:
        wire: Wire | None = self._scope.get("extensions", {}).get("qawait.wire")
        if wire is None:
            raise NeedsSocketError("this fault needs a socket: start the emulator as a process")
        return wire

    async def _act(self, app: App, send: Send) -> None:
        if not any(fault.when == "after" and fault.times != 0 for fault in self._service.faults):
            await app(self._scope, self._replay, send)
            return
        answer = Answer()
        await app(self._scope, self._replay, answer.catch)
        await self._harm(answer, send)

    async def _replay(self) -> Message:
        """Give the app the body that was read, and after it whatever comes."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()

    async def _harm(self, answer: Answer, send: Send) -> None:
        for fault in self._service.faults.take(self._entry, "after"):
            if fault.waits:
                if not await self._wait(fault):
                    return
            elif fault.kind in ENDING:
                await self._end(fault, send)
                return
            elif fault.kind == "slow":
                await self._drip(answer, fault, send)
                return
            elif fault.kind in ("truncate", "cut"):
                await self._break_off(answer, fault, send)
                return
            else:
                answer.spoil(fault)
        await answer.deliver(send)

    async def _break_off(self, answer: Answer, fault: Fault, send: Send) -> None:
        # Asked for first: without a socket nothing is sent.
        wire = self._wire()
        kept = int(len(answer.body) * fault.keep)
        await answer.start(send)
        await send({"type": "http.response.body", "body": answer.body[:kept], "more_body": True})
        await (wire.finish() if fault.kind == "truncate" else wire.reset())

    async def _drip(self, answer: Answer, fault: Fault, send: Send) -> None:
        await answer.start(send)
        for start in range(0, len(answer.body), fault.size):
            if not await self._wait(fault):
                return
            piece = answer.body[start : start + fault.size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _never() -> None:
    await asyncio.Event().wait()


class Border:
    """ASGI middleware around the service: the only way in."""

    def __init__(self, app: App, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, unless it comes from a stranger."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = _foreign(scope)
        if refusal is not None:
            await refusal.deliver(send)
        elif scope["path"].startswith(_CONTROL):
            await self._app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, route, job_id = classify(scope["path"])
        entry = self._service.ledger.open(scope, scope["path"], route, job_id)
        scope["path"] = path
        scope["raw_path"] = path.encode()
        scope["qawait.entry"] = entry
        await Exchange(self._service, entry, scope, receive).serve(self._app, send)


def _foreign(scope: Scope) -> Answer | None:
    """Return the refusal of a request that a web page may have made, else `None`."""
    host = ""
    for name, value in scope["headers"]:
        if name == b"origin":
            return _refusal(403, "Requests from web pages are refused.")
        if name == b"host":
            host = value.decode("latin-1")
    name, colon, port = host.rpartition(":")
    bare = name if colon and port.isdigit() else host
    if bare.lower() in _LOCAL_HOSTS:
        return None
    return _refusal(421, "This service is local: address it by a loopback address.")


def _refusal(status: int, message: str) -> Answer:
    answer = Answer()
    answer.status, answer.body = status, error_body(1200, message)
    answer.headers = [(b"content-type", JSON.encode())]
    answer.measure()
    return answer
