"""Instances of an account, and their plans.

Source: IBM Cloud's Global Search API v3, "Find instances of resources", and its
Global Catalog API v1, "Get a specific catalog object".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from qawait.errors import ProtocolError
from qawait.ibm.wire.message import JSON, Request
from qawait.ibm.wire.reading import object_of
from qawait.ibm.wire.refusals import expect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.ibm.wire.message import Reply
    from qawait.secret import Secret

PAGE: Final = 100
UNKNOWN: Final = "unknown"
_PLAN_ID = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_FIELDS: Final = ["crn", "service_plan_unique_id", "name", "doc", "tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An instance as the search shows it; `plan_id` is what the catalog knows its plan by."""

    crn: str
    name: str
    plan_id: str
    tags: tuple[str, ...]


def search(cursor: str | None = None) -> Request:
    """Ask for one page of the account's instances of this service."""
    asked: dict[str, object] = {"query": "service_name:quantum-computing", "fields": _FIELDS}
    if cursor is not None:
        asked["search_cursor"] = cursor
    return Request(
        name="POST /v3/resources/search",
        method="POST",
        path="/v3/resources/search",
        query=(("limit", str(PAGE)),),
        body=json.dumps(asked).encode(),
        content_type=JSON,
        safe=True,
    )


def parse_search(
    reply: Reply, request: Request, *, hide: Iterable[Secret] = ()
) -> tuple[list[Found], str | None]:
    """Return a page's instances and the cursor of the next page, `None` on the last.

    Instances to which no backend was allocated are left out, as IBM's own client
    leaves them out.
    """
    expect(reply, request, hide=hide)
    page = object_of(reply, request)
    items, cursor = page.get("items"), page.get("search_cursor")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ProtocolError(f"{request.name}: the answer has no list of instances")
    found = [_found(item, request) for item in items if _is_allocated(item)]
    return found, cursor if isinstance(cursor, str) and cursor else None


def _is_allocated(item: dict[str, Any]) -> bool:
    doc = item.get("doc")
    return isinstance(doc, dict) and bool(doc.get("extensions"))


def _found(item: dict[str, Any], request: Request) -> Found:
    tags = item.get("tags")
    words = (item.get("crn"), item.get("name") or "", item.get("service_plan_unique_id") or "")
    crn, name, plan_id = words
    if not (isinstance(crn, str) and isinstance(name, str) and isinstance(plan_id, str)):
        raise ProtocolError(f"{request.name}: an instance has no usable CRN, name or plan")
    kept = tags if isinstance(tags, list) else []
    return Found(
        crn=crn,
        name=name,
        plan_id=plan_id,
        tags=tuple(tag for tag in kept if isinstance(tag, str)),
    )


def plan(plan_id: str) -> Request | None:
    """Ask what a plan is; `None` if the id cannot be one."""
    if not _PLAN_ID.fullmatch(plan_id):
        return None
    return Request(
        name="GET /{plan}",
        method="GET",
        path=f"/{quote(plan_id, safe='')}",
        safe=True,
    )


def parse_plan(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> tuple[str, str]:
    """Return a plan's name and the type of its pricing, in small letters.

    Both are `unknown` for a plan that the catalog does not show: it answers 403
    for one that is no longer sold.
    """
    if reply.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        return UNKNOWN, UNKNOWN
    expect(reply, request, hide=hide)
    entry = object_of(reply, request)
    name = _inner(entry, "overview_ui", "en", "display_name")
    return name, _inner(entry, "metadata", "pricing", "type")


def _inner(value: Any, *keys: str) -> str:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value.lower() if isinstance(value, str) and value else UNKNOWN
