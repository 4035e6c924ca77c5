"""The gateway as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route

from qawait.errors import QawaitError
from qawait.gateway.api import Api
from qawait.gateway.border import Border, Counted
from qawait.gateway.jobs import Jobs
from qawait.gateway.metrics import Metrics
from qawait.gateway.problems import ProblemError, failed, refused, unrouted
from qawait.gateway.settings import Settings
from qawait.opening import connect
from qawait.types import ResultCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from qawait.client import Client

RESULTS = ResultCache(memory_bytes=8 * 2**20)
"""Results are kept on the gateway's disk, so its client need not keep them."""
_KINDS = {
    "index.html": "text/html",
    "app.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def create_app(
    open_client: Callable[[], AbstractAsyncContextManager[Client]] | None = None,
    settings: Settings | None = None,
) -> Gateway:
    """Return a gateway as an ASGI application: to be served, or mounted in another one.

    `open_client` opens the client through which jobs are sent, by default
    `qawait.connect()`; `lambda: contextlib.nullcontext(client)` shares one that is
    open. A server runs the gateway's lifespan by itself. Where it is mounted, the
    outer application must do so: `FastAPI(lifespan=gateway.lifespan)`.

    Raises:
        ConfigError: from its lifespan, when client or folder cannot be opened.
    """
    return Gateway(open_client or (lambda: connect(results=RESULTS)), settings or Settings())


class Gateway:
    """An ASGI application; made by `create_app`."""

    def __init__(
        self, open_client: Callable[[], AbstractAsyncContextManager[Client]], settings: Settings
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._open_client = open_client
        self._jobs: Jobs | None = None
        self.failure: QawaitError | None = None
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            expose_headers=["Retry-After", "Location"],
        )
        self._app = Starlette(
            routes=[
                *Api(self).routes(),
                Route("/", _page),
                Route("/page/{name}", _page_file),
            ],
            middleware=[
                Middleware(Counted, self.metrics),
                *([cors] if settings.origins else []),
                Middleware(Border, settings),
            ],
            lifespan=self.lifespan,
            exception_handlers={
                ProblemError: refused,
                HTTPException: unrouted,
                Exception: failed,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        await self._app(scope, receive, send)

    @property
    def jobs(self) -> Jobs:
        """The gateway's jobs.

        Raises:
            ProblemError: its lifespan does not run.
        """
        if self._jobs is None:
            detail = "the gateway does not run: the outer application must run its lifespan"
            raise ProblemError(503, detail)
        return self._jobs

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """Open the client, take up the jobs of before, and close all that at the end."""
        try:
            async with self._open_client() as client:
                self._jobs = Jobs(client, self.settings)
                async with self._jobs.running():
                    yield
        except QawaitError as error:
            self.failure = error  # servers only log what a lifespan raises
            raise
        finally:
            self._jobs = None

    def stop(self) -> None:
        """Accept nothing more, and end the streams and synchronous runs: a server is to end."""
        if self._jobs is not None:
            self._jobs.stop()


async def _page(_request: Request) -> Response:
    return _file("index.html")


async def _page_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _KINDS:
        raise ProblemError(404, "the page has no such file")
    return _file(name)


def _file(name: str) -> Response:
    body = resources.files("qawait.gateway").joinpath("page", name).read_bytes()
    return Response(body, media_type=_KINDS[name], headers={"Cache-Control": "no-cache"})
