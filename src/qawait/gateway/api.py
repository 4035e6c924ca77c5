"""The endpoints: each reads a request, asks the jobs, and tells what they said."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from qawait import limits
from qawait.errors import ConfigError, QawaitError
from qawait.gateway import openapi
from qawait.gateway.disconnect import ClientGone, until_disconnect
from qawait.gateway.order import code_asked, ordered
from qawait.gateway.problems import ProblemError
from qawait.gateway.readers import ReaderError
from qawait.types import JobStatus
from qawait.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from qawait.gateway.app import Gateway
    from qawait.gateway.record import Record

_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class Api:
    """The endpoints of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._backends: tuple[float, list[dict[str, Any]]] | None = None
        self._asking = anyio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes, named as the metrics name them."""
        return [
            Route("/run", self.run, methods=["POST"]),
            Route("/circuit", self.circuit, methods=["POST"]),
            Route("/job/{job_id}/status", self.status),
            Route("/job/{job_id}/result", self.result),
            Route("/job/{job_id}/cancel", self.cancel, methods=["POST"]),
            Route("/job/{job_id}/events", self.events),
            Route("/job/{job_id}/history", self.history),
            Route("/job/{job_id}/code", self.code),
            Route("/jobs", self.jobs),
            Route("/events", self.all_events),
            Route("/backends", self.backends),
            Route("/healthz", self.healthz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]

    # --- one job ---------------------------------------------------------------------------------

    async def run(self, request: Request) -> Response:
        """Accept a job; with `?wait=`, answer when it has ended or so many seconds have passed."""
        jobs = self._gateway.jobs
        seconds = _seconds(request, jobs.settings.wait_seconds)
        order = await ordered(request, jobs.settings)
        if seconds is None:
            return _accepted(request, await jobs.accept(order))
        with self._stream():
            record = await jobs.accept(order)
            try:
                async with until_disconnect(request):
                    with anyio.move_on_after(seconds):
                        await jobs.ended(record)
            except ClientGone:
                jobs.abandon(record)
                raise
        if record.status is JobStatus.DONE:
            counts = json.loads(await jobs.result(record))
            return _json({**_brief(record), "counts": counts}, headers=_location(request, record))
        return _accepted(request, record)

    async def status(self, request: Request) -> Response:
        """Tell where a job is."""
        jobs = self._gateway.jobs
        record = self._record(request)
        wait = record.retry_after(jobs.clock())
        body = {**record.view(), "retry_after": wait}
        return _json(body, headers={} if wait is None else {"Retry-After": str(wait)})

    async def result(self, request: Request) -> Response:
        """Give the counts of a job that is done."""
        body = await self._gateway.jobs.result(self._record(request))
        return Response(body, media_type="application/json")

    async def cancel(self, request: Request) -> Response:
        """Cancel a job and tell what became of that; again is the same."""
        record = self._record(request)
        outcome = await self._gateway.jobs.cancel(record)
        return _json({**_brief(record), "outcome": outcome.value})

    async def events(self, request: Request) -> Response:
        """Stream a job's changes, after the one that the reader saw last."""
        record, after = self._record(request), _last_event(request)
        if record.is_final and after is not None and record.events[-1]["id"] <= after:
            return Response(status_code=204)  # what tells an EventSource to stay away
        return self._streaming(self._gateway.jobs.changes.of_job(record, after or 0))

    async def history(self, request: Request) -> Response:
        """Give a job's changes so far, oldest first."""
        return _json({"events": self._record(request).events})

    async def code(self, request: Request) -> Response:
        """Give a job's circuit as it was sent."""
        record = self._record(request)
        return PlainTextResponse(await self._gateway.jobs.store.code(record.job_id))

    def _record(self, request: Request) -> Record:
        return self._gateway.jobs.get(request.path_params["job_id"])

    # --- all jobs --------------------------------------------------------------------------------

    async def jobs(self, request: Request) -> Response:
        """List jobs, newest first, a page at a time."""
        before = _number(request, "before", None)
        limit = min(_number(request, "limit", 50) or 1, limits.GATEWAY_PAGE)
        found = self._gateway.jobs.listed(before=before, status=_status(request))
        page = [record for record, _ in zip(found, range(limit), strict=False)]
        following = page[-1].number if len(page) == limit else None
        return _json({"jobs": [record.view() for record in page], "next": following})

    async def all_events(self, request: Request) -> Response:
        """Stream the changes of all jobs."""
        changes = self._gateway.jobs.changes
        return self._streaming(changes.of_all(_last_event(request)))

    def _streaming(self, lines: AsyncIterator[bytes]) -> Response:
        place = self._stream()
        place.check()

        async def streamed() -> AsyncIterator[bytes]:
            with place:
                async for line in lines:
                    if line:
                        yield line

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(streamed(), media_type="text/event-stream", headers=headers)

    def _stream(self) -> _Place:
        return _Place(self._gateway)

    # --- beside the jobs -------------------------------------------------------------------------

    async def circuit(self, request: Request) -> Response:
        """Read a circuit and draw it."""
        jobs = self._gateway.jobs
        code = await code_asked(request, jobs.settings)
        try:
            return _json(await jobs.readers.draw(code))
        except ConfigError as error:
            raise ProblemError(422, error.message, errors=[{"pointer": "/code"}]) from error
        except ReaderError as error:
            raise ProblemError(503, error.message, headers={"Retry-After": "1"}) from error

    async def backends(self, _request: Request) -> Response:
        """List the backends that jobs can be sent to."""
        async with self._asking:
            now = anyio.current_time()
            known = self._backends
            if known is None or now - known[0] > limits.GATEWAY_BACKENDS_SECONDS:
                known = self._backends = (now, await self._ask_backends())
        return _json({"backends": known[1]})

    async def _ask_backends(self) -> list[dict[str, Any]]:
        try:
            found = await self._gateway.jobs.client.backends()
        except QawaitError as error:
            raise ProblemError(502, f"the service did not answer: {error.message}") from error
        return [
            {
                "name": backend.name,
                "num_qubits": backend.num_qubits,
                "operational": backend.operational,
                "status": backend.status,
                "queue_length": backend.queue_length,
                "simulator": backend.simulator,
            }
            for backend in sorted(found, key=lambda backend: backend.name)
        ]

    async def healthz(self, _request: Request) -> Response:
        """Tell that the gateway takes jobs."""
        if self._gateway.jobs.is_stopping:
            raise ProblemError(503, "the gateway is being stopped")
        return _json({"status": "ok", "version": __version__})

    async def metrics(self, _request: Request) -> Response:
        """Give the figures that Prometheus collects."""
        text = self._gateway.metrics.text(self._gateway.jobs)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """Describe the endpoints."""
        return _json(
            openapi.document(request.scope.get("root_path") or "/", self._gateway.settings)
        )


