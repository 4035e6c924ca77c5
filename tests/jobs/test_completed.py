"""Waiting for several jobs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait.errors import ConfigError, DeadlineExceededError, UnknownStatusError
from qawait.jobs import caller
from qawait.jobs.completed import AsCompleted, wait_all, wait_any
from qawait.testing import Outcome, SimulatedService
from qawait.types import JobStatus
from support.crew import crew

if TYPE_CHECKING:
    from qawait.jobs.job import Job
    from support.crew import Crew

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def queued(*seconds: float) -> SimulatedService:
    """Return a service whose nth job waits the nth of these times."""
    outcomes = [Outcome(queue_seconds=each, run_seconds=0.0) for each in seconds]
    return SimulatedService(outcomes=outcomes)


async def started(team: Crew, number: int) -> list[Job[Any]]:
    """Submit jobs one after the other, so that the nth is the service's nth."""
    jobs = []
    for _ in range(number):
        jobs.append(team.start())
        await caller.wait_identified(jobs[-1].driver)
    return jobs


async def test_waiting_for_all_returns_when_the_last_has_ended() -> None:
    """The time it takes is that of the slowest job."""
    async with crew(queued(40, 5, 20)) as team:
        jobs = await started(team, 3)
        began = anyio.current_time()
        await wait_all(jobs, seconds=1000)
        assert [job.status for job in jobs] == [JobStatus.DONE] * 3
        assert 40 <= anyio.current_time() - began < 46


async def test_waiting_for_all_counts_failures_as_ends() -> None:
    """A failed job is no reason to stop waiting for the others."""
    async with crew(SimulatedService(ends_as=JobStatus.ERROR, queue_seconds=5)) as team:
        jobs = await started(team, 3)
        await wait_all(jobs, seconds=1000)
        assert [job.status for job in jobs] == [JobStatus.ERROR] * 3


async def test_waiting_for_none_returns_at_once() -> None:
    """No jobs have all ended already."""
    async with crew():
        await wait_all([], seconds=0)


async def test_a_time_limit_for_all_leaves_the_jobs_alone() -> None:
    """When it passes nothing is cancelled, and the jobs can be waited for again."""
    async with crew(queued(5, 60)) as team:
        jobs = await started(team, 2)
        with pytest.raises(DeadlineExceededError, match="1 jobs have not ended after 20 s"):
            await wait_all(jobs, seconds=20)
        assert team.service.count("cancel") == 0
        assert jobs[1].driver.waiters == 0
        await wait_all(jobs, seconds=1000)


async def test_cancelling_the_wait_for_all_cancels_what_is_left() -> None:
    """Each job that has not ended is cancelled once, those that have ended never."""
    async with crew(queued(5, 600, 600)) as team:
        jobs = await started(team, 3)
        with anyio.move_on_after(60):
            await wait_all(jobs, seconds=1000)
        assert [job.status for job in jobs[:1]] == [JobStatus.DONE]
        assert [job.cancels for job in team.service.jobs.values()] == [0, 1, 1]


async def test_waiting_for_any_returns_the_first() -> None:
    """The first to end is given, the others go on."""
    async with crew(queued(40, 5, 20)) as team:
        jobs = await started(team, 3)
        first = await wait_any(jobs, seconds=1000)
        assert first is jobs[1]
        assert team.service.count("cancel") == 0
        assert await wait_any([jobs[0], jobs[2]], seconds=1000) is jobs[2]


async def test_waiting_for_any_of_none_is_refused() -> None:
    """There is nothing to return."""
    async with crew():
        with pytest.raises(ConfigError, match="at least one job"):
            await wait_any([], seconds=1)


async def test_a_time_limit_for_any_leaves_the_jobs_alone() -> None:
    """When it passes nothing is cancelled."""
    async with crew(queued(60, 60)) as team:
        jobs = await started(team, 2)
        with pytest.raises(DeadlineExceededError, match="no job has ended after 3 s"):
            await wait_any(jobs, seconds=3)
        assert team.service.count("cancel") == 0


async def test_a_job_that_makes_no_sense_to_wait_for_is_told_of() -> None:
    """Its trouble is raised, the others stay as they are."""
    async with crew(queued(900, 900)) as team:
        jobs = await started(team, 2)
        await anyio.sleep(1)
        next(iter(team.service.jobs.values())).raw_status = "Dreaming"
        with pytest.raises(UnknownStatusError, match="Dreaming"):
            await wait_all(jobs, seconds=800)
        assert team.service.count("cancel") == 0


async def test_jobs_added_while_it_runs_are_given_too() -> None:
    """A loop can take in more jobs, such as those it starts itself."""
    async with crew(queued(5, 5, 5, 5)) as team:
        jobs = AsCompleted([team.start()])
        seen = 0
        async for _ in jobs:
            seen += 1
            if seen < 4:
                jobs.add(team.start())
        assert seen == 4
