"""The endpoints, described in OpenAPI 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qawait import limits
from qawait.gateway.order import DEFAULT_SHOTS
from qawait.gateway.problems import MEDIA_TYPE
from qawait.types import CancelOutcome, JobStatus, Stage
from qawait.version import __version__

if TYPE_CHECKING:
    from qawait.gateway.settings import Settings

Schema: TypeAlias = dict[str, Any]

JSON: Final = "application/json"
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MAYBE_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_MAYBE_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}


def document(root: str, settings: Settings) -> Schema:
    """Return the description of a gateway that is reached at the path `root`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qawait gateway",
            "version": __version__,
            "description": "Quantum jobs over HTTP. Circuits are read, never executed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root}],
        "security": [{"bearer": []}] if settings.token else [],
        "paths": _paths(settings),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(settings),
        },
    }


def _paths(settings: Settings) -> Schema:
    return {
        "/run": {"post": _run(settings)},
        "/circuit": {"post": _circuit()},
        "/job/{job_id}/status": {"get": _of_job("status", "Where a job is.", _answer("Job"))},
        "/job/{job_id}/result": {"get": _result()},
        "/job/{job_id}/cancel": {"post": _cancel()},
        "/job/{job_id}/events": {"get": _events_of_job()},
        "/job/{job_id}/history": {
            "get": _of_job("history", "A job's changes so far, oldest first.", _answer("History"))
        },
        "/job/{job_id}/code": {
            "get": _of_job("code", "A job's circuit as it was sent.", _answer(_TEXT, "text/plain"))
        },
        "/jobs": {"get": _jobs()},
        "/events": {"get": _events()},
        "/backends": {
            "get": _plain("backends", "Where jobs can be sent.", "Backends", _problems(502))
        },
        "/healthz": {
            "get": {**_plain("healthz", "Whether jobs are taken.", "Health"), "security": []}
        },
        "/metrics": {"get": _metrics()},
        "/openapi.json": {
            "get": {**_plain("openapi", "This description.", {"type": "object"}), "security": []}
        },
    }


# --- operations ----------------------------------------------------------------------------------


def _run(settings: Settings) -> Schema:
    wait = {
        "name": "wait",
        "in": "query",
        "description": "Answer when the job has ended, or after so many seconds. A client that "
        "leaves meanwhile has its job's policy applied.",
        "schema": {"type": "number", "minimum": 0, "maximum": settings.wait_seconds},
    }
    return {
        "operationId": "run",
        "summary": "Accept a job; its submit goes on in the background.",
        "parameters": [wait],
        "requestBody": _body("Order"),
        "responses": {
            "200": {**_answer("Outcome"), "description": "With `wait`: it is done."},
            "202": {**_answer("Accepted"), "description": "It is accepted."},
            **_problems(400, 408, 413, 415, 422, 429, 507),
        },
    }


def _circuit() -> Schema:
    return {
        "operationId": "circuit",
        "summary": "Read a circuit and draw it.",
        "requestBody": _body("Code"),
        "responses": {"200": _answer("Drawing"), **_problems(400, 408, 413, 415, 422)},
    }


def _result() -> Schema:
    operation = _of_job("result", "The counts of every register.", _answer("Counts"))
    operation["responses"] |= _problems(409)
    return operation


def _cancel() -> Schema:
    return _of_job("cancel", "Cancel a job; asking again changes nothing.", _answer("Cancelled"))


def _of_job(name: str, summary: str, answer: Schema) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [
            {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ],
        "responses": {"200": answer, **_problems(404, 410)},
    }


def _events_of_job() -> Schema:
    operation = _of_job("events", "A job's changes as they come, until its end.", _stream())
    operation["parameters"].append(_LAST_EVENT)
    operation["responses"]["204"] = {"description": "The reader has seen the end."}
    operation["responses"] |= _problems(429)
    return operation


def _events() -> Schema:
    return {
        "operationId": "all_events",
        "summary": "The changes of all jobs as they come.",
        "parameters": [_LAST_EVENT],
        "responses": {"200": _stream(), **_problems(429)},
    }


_LAST_EVENT: Final[Schema] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The number of the event that was seen last.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
}


def _jobs() -> Schema:
    return {
        "operationId": "jobs",
        "summary": "Jobs, newest first.",
        "parameters": [
            _query("before", "Only jobs with a smaller number.", _NUMBER | {"maximum": 10**15 - 1}),
            _query(
                "limit",
                f"How many; {limits.GATEWAY_PAGE} at most.",
                _NUMBER | {"maximum": 10**15 - 1},
            ),
            _query("status", "Only jobs in this status.", _reference("Status")),
        ],
        "responses": {"200": _answer("Jobs"), **_problems(400)},
    }


def _metrics() -> Schema:
    return {
        "operationId": "metrics",
        "summary": "Figures for Prometheus.",
        "responses": {"200": _answer(_TEXT, "text/plain"), **_problems()},
    }


def _plain(name: str, summary: str, schema: str | Schema, more: Schema | None = None) -> Schema:
    responses = {"200": _answer(schema), **_problems(), **(more or {})}
    return {"operationId": name, "summary": summary, "responses": responses}


# --- parts of operations -------------------------------------------------------------------------


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _body(schema: str) -> Schema:
    return {"required": True, "content": {JSON: {"schema": _reference(schema)}}}


def _answer(schema: str | Schema, kind: str = JSON) -> Schema:
    described = _reference(schema) if isinstance(schema, str) else schema
    return {"description": "As asked for.", "content": {kind: {"schema": described}}}


