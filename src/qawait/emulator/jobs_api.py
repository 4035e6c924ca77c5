"""The routes about jobs."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import answers, clock
from .answers import JSON, TEXT, RefusalError, invalid
from .auth import check_token, instance_of
from .scripts import PLAIN
from .service import Service
from .settings import MAX_PAGE
from .store import COMPLETED, FAILED, Job, Query
from .validate import Submit, read_submit, read_tags

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.datastructures import QueryParams

    from .instances import Instance
    from .ledger import Entry

KNOWN_VERSIONS = (
    "2024-01-01",
    "2025-01-01",
    "2025-05-01",
    "2026-02-01",
    "2026-02-15",
    "2026-03-15",
    "2026-04-15",
)
Handler = Callable[[Request], Awaitable[Response]]
JobHandler = Callable[[Request, Service, Job], Awaitable[Response]]


def authorised(handler: Callable[[Request, Service], Awaitable[Response]]) -> Handler:
    """Let only requests with a good token, the instance and a known API version through."""

    @functools.wraps(handler)
    async def checked(request: Request) -> Response:
        service: Service = request.app.state.service
        check_token(request, service)
        request.state.instance = instance_of(request, service)
        version = request.headers.get("ibm-api-version", KNOWN_VERSIONS[-1])
        if version not in KNOWN_VERSIONS:
            raise invalid(f"IBM-API-Version {version} is not supported.")
        return await handler(request, service)

    return checked


def instance_here(request: Request) -> Instance:
    """Return the instance an authorised request is about."""
    instance: Instance = request.state.instance
    return instance


def about_job(handler: JobHandler) -> Handler:
    """Hand a route its job, or answer 404."""

    @authorised
    @functools.wraps(handler)
    async def found(request: Request, service: Service) -> Response:
        job_id = request.path_params["job_id"]
        job = service.store.get(job_id)
        if job is None or job.instance != instance_here(request).crn:
            raise RefusalError(404, 1291, f"Job not found. Job ID: {job_id}")
        return await handler(request, service, job)

    return found


@authorised
async def create(request: Request, service: Service) -> Response:
    """Accept a job."""
    body = await request.body()
    entry: Entry = request.scope["qawait.entry"]
    submit = read_submit(answers.parsed(body))
    entry.tags = submit.tags
    _check_place(service, submit, instance_here(request))
    _check_limits(service)
    job = _new_job(service, submit, body, request)
    entry.job_id = job.id
    service.store.add(job)
    service.scheduler.submit(job)
    service.sessions.noticed(job)
    optional = {"session_id": job.session_id, "private": job.private or None}
    said = {name: value for name, value in optional.items() if value is not None}
    return answers.plain({"id": job.id, "backend": job.backend, **said})


def _check_place(service: Service, submit: Submit, instance: Instance) -> None:
    service.device(submit.backend, instance)
    if submit.session_id is not None:
        session = service.sessions.find(submit.session_id, instance)
        session.check_accepts(submit.backend)


def _check_limits(service: Service) -> None:
    per_minute, most = service.settings.submits_per_minute, service.settings.pending_limit
    if per_minute is not None and service.submits_in_last_minute() >= per_minute:
        raise RefusalError(
            429, 1202, f"Too many job requests received: limit is {per_minute} per minute"
        )
    if most is not None and service.store.pending >= most:
        raise RefusalError(
            400,
            3458,
            f"You have reached the limit of {most} pending jobs. Please wait for a job to "
            "complete or cancel one before submitting anything new.",
        )


def _new_job(service: Service, submit: Submit, body: bytes, request: Request) -> Job:
    service.submitted += 1
    service.submits.append(time.monotonic())
    script = service.scripts.take(submit.tags, submit.program, submit.backend)
    return Job(
        id=service.ids.make(),
        instance=instance_here(request).crn,
        number=service.submitted,
        backend=submit.backend,
        program=submit.program,
        request=body,
        created=service.calendar.now(),
        tags=submit.tags,
        cost=submit.cost,
        session_id=submit.session_id,
        private=submit.private,
        support_qiskit=submit.support_qiskit,
        caller=request.headers.get("x-qx-client-application", ""),
        visible_at=time.monotonic() + service.settings.list_lag,
        script=script or PLAIN,
    )


@authorised
async def listing(request: Request, service: Service) -> Response:
    """List jobs, newest first, with the filters the service has."""
    asked = request.query_params
    query = _read_query(asked, instance_here(request))
    count, jobs = service.store.select(query)
    with_params = not _flag(asked.get("exclude_params"), default=True)
    rendered = [job.render_with_params() if with_params else job.render() for job in jobs]
    tail = f'],"count":{count},"limit":{query.limit},"offset":{query.offset}}}'
    return await answers.large(request, b'{"jobs":[' + b",".join(rendered) + tail.encode())


def _read_query(asked: QueryParams, instance: Instance) -> Query:
    pending = asked.get("pending")
    return Query(
        instance=instance.crn,
        limit=_limit(asked.get("limit")),
        offset=_offset(asked.get("offset")),
        ascending=asked.get("sort", "DESC").upper() == "ASC",
        pending=None if pending is None else _flag(pending, default=False),
        tags=tuple(dict.fromkeys(asked.getlist("tags"))),
        program=asked.get("program"),
        backend=asked.get("backend"),
        session_id=asked.get("session_id"),
        created_after=_instant(asked, "created_after"),
        created_before=_instant(asked, "created_before"),
    )


def _limit(text: str | None) -> int:
    # Out of range is silently the default, as documented; so is what is no number.
    limit = int(text) if text is not None and text.isdecimal() else MAX_PAGE
    return limit if 1 <= limit <= MAX_PAGE else MAX_PAGE


def _offset(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _flag(text: str | None, *, default: bool) -> bool:
    return default if text is None else text.lower() == "true"


def _instant(asked: QueryParams, name: str) -> datetime | None:
    text = asked.get(name)
    if text is None:
        return None
    try:
        return clock.parse(text)
    except ValueError:
        raise invalid(f"{name} must be an ISO 8601 time.") from None


@about_job
async def get(request: Request, _service: Service, job: Job) -> Response:
    """Show a job; with its parameters unless the client excludes them."""
    if _flag(request.query_params.get("exclude_params"), default=False):
        return Response(job.render(), media_type=JSON)
    return await answers.large(request, job.render_with_params())


@about_job
async def delete(_request: Request, service: Service, job: Job) -> Response:
    """Forget a job that is final."""
    if not job.final:
        raise RefusalError(400, 1214, "Job is not in a terminal state")
    service.store.remove(job)
    return answers.nothing()


@about_job
async def cancel(_request: Request, service: Service, job: Job) -> Response:
    """Cancel a job that is not final."""
    if not service.scheduler.cancel(job):
        raise RefusalError(409, 1211, "Job is in a non-cancellable state.")
    return answers.nothing()


@about_job
async def results(request: Request, _service: Service, job: Job) -> Response:
    """Give a result as it was stored; that of a private job only once."""
    if job.result is None:
        return answers.nothing()
    if job.private:
        # Documented to be readable once; how the second reading is answered is not.
        if job.taken:
            raise RefusalError(404, 1294, "The result of a private job can be read only once.")
        job.taken = True
    kind = TEXT if job.status == FAILED else JSON
    return await answers.large(request, job.result, kind)


@about_job
async def logs(_request: Request, _service: Service, job: Job) -> Response:
    """Give a job's log as plain text."""
    return Response("".join(job.log), media_type=TEXT)


