"""Sessions and batches: jobs that belong together."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from . import answers
from .answers import RefusalError, invalid
from .clock import stamp
from .jobs_api import authorised
from .store import QUEUED

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from .service import Service

DEFAULT_TTL_SECONDS = 28_800
MODES = ("dedicated", "batch")


@dataclasses.dataclass(slots=True, kw_only=True)
class Session:
    """A session or batch; it accepts jobs until it is closed or its time is over."""

    id: str
    backend: str
    mode: str
    max_ttl: int
    opened: datetime
    accepting: bool = True
    closed: datetime | None = None

    def check_accepts(self) -> None:
        """Refuse a job when the session takes no more."""
        if not self.accepting:
            raise RefusalError(400, 4001, f"The session {self.id} is closed.")

    def close(self, instant: datetime) -> None:
        """Take no more jobs."""
        self.accepting = False
        self.closed = self.closed or instant

    def described(self, now: datetime) -> dict[str, Any]:
        """Return the session as clients see it."""
        events = [("open", self.opened)] + ([("closed", self.closed)] if self.closed else [])
        elapsed = ((self.closed or now) - self.opened).total_seconds()
        return {
            "id": self.id,
            "backend_name": self.backend,
            "interactive_ttl": 60,
            "max_ttl": self.max_ttl,
            "active_ttl": self.max_ttl,
            "state": "open" if self.accepting else "closed",
            "accepting_jobs": self.accepting,
            "mode": self.mode,
            "user_id": "IBMid-000000EMUL",
            "timestamps": [{"status": word, "timestamp": stamp(at)} for word, at in events],
            "elapsed_time": int(elapsed),
        }


def _find(request: Request, service: Service) -> Session:
    session_id = request.path_params["session_id"]
    session = service.sessions.get(session_id)
    if session is None:
        raise RefusalError(404, 1293, f"Session not found. Session ID: {session_id}")
    return session


@authorised
async def create(request: Request, service: Service) -> Response:
    """Open a session or a batch."""
    body = answers.parsed(await request.body())
    mode, backend = body.get("mode"), body.get("backend")
    ttl = body.get("max_ttl", DEFAULT_TTL_SECONDS)
    if mode not in MODES:
        raise invalid(f"mode must be one of {list(MODES)}.")
    if not isinstance(backend, str) or backend not in service.devices:
        raise RefusalError(404, 1216, f"Backend not found. Backend: {backend}")
    if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < 1:
        raise invalid("max_ttl must be a positive integer.")
    now = service.calendar.now()
    session = Session(id=str(uuid.uuid4()), backend=backend, mode=mode, max_ttl=ttl, opened=now)
    service.sessions[session.id] = session
    return answers.plain(session.described(now))


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
    session.close(service.calendar.now())
    return answers.nothing()


@authorised
async def cancel(request: Request, service: Service) -> Response:
    """Close a session and drop its queued jobs; running ones finish."""
    session = _find(request, service)
    session.close(service.calendar.now())
    for job in list(service.store.pending_jobs()):
        if job.session_id == session.id and job.status == QUEUED:
            service.scheduler.drop(job, "The session was closed.")
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
