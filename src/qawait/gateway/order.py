"""What a caller asks for, checked: the body of `POST /run`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.requests import ClientDisconnect

from qawait import limits
from qawait.gateway.disconnect import ClientGone
from qawait.gateway.problems import ProblemError

if TYPE_CHECKING:
    from starlette.requests import Request

    from qawait.gateway.settings import Settings
    from qawait.types import OnCancel

DEFAULT_SHOTS: Final = 1_024
_FIELDS: Final = frozenset({"code", "backend", "shots", "name", "on_cancel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One job as a caller asks for it."""

    code: str
    backend: str
    shots: int
    name: str | None
    on_cancel: OnCancel | None


async def ordered(request: Request, settings: Settings) -> Order:
    """Return what a request asks for.

    Raises:
        ProblemError: it is too large, no JSON, or says something that it should not.
    """
    body = await json_body(request, settings.body_bytes)
    _check_fields(body, _FIELDS)
    on_cancel = body.get("on_cancel")
    if on_cancel not in (None, "cancel", "detach"):
        raise wrong("on_cancel", 'on_cancel is "cancel" or "detach"')
    return Order(
        code=code_of(body, settings),
        backend=_line(body, "backend", is_needed=True) or "",
        shots=_shots(body, settings),
        name=_line(body, "name"),
        on_cancel=on_cancel,
    )


async def code_asked(request: Request, settings: Settings) -> str:
    """Return the circuit of a request that has nothing but one.

    Raises:
        ProblemError: as `ordered`.
    """
    body = await json_body(request, settings.body_bytes)
    _check_fields(body, frozenset({"code"}))
    return code_of(body, settings)


def wrong(field: str, detail: str) -> ProblemError:
    """Return what is wrong with one member of a body."""
    return ProblemError(422, detail, errors=[{"pointer": f"/{field}"}])


def code_of(body: dict[str, Any], settings: Settings) -> str:
    """Return the OpenQASM text of a body."""
    code = body.get("code")
    if not isinstance(code, str) or not code.strip():
        raise wrong("code", "code is a circuit as OpenQASM 3 text")
    if len(code.encode(errors="replace")) > settings.code_bytes:
        raise wrong("code", f"code has up to {settings.code_bytes} bytes")
    if not _is_text(code):
        raise wrong("code", "code holds what is no Unicode text")
    return code


def _is_text(given: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in given) and "\0" not in given


def _shots(body: dict[str, Any], settings: Settings) -> int:
    shots = body.get("shots", DEFAULT_SHOTS)
    if type(shots) is not int or not 1 <= shots <= settings.shots:
        raise wrong("shots", f"shots is a whole number from 1 to {settings.shots}")
    return shots


def _line(body: dict[str, Any], field: str, *, is_needed: bool = False) -> str | None:
    value = body.get(field)
    if value is None and not is_needed:
        return None
    most = limits.GATEWAY_NAME_CHARACTERS
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise wrong(field, f"{field} is a line of 1 to {most} characters")
    if not value.isprintable():
        raise wrong(field, f"{field} holds characters that cannot be printed")
    return value.strip()


def _check_fields(body: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(set(body) - known):
        names = ", ".join(sorted(known))
        raise wrong(unknown[0][:100], f"there is no member {unknown[0]!r:.100}; there are {names}")


async def json_body(request: Request, most: int) -> dict[str, Any]:
    """Return a request's body, which must be a JSON object of a bounded size.

    Raises:
        ProblemError: it is not.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(415, "send application/json")
    text = await _body(request, most)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise ProblemError(400, "the body is no JSON object")
    return body


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    try:
        with anyio.fail_after(limits.GATEWAY_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise ProblemError(413, f"a request has up to {most} bytes")
                parts.append(part)
    except TimeoutError:
        raise ProblemError(408, "the request took too long to arrive") from None
    except ClientDisconnect:
        raise ClientGone from None
    return b"".join(parts)
