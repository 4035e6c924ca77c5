"""A thousand jobs at a time: what following them costs, and how soon their ends are seen."""

from __future__ import annotations

import gc
import itertools
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait.jobs.completed import AsCompleted
from qawait.jobs.schedule import PollSchedule
from qawait.jobs.updates import Updates
from qawait.testing import Outcome, SimulatedService
from qawait.types import JobStatus, Stage, Update
from support.crew import crew
from support.scale import (
    SimulatedInstance,
    busiest_second,
    client_of,
    lateness,
    mean_lateness,
    polls,
    spread,
    start_all,
    submit_all,
)

if TYPE_CHECKING:
    from qawait.jobs.job import Job

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

JOBS = 1000


async def test_a_thousand_jobs_over_three_hours() -> None:
    """All finish, for a few requests each, never many at once, and no end is seen very late."""
    service = SimulatedService(outcomes=spread(JOBS, queue=3 * 3600, run=60), latency=0.1)
    schedule = PollSchedule(lateness=4.0)
    async with crew(service, schedule=schedule) as team:
        jobs = await start_all(team, JOBS)
        for job in jobs:
            await job.wait()
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert len(polls(service)) / JOBS < 10
    assert busiest_second(polls(service)) < 40
    assert mean_lateness(team) < 16
    assert max(lateness(team)) < 60


async def test_a_client_of_a_thousand_jobs_over_five_minutes() -> None:
    """A client's own poller asks for all of its jobs together: under five requests for each."""
    service = SimulatedInstance(outcomes=spread(JOBS, queue=300, run=20), latency=0.02)
    async with client_of(service, PollSchedule(lateness=0.5)) as client:
        jobs = await submit_all(client, JOBS)
        for job in jobs:
            await job.wait()
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert len(polls(service)) / JOBS < 5
    assert busiest_second(polls(service)) < 60


async def test_a_thousand_jobs_in_the_order_of_their_end() -> None:
    """`as_completed` gives each job once, soon after its end, and takes jobs while it runs."""
    service = SimulatedInstance(outcomes=spread(JOBS, queue=60, run=20), latency=0.02)
    given: list[Job[Any]] = []
    async with client_of(service, PollSchedule(lateness=1.0)) as client:
        first, second = await submit_all(client, JOBS // 2), await submit_all(client, JOBS // 2)
        iteration = client.as_completed(first)
        async for job in iteration:
            given.append(job)
            for _ in range(2):
                if second:
                    iteration.add(second.pop())
    assert len(given) == len(set(given)) == JOBS
    assert {job.driver.waiters for job in given} == {0}
    ends = [service.jobs[job.id].ends for job in given[JOBS // 2 :]]
    assert all(later > earlier - 10 for earlier, later in itertools.pairwise(ends))


async def test_an_iteration_that_is_left_keeps_none_of_a_thousand_jobs() -> None:
    """An `as_completed` loop that is left early is freed, and waits for nothing any more."""
    async with crew(
        SimulatedService(outcomes=[Outcome(queue_seconds=5)], queue_seconds=600)
    ) as team:
        jobs = await start_all(team, JOBS)
        iteration = AsCompleted(jobs)
        async for _ in iteration:
            break
        freed = weakref.ref(iteration)
        del iteration
        gc.collect()
        assert freed() is None
        assert {job.driver.waiters for job in jobs} == {0}


async def read(updates: Updates, seen: list[Update], *, pause: float = 0.0) -> None:
    """Take updates until they end."""
    async for update in updates:
        seen.append(update)
        await anyio.sleep(pause)


async def test_a_thousand_readers_of_one_job() -> None:
    """Each reader sees every stage and the end, and the job is asked for as by one of them."""
    seen: list[list[Update]] = [[] for _ in range(JOBS)]
    async with crew(SimulatedService(queue_seconds=30, run_seconds=30)) as team:
        job = team.start()
        async with anyio.create_task_group() as group:
            for one in seen:
                group.start_soon(read, job.updates(), one)
    stages = [Stage.SUBMITTING, Stage.QUEUED, Stage.RUNNING, Stage.DONE]
    assert all(list(dict.fromkeys(update.stage for update in one)) == stages for one in seen)
    assert len(polls(team.service)) < 60


async def test_readers_come_and_go_without_a_trace() -> None:
    """Of a thousand readers that were cancelled while they waited nothing is kept."""
    async with crew(SimulatedService(queue_seconds=600)) as team:
        job = team.start()
        await anyio.sleep(10)
        before = _readers()
        with anyio.CancelScope() as gone:
            async with anyio.create_task_group() as group:
                for _ in range(JOBS):
                    group.start_soon(read, job.updates(), [])
                await anyio.sleep(10)
                assert _readers() == before + JOBS
                gone.cancel()
        assert _readers() == before
        assert job.driver.waiters == 0
        assert team.service.count("cancel") == 0


def _readers() -> int:
    """Return how many readers of updates there are in this process."""
    gc.collect()
    return sum(1 for found in gc.get_objects() if type(found) is Updates)


async def test_a_slow_reader_sees_the_latest_and_holds_up_nobody() -> None:
    """A reader that takes a minute for each update misses some; the others miss none."""
    slow: list[Update] = []
    quick: list[Update] = []
    async with crew(SimulatedService(queue_seconds=100, run_seconds=10)) as team:
        job = team.start()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: read(job.updates(), slow, pause=60))
            for _ in range(100):
                group.start_soon(read, job.updates(), [])
            group.start_soon(read, job.updates(), quick)
            await job.wait()
            assert team.ended[job.id] - team.service.jobs[job.id].ends < 5
            assert quick[-1].stage is Stage.RUNNING or quick[-1].stage is Stage.DONE
    assert len(slow) <= 5 < len(quick)
    assert slow[-1].stage is quick[-1].stage is Stage.DONE
