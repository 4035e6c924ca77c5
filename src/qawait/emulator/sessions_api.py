"""The routes about sessions and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from . import answers
from .answers import invalid
from .jobs_api import authorised, instance_here
from .sessions import MODES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .service import Service
    from .sessions import Session

DEFAULT_TTL_SECONDS = 28_800


def _find(request: Request, service: Service) -> Session:
    return service.sessions.find(request.path_params["session_id"], instance_here(request))


@authorised
async def create(request: Request, service: Service) -> Response:
    """Open a session or a batch."""
    body = answers.parsed(await request.body())
    mode, backend = body.get("mode"), body.get("backend")
    ttl = body.get("max_ttl", DEFAULT_TTL_SECONDS)
    if mode not in MODES:
        raise invalid(f"mode must be one of {list(MODES)}.")
    device = service.device(str(backend), instance_here(request))
    if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < 1:
        raise invalid("max_ttl must be a positive integer.")
    session = service.sessions.open(instance_here(request), device.name, mode, ttl)
    return answers.plain(session.described(service.calendar.now()))


@authorised
async def get(request: Request, service: Service) -> Response:
    """Show a session."""
    return answers.plain(_find(request, service).described(service.calendar.now()))


@authorised
async def update(request: Request, service: Service) -> Response:
    """Stop accepting jobs: those already queued still run."""
    session = _find(request, service)
    if answers.parsed(await request.body()).get("accepting_jobs") is not False:
        raise invalid("accepting_jobs can only become false.")
    session.closes += 1
    service.sessions.close(session)
    return answers.nothing()


@authorised
async def cancel(request: Request, service: Service) -> Response:
    """Close a session and drop its queued jobs; running ones finish."""
    session = _find(request, service)
    session.cancels += 1
    service.sessions.cancel(session)
    return answers.nothing()


def routes(base: str) -> list[Route]:
    """Return the routes about sessions, below a base path."""
    one = f"{base}/sessions/{{session_id}}"
    return [
        Route(f"{base}/sessions", create, methods=["POST"]),
        Route(one, get, methods=["GET"]),
        Route(one, update, methods=["PATCH"]),
        Route(f"{one}/close", cancel, methods=["DELETE"]),
    ]
