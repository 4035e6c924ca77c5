"""Jobs of an instance, page by page, as an async iterator."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from qawait import limits
from qawait.errors import ConfigError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.ibm.service import IBMService
    from qawait.ibm.wire.jobs import JobFilter
    from qawait.jobs.calls import Calls
    from qawait.types import Snapshot

T = TypeVar("T")


class JobListing(Generic[T]):
    """Iterates over the jobs that a filter lets through, newest first unless it says otherwise.

    Pages are cut by time of creation, not by place, so jobs that arrive, end or
    are deleted while the pages are read make no other job be skipped or given
    twice. Only jobs made at the same moment are told apart by their place.
    """

    def __init__(
        self,
        service: IBMService,
        calls: Calls,
        which: JobFilter,
        *,
        most: int | None,
        make: Callable[[Snapshot], T],
    ) -> None:
        self._service = service
        self._calls = calls
        self._which = replace(which, limit=min(most or limits.LIST_PAGE, limits.LIST_PAGE))
        self._asked = which
        self._left = most
        self._make = make
        self._page: deque[Snapshot] = deque()
        self._near: dict[str, datetime | None] = {}  # given already, and may be listed again
        self._stale = 0  # pages in a row without a job that is new
        self._is_last = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._left == 0:
            raise StopAsyncIteration
        while not self._page:
            if self._is_last:
                raise StopAsyncIteration
            await self._turn_page()
        if self._left is not None:
            self._left -= 1
        return self._make(self._page.popleft())

    async def _turn_page(self) -> None:
        which = self._which
        page = await self._calls.retrying(lambda: self._service.jobs(which))
        fresh = {job.job_id: job for job in page if self._is_fresh(job, which)}
        self._page.extend(fresh.values())
        self._near.update({job.job_id: job.created for job in fresh.values()})
        self._is_last = len(page) < which.limit
        self._check_moves(page, fresh)
        self._which = self._next(which, page, moved=bool(fresh))

    def _is_fresh(self, job: Snapshot, which: JobFilter) -> bool:
        return job.job_id not in self._near and _is_within(job.created, which)

    def _check_moves(self, page: list[Snapshot], fresh: dict[str, Snapshot]) -> None:
        """Refuse a service that gives the same jobs for ever."""
        self._stale = 0 if fresh else self._stale + 1
        if not self._is_last and self._stale * len(page) > len(self._near):
            raise ProtocolError("GET /jobs: the service gives the same jobs again and again")

    def _next(self, which: JobFilter, page: list[Snapshot], *, moved: bool) -> JobFilter:
        edge = page[-1].created if page else None
        if edge is None or not moved:
            return replace(which, offset=which.offset + len(page))
        self._near = {known: at for known, at in self._near.items() if _is_near(at, edge)}
        if which.sort == "ASC":
            after = _bounded(edge - _OVERLAP, self._asked.created_after, max)
            return replace(which, offset=0, created_after=after)
        before = _bounded(edge + _OVERLAP, self._asked.created_before, min)
        return replace(which, offset=0, created_before=before)


def _bounded(
    edge: datetime, asked: datetime | None, tighter: Callable[[datetime, datetime], datetime]
) -> datetime:
    return edge if asked is None else tighter(edge, asked.astimezone())


def _is_within(created: datetime | None, which: JobFilter) -> bool:
    """Whether a job was asked for; one far outside was given because the bounds are ignored."""
    after, before = which.created_after, which.created_before
    if created is None:
        return True
    return (after is None or created >= after.astimezone() - _OVERLAP) and (
        before is None or created <= before.astimezone() + _OVERLAP
    )


def _is_near(created: datetime | None, edge: datetime) -> bool:
    return created is None or abs(created - edge) <= _OVERLAP


def first_page(which: JobFilter, *, skip: int) -> JobFilter:
    """Return the filter with the first `skip` jobs left out.

    Raises:
        ConfigError: one of the conditions is not of its type.
    """
    _check_count("skip", skip)
    for name in ("program", "backend", "session_id"):
        _check_name(name, getattr(which, name))
    for name in ("created_after", "created_before"):
        _check_time(name, getattr(which, name))
    if which.pending not in (None, True, False):
        raise ConfigError(f"pending must be True, False or None, not {which.pending!r:.100}")
    _check_order(which.created_after, which.created_before)
    return replace(which, offset=skip)


def check_limit(limit: object) -> None:
    """Refuse a `limit` that is no number of jobs.

    Raises:
        ConfigError: it is neither a whole number nor `None`.
    """
    if limit is not None:
        _check_count("limit", limit)


def check_tags(tags: object) -> None:
    """Refuse what is no list of tags to look for.

    Raises:
        ConfigError: it is a single text, or holds what is no text.
    """
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise ConfigError(f"tags must be a list of words, not {tags!r:.100}")


def _check_count(name: str, count: object) -> None:
    if type(count) is not int or count < 0:
        raise ConfigError(f"{name} must be a number of jobs, 0 or more, not {count!r:.100}")


def _check_name(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError(f"{name} must be a name, not {value!r:.100}")


def _check_time(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise ConfigError(f"{name} must be a datetime, not {value!r:.100}")
    try:
        value.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        raise ConfigError(f"{name} is out of range: {value}") from None


def _check_order(after: datetime | None, before: datetime | None) -> None:
    if after is not None and before is not None and after.astimezone() > before.astimezone():
        raise ConfigError(f"created_after ({after}) is later than created_before ({before})")


_OVERLAP = timedelta(milliseconds=1)
"""By how much neighbouring pages overlap: whether the service counts the bound itself, and how
exactly it writes a time, is not documented."""
