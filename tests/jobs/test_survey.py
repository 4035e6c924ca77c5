"""Listing pending jobs together: nobody is skipped, nobody is believed ended too soon."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.errors import JobFailedError
from qawait.jobs import caller
from qawait.jobs.service import Group
from qawait.jobs.survey import survey, windows
from qawait.testing import Fault, SimulatedService
from qawait.types import JobStatus
from support.crew import CLIENT_TAG, crew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.jobs.job import Job
    from qawait.types import Snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

START = datetime(2026, 1, 1, tzinfo=UTC)
times = st.integers(0, 10**9).map(lambda micro: START + timedelta(microseconds=micro))


@given(st.lists(times, max_size=60), st.integers(1, 20), times)
def test_windows_cover_every_time(known: list[datetime], size: int, moment: datetime) -> None:
    """Whenever a job was made, some window holds it."""
    spans = windows(known, size)
    assert any(
        (after is None or after <= moment) and (before is None or moment <= before)
        for after, before in spans
    )
    assert len(spans) <= max(1, -(-len(known) // size))


async def collect(service: SimulatedService, known: list[datetime]) -> list[str]:
    """Return the ids of all jobs that a survey shows, repeats included."""
    found: list[str] = []

    def take(page: Sequence[Snapshot]) -> None:
        found.extend(job.job_id for job in page)

    asking = anyio.CapacityLimiter(4)
    pages = partial(service.pending, Group(tag=CLIENT_TAG))
    error = await survey(pages, windows(known, limits.SURVEY_WINDOW), asking=asking, take=take)
    assert error is None
    return found


async def test_a_thousand_jobs_are_listed_without_a_gap() -> None:
    """All pages together show every pending job, in as few requests as there are pages."""
    async with crew(SimulatedService(queue_seconds=600, latency=0.1)) as team:
        for _ in range(1000):
            team.start()
            await anyio.sleep(0.001)
        await anyio.sleep(1)
        found = await collect(team.service, [])
        assert set(found) == set(team.service.jobs)
        assert len(found) <= 1000 + 1000 / limits.LIST_PAGE


async def test_jobs_of_one_moment_are_told_apart() -> None:
    """More jobs than a page holds, all made at the same time, are all listed."""
    async with crew(SimulatedService(queue_seconds=600)) as team:
        for _ in range(500):
            team.start()
        await anyio.sleep(1)
        assert set(await collect(team.service, [])) == set(team.service.jobs)


async def test_jobs_that_end_between_pages_hide_no_others() -> None:
    """While jobs end, and so leave the list, every job that stays is shown."""
    async with crew(SimulatedService(queue_seconds=600, latency=0.2)) as team:
        for _ in range(700):
            team.start()
            await anyio.sleep(0.001)
        await anyio.sleep(2)
        draw = random.Random(1)
        async with anyio.create_task_group() as group:

            async def end_some() -> None:
                for _ in range(30):
                    await anyio.sleep(0.05)
                    for job in draw.sample(list(team.service.jobs.values()), 5):
                        job.cancelled_at = anyio.current_time()

            group.start_soon(end_some)
            found = await collect(team.service, [])
        live = {job.job_id for job in team.service.live()}
        assert live <= set(found)


async def test_many_jobs_cost_few_requests() -> None:
    """Three hundred jobs over a half-hour queue are followed by a few requests each."""
    service = SimulatedService(queue_seconds=1800, run_seconds=20)
    async with crew(service) as team:
        jobs = [team.start() for _ in range(300)]
        for job in jobs:
            await job.wait()
        polls = service.count("pending") + service.count("status")
        assert {job.status for job in jobs} == {JobStatus.DONE}
        assert polls / len(jobs) < 20


async def test_a_job_that_the_list_loses_is_asked_for() -> None:
    """A list that shows none of the jobs ends nothing: each is asked for by itself."""

    class Forgetful(SimulatedService):
        async def pending(
            self,
            group: Group,
            *,
            after: datetime | None,
            before: datetime | None,
            offset: int = 0,
        ) -> Sequence[Snapshot]:
            await super().pending(group, after=after, before=before, offset=offset)
            return []

    async with crew(Forgetful(queue_seconds=20)) as team:
        jobs = [team.start() for _ in range(5)]
        assert [await job for job in jobs] == ["result"] * 5


async def test_a_list_that_repeats_and_reorders_does_no_harm() -> None:
    """Jobs shown twice, or out of order, are followed all the same."""

    class Messy(SimulatedService):
        async def pending(
            self,
            group: Group,
            *,
            after: datetime | None,
            before: datetime | None,
            offset: int = 0,
        ) -> Sequence[Snapshot]:
            listed = await super().pending(group, after=after, before=before, offset=offset)
            page = list(listed)
            return [*reversed(page), *page][: limits.LIST_PAGE]

    async with crew(Messy(queue_seconds=20)) as team:
        jobs = [team.start() for _ in range(5)]
        assert [await job for job in jobs] == ["result"] * 5


async def test_a_list_that_lags_ends_no_wait() -> None:
    """Jobs that the list shows only after a minute are followed from the start."""
    async with crew(SimulatedService(queue_seconds=5, listing_lag=60)) as team:
        jobs = [team.start() for _ in range(5)]
        began = anyio.current_time()
        assert [await job for job in jobs] == ["result"] * 5
        assert anyio.current_time() - began < 20


async def test_a_list_that_fails_ends_no_wait() -> None:
    """Lists that get no answer delay the jobs and say so in their updates."""
    faults = [Fault("pending", nth) for nth in range(3)]
    async with crew(SimulatedService(queue_seconds=20, faults=faults)) as team:
        jobs = [team.start() for _ in range(5)]
        await caller.wait_identified(jobs[0].driver)
        assert [await job for job in jobs] == ["result"] * 5


async def test_arrivals_are_spread() -> None:
    """Many jobs do not ask in bursts: no second has a tenth of all requests."""
    service = SimulatedService(queue_seconds=300, run_seconds=5)
    async with crew(service) as team:
        jobs = [team.start() for _ in range(300)]
        for job in jobs:
            await job.wait()
        polls = [
            int(request.time) for request in service.ledger if request.call in ("pending", "status")
        ]
    ends = max(polls) - 10  # the end itself is one: all jobs end together here
    quiet = [second for second in polls if second < ends]
    assert max(quiet.count(second) for second in set(quiet)) < len(quiet) / 10 + 10


async def test_many_jobs_that_end_together_are_confirmed_by_pages() -> None:
    """Hundreds of jobs that end at once cost a few pages, not a query each."""
    async with crew(SimulatedService(queue_seconds=60, run_seconds=10)) as team:
        jobs = [team.start() for _ in range(400)]
        for job in jobs:
            await job.wait()
        assert {job.status for job in jobs} == {JobStatus.DONE}
        assert 0 < team.service.count("ended") <= 10
        assert team.service.count("status") < len(jobs) / 20


async def test_ended_jobs_that_no_page_shows_are_asked_for() -> None:
    """A list of ended jobs that shows none ends nothing: each is asked for by itself."""

    class Blank(SimulatedService):
        async def ended(
            self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
        ) -> Sequence[Snapshot]:
            await super().ended(group, after=after, before=before, offset=offset)
            return []

    async with crew(Blank(queue_seconds=60)) as team:
        jobs = [team.start() for _ in range(20)]
        for job in jobs:
            await job.wait()
        assert {job.status for job in jobs} == {JobStatus.DONE}


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_wanted_result_confirms_the_end(*, wanted: bool) -> None:
    """Where only results are waited for, fetching them is all that is asked at the end."""
    async with crew(SimulatedService(queue_seconds=60, run_seconds=10)) as team:
        jobs = [team.start() for _ in range(40)]
        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(job.result if wanted else job.wait)
        assert team.service.count("fetch") == (40 if wanted else 0)
        assert (team.service.count("ended") == 0) is wanted
        assert {job.status for job in jobs} == {JobStatus.DONE}


async def test_a_failed_job_is_not_confirmed_by_its_result() -> None:
    """No result means that the status decides: each waiter gets the job's failure."""
    async with crew(
        SimulatedService(queue_seconds=60, ends_as=JobStatus.ERROR, result=None)
    ) as team:
        jobs = [team.start() for _ in range(5)]
        errors: list[JobFailedError] = []

        async def fail(job: Job[Any]) -> None:
            with pytest.raises(JobFailedError) as raised:
                await job
            errors.append(raised.value)

        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(fail, job)
        assert len(errors) == 5


