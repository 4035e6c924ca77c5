"""From an error reply to the exception that says what a caller can do about it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import AuthError, ProtocolError, RejectedError, ThrottledError
from qawait.ibm.wire.reading import decode, scrub

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from qawait.ibm.wire.message import Reply, Request
    from qawait.secret import Secret

# The codes are from the service's error registry, which is itself incomplete: only those that
# change what a caller does are named.
CREDENTIAL_CODES: Final = frozenset({1200, 1201})
THROTTLED_CODE: Final = 1202

_INTEGER = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def expect(
    reply: Reply,
    request: Request,
    *,
    statuses: Collection[int] = (HTTPStatus.OK,),
    hide: Iterable[Secret] = (),
    quote: bool = True,
) -> None:
    """Return if the reply has one of the expected statuses, else raise what it amounts to.

    Raises:
        AuthError: 401, or a refusal that names the credentials (codes 1200, 1201).
        ThrottledError: 429, code 1202, or a 5xx that says when to come back.
        RejectedError: any other 4xx or 5xx. A `status` of 500 or more says that
            the service failed: a query may be repeated, and what became of a
            submit or a cancel is unknown.
        ProtocolError: a status that means nothing here.
    """
    if reply.status in statuses:
        return
    if not HTTPStatus.BAD_REQUEST <= reply.status < 600:  # noqa: PLR2004 - the end of the 5xx
        raise ProtocolError(f"{request.name}: unexpected status {reply.status}")
    raise refusal(reply, request, hide=hide, quote=quote)


def refusal(
    reply: Reply, request: Request, *, hide: Iterable[Secret] = (), quote: bool = True
) -> RejectedError:
    """Return the exception that a 4xx or 5xx reply amounts to.

    `hide` is what it must not repeat. `quote` allows it an excerpt of a body
    that is not the service's own.
    """
    said = _said(reply, tuple(hide), quote=quote)
    wait = retry_after(reply)
    kind = _kind(reply.status, said.code, wait)
    error = kind(
        said.message_for(request.name, reply.status),
        status=reply.status,
        code=said.code,
        service_message=said.message,
        solution=said.solution,
        trace=said.trace,
        request=request.name,
    )
    if isinstance(error, ThrottledError):
        error.retry_after = wait
    return error


def _kind(status: int, code: int | str | None, wait: float | None) -> type[RejectedError]:
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.UNAUTHORIZED or (code in CREDENTIAL_CODES and not failed):
        return AuthError
    throttled = status == HTTPStatus.TOO_MANY_REQUESTS or code == THROTTLED_CODE
    return ThrottledError if throttled or (failed and wait is not None) else RejectedError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an error body says, as far as it can be read."""

    message: str | None = None
    code: int | str | None = None
    solution: str | None = None
    trace: str | None = None

    def message_for(self, name: str, status: int) -> str:
        verb = "failed" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "was refused"
        text = f"{name} {verb} with status {status}"
        if self.message:
            text += f": {self.message}"
        if self.code is not None:
            text += f" (code {self.code})"
        return f"{text} {self.solution}" if self.solution else text


def _said(reply: Reply, hide: tuple[Secret, ...], *, quote: bool) -> _Said:
    value, problem = decode(reply.body)
    if problem is not None or not isinstance(value, dict):
        quoted = scrub(reply.body, hide=hide) if quote else None
        return _Said(message=f"the answer is not the service's own: {quoted}" if quoted else None)
    first = _first_error(value)
    return _Said(
        message=_text(first, hide, "message", "errorMessage", "error", "detail", "title"),
        code=_code(first, hide),
        solution=_text(first, hide, "solution"),
        trace=_trace(value, hide),
    )


def _first_error(value: dict[str, Any]) -> Mapping[str, Any]:
    """Return the part that describes the error: IBM's list, a single one, or the whole."""
    errors = value.get("errors")
    if isinstance(errors, list) and errors:
        return errors[0] if isinstance(errors[0], dict) else {"message": errors[0]}
    error = value.get("error")
    return error if isinstance(error, dict) else value


def _text(said: Mapping[str, Any], hide: tuple[Secret, ...], *keys: str) -> str | None:
    for key in keys:
        text = said.get(key)
        if isinstance(text, str) and text.strip():
            return scrub(text, hide=hide, limit=limits.ERROR_MESSAGE_BYTES) or None
    return None


def _code(said: Mapping[str, Any], hide: tuple[Secret, ...]) -> int | str | None:
    """Return a number as such, also if it is written as a text, and any other word as it is."""
    for key in ("code", "errorCode"):
        code = said.get(key)
        if isinstance(code, int | str) and not isinstance(code, bool):
            word = scrub(str(code), hide=hide, limit=64)
            if word:
                return int(word) if _INTEGER.fullmatch(word) else word
    return None


def _trace(value: Mapping[str, Any], hide: tuple[Secret, ...]) -> str | None:
    context = value.get("context")
    inner = context if isinstance(context, dict) else {}
    return _text(value, hide, "trace") or _text(inner, hide, "requestId")


def retry_after(reply: Reply) -> float | None:
    """Return the seconds that `Retry-After` asks for, at most `limits.RETRY_AFTER_CAP_SECONDS`.

    Both forms of RFC 9110 are read; a date counts from the reply's own `Date`,
    so that a wrong clock here does no harm. Anything else is as if absent.
    """
    hint = reply.headers.get("retry-after", "").strip()
    seconds = float(hint) if _NUMBER.fullmatch(hint) else _until(hint, reply)
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), limits.RETRY_AFTER_CAP_SECONDS)


def _until(hint: str, reply: Reply) -> float | None:
    then = _date(hint)
    if then is None:
        return None
    sent = _date(reply.headers.get("date", ""))
    now = sent.timestamp() if sent is not None else reply.at
    return None if now is None else then.timestamp() - now


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date is not None and date.tzinfo is None else date
