"""JSON read strictly, and text from outside made harmless.

A function that finds a fault here returns it, and the one that raises holds
only the reply, whose repr is masked: a traceback with locals must not show the
text of a token reply.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from qawait import limits
from qawait.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.ibm.wire.message import Reply, Request
    from qawait.secret import Secret

_CREDENTIAL = re.compile(r"(?i)\b(bearer|apikey|api_key|access_token)\b([\s=:\"']*)[^\s\"'<>&,]+")
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""A JSON web token, ours or an earlier one of ours."""
_SCRUB_WINDOW = 64 * 1024


def json_of(reply: Reply, request: Request) -> Any:
    """Return the JSON of a reply, or raise `ProtocolError` with what is wrong with it."""
    problem = type_problem(reply)
    value = None
    if problem is None:
        value, problem = decode(reply.body)
    if problem is not None:
        raise ProtocolError(f"{request.name}: the answer {problem}")
    return value


def object_of(reply: Reply, request: Request) -> dict[str, Any]:
    """Return the JSON object of a reply, or raise `ProtocolError`."""
    value = json_of(reply, request)
    if not isinstance(value, dict):
        kind = type(value).__name__
        value = None
        raise ProtocolError(f"{request.name}: a JSON object was expected, not {kind}")
    return value


def page_of(reply: Reply, request: Request) -> dict[str, Any]:
    """Return the JSON object of a page of records, or raise `ProtocolError`.

    Pages come by the thousand, so they are read as leniently as `json` does: of
    a key that occurs twice the last value counts. Who reads a number from it
    sees whether it is finite.
    """
    problem = type_problem(reply)
    value = None
    if problem is None:
        try:
            value = json.loads(reply.body)
        except (ValueError, RecursionError):
            problem = "is not JSON"
    if not isinstance(value, dict):
        kind = type(value).__name__
        value = None
        problem = problem or f"should be a JSON object, not {kind}"
        raise ProtocolError(f"{request.name}: the answer {problem}")
    return value


def type_problem(reply: Reply) -> str | None:
    """Return what is wrong with the content type of a JSON reply; none at all is accepted."""
    media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media or media == "application/json" or media.endswith("+json"):
        return None
    return f"is {scrub(media, limit=80)}, not JSON"


def decode(body: bytes) -> tuple[Any, str | None]:
    """Return the value of strict JSON and `None`, or `None` and what is wrong.

    Strict: UTF-8, no duplicate keys, only finite numbers, nested at most
    `limits.JSON_DEPTH` deep.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        return None, "is not UTF-8"
    except json.JSONDecodeError as error:
        return None, f"is not JSON: {error.msg} at character {error.pos} of {len(error.doc)}"
    except _RefusedError as error:
        return None, f"is not strict JSON: {error}"
    except (ValueError, RecursionError):
        return None, "holds a number too long or nests too deep"
    if _deeper_than(value, limits.JSON_DEPTH):
        return None, f"nests deeper than {limits.JSON_DEPTH}"
    return value, None


class _RefusedError(ValueError):
    """Valid for Python's parser, and still not accepted."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RefusedError("a key occurs twice in one object")
    return value


def _refuse_constant(_: str) -> Any:
    raise _RefusedError("NaN and Infinity are no numbers")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError("a number is out of range")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def scrub(
    raw: bytes | str, *, hide: Iterable[Secret] = (), limit: int = limits.ERROR_EXCERPT_BYTES
) -> str:
    """Return the beginning of a text from outside, fit for an error, a log and a terminal.

    It becomes one line: control characters and line ends are spaces. Whatever
    looks like a credential and each secret in `hide` becomes `…`, and at most
    `limit` bytes are kept.
    """
    start = raw[:_SCRUB_WINDOW]
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
    for secret in hide:
        if secret:
            text = text.replace(secret.reveal(), "…")
    text = _TOKEN.sub("…", _CREDENTIAL.sub(r"\1\2…", text))
    line = " ".join(printable(text).split())
    return line.encode()[:limit].decode("utf-8", "ignore")


def printable(text: str) -> str:
    """Return a text without control characters, terminal escapes and lone surrogates."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)