@about_job
async def metrics(_request: Request, _service: Service, job: Job) -> Response:
    """Give a job's times and charge."""
    times = {"created": job.created, "running": job.running_at, "finished": job.finished_at}
    executed = job.status == COMPLETED and job.settled
    return answers.plain(
        {
            "timestamps": {name: at and clock.stamp(at) for name, at in times.items()},
            "usage": job.usage(),
            "circuits_execution_time_ns": job.charged * 10**9 if executed else 0,
            "qiskit_version": _qiskit_version(),
            "caller": job.caller.rpartition("/")[2],
        }
    )


@functools.cache
def _qiskit_version() -> str:
    return importlib.metadata.version("qiskit")


@about_job
async def set_tags(request: Request, service: Service, job: Job) -> Response:
    """Replace a job's tags."""
    body: dict[str, Any] = answers.parsed(await request.body())
    service.store.retag(job, read_tags(body.get("tags")))
    return answers.nothing()


def routes(base: str) -> list[Route]:
    """Return the routes about jobs, below a base path; the most asked first."""
    one = f"{base}/jobs/{{job_id}}"
    return [
        Route(one, get, methods=["GET"]),
        Route(f"{base}/jobs", listing, methods=["GET"]),
        Route(f"{base}/jobs", create, methods=["POST"]),
        Route(f"{one}/results", results, methods=["GET"]),
        Route(f"{one}/cancel", cancel, methods=["POST"]),
        Route(f"{one}/metrics", metrics, methods=["GET"]),
        Route(f"{one}/logs", logs, methods=["GET"]),
        Route(f"{one}/tags", set_tags, methods=["PUT"]),
        Route(one, delete, methods=["DELETE"]),
    ]
