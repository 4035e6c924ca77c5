"""Jobs of an instance, page by page, as an async iterator."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from qawait import limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from qawait.ibm.service import IBMService
    from qawait.ibm.wire.jobs import JobFilter
    from qawait.jobs.calls import Calls
    from qawait.types import Snapshot

T = TypeVar("T")


class JobListing(Generic[T]):
    """Iterates over the jobs that a filter lets through, newest first unless it says otherwise.

    Pages are cut by time of creation, not by offset, so jobs that arrive or end
    while the pages are read are neither skipped nor given twice.
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
        self._left = most
        self._make = make
        self._page: deque[Snapshot] = deque()
        self._known: set[str] = set()
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
        fresh = [job for job in page if job.job_id not in self._known]
        self._page.extend(fresh)
        self._known = {job.job_id for job in page}
        oldest = page[-1].created if page else None
        self._is_last = len(page) < which.limit or not fresh or oldest is None
        if oldest is not None:
            self._which = self._beyond(which, oldest)

    def _beyond(self, which: JobFilter, last: datetime) -> JobFilter:
        # one tick over: whether the service counts the bound itself is not documented
        if which.sort == "ASC":
            return replace(which, offset=0, created_after=last - _TICK)
        return replace(which, offset=0, created_before=last + _TICK)


_TICK = timedelta(microseconds=1)
