"""The ledger: one entry for every request that reached the service."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TOTAL_BODY_BYTES = 64 * 1024 * 1024
KEY_HEADER = "x-emulator-key"
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", KEY_HEADER}
)


@dataclasses.dataclass(slots=True, kw_only=True)
class Entry:
    """One request: what was asked, when, of which job, and how it was answered.

    `status` is `None` while it is unanswered and when no answer was ever
    given; `fault` names the faults applied; `body` is kept for submits only,
    and only when it is small: `body_sha256` always tells bodies apart.
    """

    number: int
    wall: float
    monotonic: float
    method: str
    path: str
    route: str
    query: str
    headers: dict[str, str]
    status: int | None = None
    fault: str | None = None
    job_id: str | None = None
    tags: tuple[str, ...] = ()
    body: str | None = None
    body_sha256: str | None = None


class Ledger:
    """The latest requests, oldest first, at most `length` of them."""

    def __init__(self, length: int, secret: str) -> None:
        self._entries: collections.deque[Entry] = collections.deque(maxlen=length)
        self._bodies: collections.deque[Entry] = collections.deque()
        self._kept_bytes = 0
        self._secret = secret
        self._number = 0

    def open(self, scope: Mapping[str, Any], path: str, route: str, job_id: str | None) -> Entry:
        """Write down a request as it arrives, without its credentials."""
        self._number += 1
        entry = Entry(
            number=self._number,
            wall=time.time(),
            monotonic=time.monotonic(),
            method=scope["method"],
            path=path,
            route=route,
            query=scope["query_string"].decode("latin-1"),
            headers=dict(self._harmless(scope["headers"])),
            job_id=job_id,
        )
        self._entries.append(entry)
        return entry

    def _harmless(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        for name, value in headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            if key not in SECRET_HEADERS and self._secret not in text:
                yield key, text

    def keep_body(self, entry: Entry, body: bytes, limit: int) -> None:
        """Write down a submit's body: its digest, and its text if that is small.

        Of all texts only the latest are kept, `TOTAL_BODY_BYTES` together.
        """
        entry.body_sha256 = hashlib.sha256(body).hexdigest()
        if len(body) > limit:
            return
        entry.body = body.decode("utf-8", "replace")
        self._bodies.append(entry)
        self._kept_bytes += len(entry.body)
        while self._kept_bytes > TOTAL_BODY_BYTES:
            oldest = self._bodies.popleft()
            self._kept_bytes -= len(oldest.body or "")
            oldest.body = None

    def clear(self) -> None:
        """Forget every entry; numbers go on."""
        self._entries.clear()
        self._bodies.clear()
        self._kept_bytes = 0

    def select(
        self,
        *,
        method: str | None = None,
        route: str | None = None,
        job_id: str | None = None,
        tag: str | None = None,
        since: int = 0,
    ) -> list[Entry]:
        """Return the entries after number `since` that have all the given marks."""
        return [
            entry
            for entry in self._entries
            if entry.number > since
            and method in (None, entry.method)
            and route in (None, entry.route)
            and job_id in (None, entry.job_id)
            and (tag is None or tag in entry.tags)
        ]


def tags_of(body: bytes) -> tuple[str, ...]:
    """Return the tags of a submit that may be anything."""
    try:
        return tuple(str(tag) for tag in json.loads(body)["tags"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
