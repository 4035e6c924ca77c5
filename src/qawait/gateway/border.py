"""Who may ask, and what goes with every answer."""

from __future__ import annotations

import hmac
import ipaddress
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import HTTPConnection

from qawait.gateway.problems import ProblemError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from qawait.gateway.metrics import Metrics
    from qawait.gateway.settings import Settings

_OPEN: Final = frozenset({"/", "/healthz", "/openapi.json"})
"""What tells nothing of any job."""
_STATIC: Final = "/page/"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}


class Counted:
    """Counts every request, and puts on every answer what browsers should know."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
                taken = time.perf_counter() - began
                self._metrics.count(_endpoint(scope), _method(scope), message["status"], taken)
            await send(message)

        await self._app(scope, receive, counted)


def _add_headers(message: Message) -> None:
    there = {name.lower() for name, _ in message["headers"]}
    more = [(name, value) for name, value in _HEADERS.items() if name not in there]
    message["headers"] = [*message["headers"], *more]


def _endpoint(scope: Scope) -> str:
    return getattr(scope.get("endpoint"), "__name__", "none")


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}
    return scope["method"] if scope["method"] in known else "other"


class Border:
    """Lets in who may come in: with the token, or over loopback where none is set."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        try:
            if scope["type"] == "http":
                self._check(scope)
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        connection = HTTPConnection(scope)
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if self._settings.authenticate and self._settings.token is None:
            _check_loopback(scope, connection)
        self._check_origin(scope, connection)
        if path in _OPEN or path.startswith(_STATIC):
            return
        if self._settings.authenticate and self._settings.token is not None:
            _check_token(connection, self._settings.token.reveal())

    def _check_origin(self, scope: Scope, connection: HTTPConnection) -> None:
        """Refuse what another site's page sends by its visitor's browser."""
        origin = connection.headers.get("origin")
        if scope["method"] in ("GET", "HEAD") or origin is None:
            return
        own = connection.headers.get("host", "")
        if origin.partition("://")[2] != own and origin not in self._settings.origins:
            raise ProblemError(403, "this page's origin may not call this gateway")


def _check_token(connection: HTTPConnection, token: str) -> None:
    kind, _, given = connection.headers.get("authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not is_right:
        detail = "send the gateway's token: Authorization: Bearer …"
        raise ProblemError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="qawait"'})


def _check_loopback(scope: Scope, connection: HTTPConnection) -> None:
    """Without a token, answer only those on this machine, and no page that pretends to be it."""
    server = scope.get("server")
    name = _host_name(connection.headers.get("host", ""))
    if server is None or not _is_loopback(server[0]) or not _is_loopback(name):
        raise ProblemError(
            403, "this gateway has no token and answers on loopback only: set Settings(token=…)"
        )


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: Any) -> bool:
    text = str(name)
    if text == "localhost" or text.startswith("/"):  # a path is a socket in the file system
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