def _stream() -> Schema:
    return {
        "description": "Server-sent events of the kind `status`, each a change as JSON; `reset` "
        "tells a reader who was away for too long to list the jobs anew.",
        "content": {"text/event-stream": {"schema": _TEXT}},
    }


def _problems(*statuses: int) -> Schema:
    """Return the problems that an operation can meet, and those that each can."""
    content = {MEDIA_TYPE: {"schema": _reference("Problem")}}
    return {
        str(status): {"description": _PROBLEMS[status], "content": content}
        for status in (*statuses, 401, 403, 503)
    }


_PROBLEMS: Final = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "The caller may not ask here.",
    404: "There is no such job.",
    408: "The request took too long to arrive.",
    409: "The job is not done; `job_status` tells where it is.",
    410: "The job has expired.",
    413: "The request is too large.",
    415: "The body is not JSON.",
    422: "The job is not one that can be run; `errors` points at what is wrong.",
    429: "Too much is under way; come back after `Retry-After`.",
    502: "The quantum service did not answer.",
    503: "The gateway is being stopped, or does not run.",
    507: "The gateway's disk is full.",
}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# --- schemas -------------------------------------------------------------------------------------


def _schemas(settings: Settings) -> Schema:
    return {
        **_asked_for(settings),
        **_told(),
        "Status": {"type": "string", "enum": [status.value for status in JobStatus]},
        "Counts": {
            "type": "object",
            "description": "How often each bit string was measured, by classical register.",
            "additionalProperties": {"type": "object", "additionalProperties": _NUMBER},
            "examples": [{"c": {"00": 509, "11": 515}}],
        },
        "Problem": _object(
            {
                "type": _TEXT,
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": _TEXT,
            }
        ),
    }


def _asked_for(settings: Settings) -> Schema:
    line = {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.GATEWAY_NAME_CHARACTERS,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    }
    code = {
        "type": "string",
        "description": "OpenQASM 3.",
        "minLength": 1,
        "maxLength": settings.code_bytes,
    }
    shots = {"type": "integer", "minimum": 1, "maximum": settings.shots, "default": DEFAULT_SHOTS}
    policy = {
        "enum": ["cancel", "detach", None],
        "description": "What becomes of the job when the gateway stops, or when the client of a "
        "synchronous run leaves.",
    }
    maybe_line = {**line, "type": ["string", "null"]}
    order = {"code": code, "backend": line, "shots": shots, "name": maybe_line, "on_cancel": policy}
    return {
        "Order": {**_object(order, "code", "backend"), "additionalProperties": False},
        "Code": {**_object({"code": code}), "additionalProperties": False},
    }


def _told() -> Schema:
    brief = {"job_id": _TEXT, "status": _reference("Status"), "reason": _MAYBE_TEXT}
    outcomes = [outcome.value for outcome in CancelOutcome]
    size = _object(dict.fromkeys(("qubits", "clbits", "instructions", "depth"), _NUMBER))
    change = {
        "id": _NUMBER,
        "time": {"type": "number", "description": "Seconds since the epoch."},
        "stage": {"enum": [stage.name for stage in Stage]},
        "status": _reference("Status"),
        "raw_status": _MAYBE_TEXT,
        "reason": _MAYBE_TEXT,
        "estimated_seconds": _MAYBE_NUMBER,
        "cancel": _MAYBE_TEXT,
    }
    return {
        "Accepted": _object(brief),
        "Outcome": _object({**brief, "counts": _reference("Counts")}),
        "Cancelled": _object({**brief, "outcome": {"enum": outcomes}}),
        "Drawing": _object({"circuit": size, "drawing": _TEXT}),
        "Change": _object(change),
        "History": _object({"events": {"type": "array", "items": _reference("Change")}}),
        "Job": _job(size),
        "Jobs": _object(
            {"jobs": {"type": "array", "items": _reference("Job")}, "next": _MAYBE_NUMBER}
        ),
        "Backends": _object({"backends": {"type": "array", "items": _backend()}}),
        "Health": _object({"status": _TEXT, "version": _TEXT}),
    }


def _job(size: Schema) -> Schema:
    moments = ("created", "submitted", "started", "ended", "expires", "disconnected_since")
    members = {
        "job_id": _TEXT,
        "number": _NUMBER,
        "name": _MAYBE_TEXT,
        "backend": _TEXT,
        "shots": _NUMBER,
        "on_cancel": {"enum": ["cancel", "detach"]},
        "status": _reference("Status"),
        "stage": {"enum": [stage.name for stage in Stage]},
        "raw_status": _MAYBE_TEXT,
        "reason": _MAYBE_TEXT,
        "remote_id": _MAYBE_TEXT,
        "cancel": _MAYBE_TEXT,
        "circuit": {"anyOf": [size, {"type": "null"}]},
        "estimated_seconds": _MAYBE_NUMBER,
        "times": _object(dict.fromkeys(moments, _MAYBE_TIME)),
    }
    described = _object(members)
    described["properties"]["retry_after"] = _MAYBE_NUMBER  # of one job, not of listed ones
    return described


def _backend() -> Schema:
    return _object(
        {
            "name": _TEXT,
            "num_qubits": _NUMBER,
            "operational": {"type": "boolean"},
            "status": _TEXT,
            "queue_length": _MAYBE_NUMBER,
            "simulator": {"type": "boolean"},
        }
    )


def _object(members: Schema, *required: str) -> Schema:
    """Return an object with these members, all of them required unless some are named."""
    return {
        "type": "object",
        "properties": dict(members),
        "required": list(required or members),
    }