async def test_the_result_of_a_private_job_confirms_nothing() -> None:
    """It can be read once, so the status is asked for first."""
    async with crew(SimulatedService(queue_seconds=60)) as team:
        jobs = [team.start(private=True) for _ in range(5)]
        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(job.result)
        assert team.service.count("fetch") == 5
        assert team.service.count("status") + team.service.count("ended") > 0
        fetched = [request.time for request in team.service.ledger if request.call == "fetch"]
        seen = {request.call for request in team.service.ledger if request.time <= min(fetched)} & {
            "status",
            "ended",
        }
        assert seen


async def test_jobs_of_a_session_are_listed_by_session() -> None:
    """A few jobs of a session need one page, however many others are waiting."""
    async with crew(SimulatedService(queue_seconds=900)) as team:
        others = [team.start() for _ in range(500)]
        await anyio.sleep(60)
        team.service.queue_seconds = 30
        began = len(team.service.ledger)
        jobs = [team.start(session_id="session-1") for _ in range(5)]
        for job in jobs:
            await job.wait()
        asked = {
            request.what for request in team.service.ledger[began:] if request.call == "pending"
        }
        assert "session-1" in asked
        assert {job.status for job in others} == {JobStatus.QUEUED}
        for job in others:
            job.driver.on_cancel = "detach"
