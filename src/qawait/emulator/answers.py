"""Answers in the service's own shapes: JSON, 204 without a body, documented errors."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
# Below this a packet is a packet; above the second, compressing would stall the loop.
GZIP_FROM_BYTES = 1024
THREAD_FROM_BYTES = 256 * 1024


class RefusalError(Exception):
    """The request is refused with an HTTP status and one of the service's error codes."""

    def __init__(self, status: int, code: int, message: str, solution: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.solution = solution
        self.headers: dict[str, str] = {}


def plain(content: Any, status: int = 200) -> Response:
    """Answer with a value as compact JSON."""
    return Response(dump(content), status, media_type=JSON)


def dump(content: Any) -> bytes:
    """Return a value as compact JSON bytes."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def nothing() -> Response:
    """Answer 204: no body and no length."""
    return Response(status_code=204)


async def large(request: Request, body: bytes, media_type: str = JSON) -> Response:
    """Answer with stored bytes, gzip'ed when they are many and the client asks for it."""
    if len(body) < GZIP_FROM_BYTES or "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(body, media_type=media_type)
    packed = await _packed(body)
    return Response(packed, headers={"Content-Encoding": "gzip"}, media_type=media_type)


async def _packed(body: bytes) -> bytes:
    if len(body) < THREAD_FROM_BYTES:
        return gzip.compress(body, 1)
    return await anyio.to_thread.run_sync(gzip.compress, body, 1)


def error_body(code: int, message: str, solution: str = "") -> bytes:
    """Return the documented error body, with a trace id of its own."""
    more = f"https://quantum.cloud.ibm.com/docs/errors#error-code-{code}"
    error = {"code": code, "message": message, "solution": solution, "more_info": more}
    return dump({"errors": [error], "trace": uuid.uuid4().hex})


def refused(refusal: RefusalError) -> Response:
    """Answer a refusal with its documented error body."""
    body = error_body(refusal.code, refusal.message, refusal.solution)
    return Response(body, refusal.status, headers=refusal.headers, media_type=JSON)


def parsed(body: bytes) -> dict[str, Any]:
    """Return a request's JSON object; refuse anything else, however deep it is nested."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {type(error).__name__}.") from error
    if not isinstance(value, dict):
        raise invalid("The request body must be a JSON object.")
    return value


def invalid(message: str) -> RefusalError:
    """Return the refusal of a request that fails validation."""
    return RefusalError(400, 1208, f"Request validation failed: {message}", "Check the request.")
