"""Listing a client's jobs, all pages, while jobs end and others come.

Pages are cut by time of creation. An offset would skip jobs: whenever one ends,
all that follow move up by one. Where the times are known from an earlier survey,
the pages are fetched at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import anyio

from qawait import limits
from qawait.errors import QawaitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qawait.types import Snapshot

_TICK = timedelta(microseconds=1)
Window = tuple[datetime | None, datetime | None]


class Pages(Protocol):
    """A listing of jobs, oldest first, page by page."""

    async def __call__(
        self, *, after: datetime | None, before: datetime | None, offset: int
    ) -> Sequence[Snapshot]:
        """Return the page of the jobs made in this span, without the first `offset`."""
        ...


def windows(created: Iterable[datetime], size: int) -> list[Window]:
    """Return spans of creation time that hold about `size` of the known jobs each.

    Together they cover all times; neighbours overlap by a moment, since whether
    the service counts a bound itself is not documented.
    """
    times = sorted(created)
    cuts = [times[place] for place in range(size, len(times), size)]
    starts: list[datetime | None] = [None, *(cut - _TICK for cut in cuts)]
    ends: list[datetime | None] = [*(cut + _TICK for cut in cuts), None]
    return list(zip(starts, ends, strict=True))


def bounded(spans: list[Window], first: datetime, last: datetime) -> list[Window]:
    """Return the same spans without what is before `first` or after `last`."""
    (_, end), *_ = spans
    spans = [(first - _TICK, end), *spans[1:]]
    start, _ = spans[-1]
    return [*spans[:-1], (start, last + _TICK)]


async def survey(
    pages: Pages,
    spans: Iterable[Window],
    *,
    asking: anyio.CapacityLimiter,
    take: Callable[[Sequence[Snapshot]], None],
) -> QawaitError | None:
    """Call `take` with each page of the jobs made in these spans, as it comes.

    Returns the first error of a page that could not be had; what was taken is
    true all the same.
    """
    errors: list[QawaitError] = []

    async def walk(after: datetime | None, before: datetime | None) -> None:
        offset, known = 0, set[str]()
        while True:
            async with asking:
                page = await pages(after=after, before=before, offset=offset)
            take(page)
            shown = {job.job_id for job in page}
            last = page[-1].created if page else None
            if len(page) < limits.LIST_PAGE or last is None:
                return
            if offset and shown <= known:
                return  # the service heeds neither bound nor offset: there is no next page
            known |= shown
            # more jobs of one moment than a page holds can be told apart by their place only
            offset = offset + len(page) if after == last - _TICK else 0
            after = last - _TICK

    async def walk_or_note(window: Window) -> None:
        try:
            await walk(*window)
        except QawaitError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for window in spans:
            group.start_soon(walk_or_note, window)
    return errors[0] if errors else None
