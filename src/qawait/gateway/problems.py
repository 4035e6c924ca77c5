"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
_CLIENT_GONE: Final = 499


class ProblemError(Exception):
    """What keeps a request from being answered; `more` are further members of the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> Response:
        """Return the answer that tells of it."""
        body = {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        text = json.dumps(body, ensure_ascii=False)
        return Response(text, self.status, media_type=MEDIA_TYPE, headers=self.headers)


def _title(status: int) -> str:
    return "Client Closed Request" if status == _CLIENT_GONE else HTTPStatus(status).phrase


async def refused(_request: Request, error: Exception) -> Response:
    """Answer a request that was refused here."""
    if isinstance(error, ProblemError):
        return error.response()
    raise error


async def unrouted(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: a path or method that is not there."""
    status = getattr(error, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR)
    detail = f"{getattr(error, 'detail', '')}: {request.method} {request.url.path:.200}"
    return ProblemError(status, detail, headers=getattr(error, "headers", None)).response()


async def failed(_request: Request, _error: Exception) -> Response:
    """Answer after an error of ours, without saying what it was; the log has it."""
    return ProblemError(500, "the gateway failed; its log says why").response()
