"""The control API below `/_emulator/`: look at the service, script it, harm it."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from qawait.errors import ConfigError

from . import answers, clock
from .answers import RefusalError, nothing, plain
from .auth import unauthorised
from .faults import read_fault
from .ledger import KEY_HEADER
from .scripts import read_script
from .service import Service
from .settings import shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .store import Job

Action = Callable[[Service, dict[str, Any]], Any]


def _action(action: Action) -> Callable[[Request], Awaitable[Response]]:
    """Make a route of an action on the service: JSON in, JSON out, the key required."""

    async def controlled(request: Request) -> Response:
        service: Service = request.app.state.service
        given = request.headers.get(KEY_HEADER, "").encode()
        if not hmac.compare_digest(given, service.settings.token.reveal().encode()):
            raise unauthorised()
        body = await request.body()
        asked: dict[str, Any] = answers.parsed(body) if body else dict(request.query_params)
        return _answer(service, action, asked)

    return controlled


def _answer(service: Service, action: Action, asked: dict[str, Any]) -> Response:
    try:
        value = action(service, asked)
    except (ConfigError, TypeError, ValueError) as error:
        raise RefusalError(400, 1208, str(error)) from error
    return nothing() if value is None else plain(value)


def _find(service: Service, job_id: Any) -> Job:
    job = service.store.get(job_id)
    if job is None:
        raise RefusalError(404, 1291, f"Job not found. Job ID: {job_id}")
    return job


def _ping(service: Service, _asked: dict[str, Any]) -> Any:
    return {"instance": service.settings.instance, "backends": sorted(service.devices)}


def _ledger(service: Service, asked: dict[str, Any]) -> Any:
    since = int(asked.pop("since", 0))
    entries = service.ledger.select(since=since, **asked)
    return {"entries": [dataclasses.asdict(entry) for entry in entries]}


def _clear_ledger(service: Service, _asked: dict[str, Any]) -> None:
    service.ledger.clear()


def _reset(service: Service, _asked: dict[str, Any]) -> None:
    service.reset()


def _faults(service: Service, _asked: dict[str, Any]) -> Any:
    return {"faults": [fault.described() for fault in service.faults]}


def _add_fault(service: Service, asked: dict[str, Any]) -> Any:
    return {"id": service.faults.add(read_fault(asked))}


def _clear_faults(service: Service, asked: dict[str, Any]) -> None:
    if "id" not in asked:
        service.faults.clear()
    elif fault := service.faults.find(int(asked["id"])):
        service.faults.remove(fault)


def _release_fault(service: Service, asked: dict[str, Any]) -> None:
    if fault := service.faults.find(int(asked["id"])):
        fault.released.set()


def _script(service: Service, asked: dict[str, Any]) -> Any:
    job_id = asked.pop("job_id", None)
    script, selection = read_script(asked)
    if job_id is None:
        return {"id": service.scripts.add(script, **selection)}
    job = _find(service, job_id)
    job.script = script
    service.scheduler.direct(job)
    return {"id": None}


def _clear_scripts(service: Service, _asked: dict[str, Any]) -> None:
    service.scripts.clear()


def _hold(service: Service, asked: dict[str, Any]) -> None:
    stage = asked.get("stage", "queued")
    if stage not in ("queued", "running"):
        raise ConfigError(f"a job is held 'queued' or 'running', not {stage!r}")
    job_id = asked.get("job_id")
    service.scheduler.hold(stage, _find(service, job_id) if job_id else None)


def _release(service: Service, asked: dict[str, Any]) -> None:
    job_id = asked.get("job_id")
    service.scheduler.release(_find(service, job_id) if job_id else None)


def _jobs(service: Service, asked: dict[str, Any]) -> Any:
    only = asked.get("job_id")
    jobs = [_find(service, only)] if only else list(service.store)
    return {"jobs": [_described(job) for job in jobs]}


def _described(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "number": job.number,
        "status": job.status,
        "reason": job.reason,
        "code": job.code,
        "backend": job.backend,
        "program": job.program,
        "tags": list(job.tags),
        "cost": job.cost,
        "private": job.private,
        "session_id": job.session_id,
        "cancels": job.cancels,
        "cancels_accepted": job.cancels_accepted,
        "created": clock.stamp(job.created),
    }


def _sessions(service: Service, _asked: dict[str, Any]) -> Any:
    return {"sessions": [session.seen() for session in service.sessions]}


def _expire(service: Service, asked: dict[str, Any]) -> None:
    service.sessions.expire(service.sessions.find(str(asked["id"])))


def _add_instance(service: Service, asked: dict[str, Any]) -> Any:
    return {"crn": service.add_instance(asked).crn}


def _settings(service: Service, _asked: dict[str, Any]) -> Any:
    return shown(service.settings)


def _change(service: Service, asked: dict[str, Any]) -> Any:
    service.change(asked)
    return shown(service.settings)


def _revoke(service: Service, _asked: dict[str, Any]) -> None:
    service.tokens.revoke_all()


_ACTIONS: tuple[tuple[str, str, Action], ...] = (
    ("GET", "ping", _ping),
    ("GET", "ledger", _ledger),
    ("DELETE", "ledger", _clear_ledger),
    ("POST", "reset", _reset),
    ("GET", "faults", _faults),
    ("POST", "faults", _add_fault),
    ("DELETE", "faults", _clear_faults),
    ("POST", "faults/release", _release_fault),
    ("POST", "scripts", _script),
    ("DELETE", "scripts", _clear_scripts),
    ("POST", "hold", _hold),
    ("POST", "release", _release),
    ("GET", "jobs", _jobs),
    ("GET", "sessions", _sessions),
    ("POST", "sessions/expire", _expire),
    ("POST", "instances", _add_instance),
    ("GET", "settings", _settings),
    ("PATCH", "settings", _change),
    ("POST", "revoke", _revoke),
)


def routes() -> list[Route]:
    """Return the routes of the control API."""
    return [
        Route(f"/_emulator/{path}", _action(action), methods=[method])
        for method, path, action in _ACTIONS
    ]
