"""A listing goes on while jobs come, end and are deleted: none missed, none twice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from qawait.errors import ProtocolError
from qawait.ibm.listing import JobListing, first_page
from qawait.ibm.wire.jobs import JobFilter
from qawait.jobs.calls import Calls
from qawait.types import JobStatus, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

START = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 4


@dataclass
class Shelf:
    """A service whose jobs change, as `between` says, before each of its pages."""

    jobs_at: dict[str, timedelta] = field(default_factory=dict)
    between: Callable[[Shelf], None] = lambda _: None
    shown: Callable[[datetime], datetime | None] = lambda created: created
    counts_bounds: bool = True
    pages: int = 0

    def put(self, at: timedelta) -> str:
        """Add a job made at a moment."""
        name = f"job{len(self.jobs_at)}x{at // timedelta(microseconds=1)}"
        self.jobs_at[name] = at
        return name

    async def jobs(self, which: JobFilter) -> list[Snapshot]:
        """Return one page, as the service would."""
        self.between(self)
        self.pages += 1
        found = sorted(
            (START + at, name) for name, at in self.jobs_at.items() if self._within(at, which)
        )
        if which.sort == "DESC":
            found.reverse()
        page = found[which.offset : which.offset + which.limit]
        return [
            Snapshot(
                job_id=name,
                status=JobStatus.DONE,
                raw_status="Completed",
                created=self.shown(created),
            )
            for created, name in page
        ]

    def _within(self, at: timedelta, which: JobFilter) -> bool:
        after, before = which.created_after, which.created_before
        created = START + at
        if not self.counts_bounds and created in (after, before):
            return False
        return (after is None or created >= after) and (before is None or created <= before)


async def listed(
    shelf: Any, sort: Literal["ASC", "DESC"] = "DESC", *, skip: int = 0, **bounds: Any
) -> list[str]:
    """Return the ids that a listing gives."""
    which = first_page(JobFilter(sort=sort, limit=PAGE, **bounds), skip=skip)
    listing = JobListing(shelf, Calls(lambda: 0.5), which, most=None, make=lambda job: job.job_id)
    return [job_id async for job_id in listing]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page be full soon."""
    monkeypatch.setattr("qawait.limits.LIST_PAGE", PAGE)


def _seconds(draw: random.Random) -> timedelta:
    return timedelta(microseconds=draw.randrange(20_000_000))


@pytest.mark.parametrize("sort", ["ASC", "DESC"])
@pytest.mark.parametrize("counts_bounds", [True, False])
async def test_no_job_is_missed_or_given_twice_while_others_come_and_go(
    sort: Literal["ASC", "DESC"], *, counts_bounds: bool
) -> None:
    """Whatever arrives or is deleted between two pages, each job that stays comes once."""
    for seed in range(60):
        draw = random.Random(seed)
        shelf = Shelf(counts_bounds=counts_bounds)
        stays = {shelf.put(_seconds(draw)) for _ in range(draw.randrange(30))}
        leaves = [shelf.put(_seconds(draw)) for _ in range(draw.randrange(30))]

        def change(shelf: Shelf, draw: random.Random = draw, leaves: list[str] = leaves) -> None:
            # oldest first, a listing ends only when no more come
            for _ in range(draw.randrange(4) if shelf.pages < 9 else 0):
                shelf.put(timedelta(seconds=30 + shelf.pages, microseconds=draw.randrange(9)))
            if leaves and shelf.pages:
                shelf.jobs_at.pop(leaves.pop(), None)

        shelf.between = change
        found = await listed(shelf, sort)
        assert len(found) == len(set(found)), seed
        assert stays <= set(found), seed


@pytest.mark.parametrize("sort", ["ASC", "DESC"])
async def test_more_jobs_of_one_moment_than_a_page_holds(sort: Literal["ASC", "DESC"]) -> None:
    """Jobs that no time tells apart are told apart by their place."""
    shelf = Shelf()
    wanted = {shelf.put(timedelta(seconds=n // 11, microseconds=n % 3)) for n in range(33)}
    found = await listed(shelf, sort)
    assert len(found) == 33
    assert set(found) == wanted


async def test_times_written_in_milliseconds_hide_no_job() -> None:
    """A service that cuts its times off after the millisecond still gives every job."""
    shelf = Shelf(shown=lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
    wanted = {shelf.put(timedelta(microseconds=400 * n)) for n in range(50)}
    assert set(await listed(shelf)) == wanted


async def test_jobs_without_a_time_are_listed_by_their_place() -> None:
    """A service that says no times gives every job once."""
    shelf = Shelf(shown=lambda _: None)
    wanted = {shelf.put(timedelta(seconds=n)) for n in range(10)}
    found = await listed(shelf)
    assert (len(found), set(found)) == (10, wanted)


async def test_bounds_of_the_users_hold_on_every_page() -> None:
    """The overlap of pages never reaches beyond what was asked for."""
    shelf = Shelf()
    names = [shelf.put(timedelta(microseconds=100 * n)) for n in range(40)]
    before = START + timedelta(microseconds=3000)
    after = START + timedelta(microseconds=1000)
    wanted = names[10:31]
    assert sorted(await listed(shelf, created_before=before, created_after=after)) == sorted(wanted)
    assert sorted(await listed(shelf, "ASC", created_before=before, created_after=after)) == sorted(
        wanted
    )


@pytest.mark.parametrize("skip", [0, 1, 5, 9, 10, 11, 1000])
async def test_the_first_can_be_skipped(skip: int) -> None:
    """`skip` leaves out the first jobs, and one beyond the last gives none."""
    shelf = Shelf()
    names = [shelf.put(timedelta(seconds=n)) for n in range(10)]
    assert await listed(shelf, skip=skip) == names[::-1][skip:]
    assert shelf.pages <= 4


async def test_a_service_that_gives_the_same_page_for_ever_ends_the_listing() -> None:
    """A listing that does not move on is an error, not an endless loop of requests."""

    class Stuck(Shelf):
        async def jobs(self, which: JobFilter) -> list[Snapshot]:
            return await super().jobs(JobFilter(sort=which.sort, limit=which.limit))

    stuck = Stuck()
    for n in range(10):
        stuck.put(timedelta(seconds=n))
    with pytest.raises(ProtocolError, match="again and again"):
        await listed(stuck)
    assert stuck.pages < 10
