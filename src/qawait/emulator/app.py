"""The emulator as an ASGI application."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from . import auth, backends_api, control, jobs_api, sessions_api
from .answers import RefusalError, refused
from .border import App, Border
from .service import Service
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

BASE = "/api/v1"


def create_app(settings: Settings | None = None) -> App:
    """Return the emulator as an ASGI application, to be served or called in process.

    Under a server, its lifespan starts and ends the worker processes. Called
    without one, the first executed job starts a worker; `Settings(execute=False)`
    needs none. Faults on the connection itself need a server.
    """
    service = Service(settings or Settings(), auth.Tokens())

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await service.open()
        yield
        await service.close()

    app = Starlette(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers={RefusalError: _refused, HTTPException: _unknown},
    )
    app.state.service = service
    return Border(app, service)


def _routes() -> list[Route]:
    return [
        *jobs_api.routes(BASE),
        *backends_api.routes(BASE),
        *sessions_api.routes(BASE),
        Route("/identity/token", auth.identity_token, methods=["POST"]),
        Route("/gs/v3/resources/search", auth.search, methods=["POST"]),
        Route("/catalog/api/v1/{plan}", auth.catalog, methods=["GET"]),
        *control.routes(),
    ]


async def _refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, RefusalError):
        return refused(error)
    raise error


async def _unknown(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = f"{error.detail}: {request.method} {request.url.path}"
    return refused(RefusalError(error.status_code, error.status_code, message))