class _Place:
    """One of the streams that may be open at a time."""

    def __init__(self, gateway: Gateway) -> None:
        self._changes = gateway.jobs.changes
        self._most = gateway.settings.streams

    def check(self) -> None:
        if self._changes.streams >= self._most:
            detail = f"{self._changes.streams} streams are open, which is as many as may be"
            raise ProblemError(429, detail, headers={"Retry-After": "5"})

    def __enter__(self) -> None:
        self.check()
        self._changes.streams += 1

    def __exit__(self, *_: object) -> None:
        self._changes.streams -= 1


def _brief(record: Record) -> dict[str, Any]:
    return {"job_id": record.job_id, "status": record.status.value, "reason": record.reason}


def _accepted(request: Request, record: Record) -> Response:
    return _json(_brief(record), 202, _location(request, record))


def _location(request: Request, record: Record) -> dict[str, str]:
    return {"Location": f"{request.scope.get('root_path', '')}/job/{record.job_id}/status"}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers, media_type="application/json")


def _number(request: Request, name: str, default: int | None) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not _NUMBER.fullmatch(given):
        raise ProblemError(400, f"{name} is a whole number from 0 on")
    return int(given)


def _seconds(request: Request, most: float) -> float | None:
    given = request.query_params.get("wait")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= most:
        raise ProblemError(400, f"wait is seconds from 0 to {most:g}")
    return seconds


def _status(request: Request) -> JobStatus | None:
    given = request.query_params.get("status")
    if given is None:
        return None
    try:
        return JobStatus(given)
    except ValueError:
        raise ProblemError(400, f"status is one of {', '.join(JobStatus)}") from None


def _last_event(request: Request) -> int | None:
    given = request.headers.get("last-event-id", "")
    return int(given) if _NUMBER.fullmatch(given) else None
