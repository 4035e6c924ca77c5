"""Hundreds of jobs followed by lists that are not true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import limits
from qawait.errors import UnknownStatusError
from qawait.jobs import caller
from qawait.testing import Fault, SimulatedService, Spoil, Trouble
from qawait.types import JobStatus, Stage, Update
from support.crew import crew
from support.scale import lateness, mean_lateness, polls, spread, start_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.jobs.job import Job

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

JOBS = 250  # more than a page


async def every_result(service: SimulatedService) -> tuple[list[Any], list[float]]:
    """Wait for the results of many jobs; return them, and how late each end was seen."""
    found: list[Any] = []

    async def take(job: Job[Any]) -> None:
        found.append(await job)

    async with crew(service) as team:
        async with anyio.create_task_group() as group:
            for job in await start_all(team, JOBS):
                group.start_soon(take, job)
        return found, lateness(team)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("pending", None, None, spoil=Spoil.EMPTIED)],
        [Fault("pending", None, None, spoil=Spoil.THINNED)],
        [Fault("pending", None, None, spoil=Spoil.REPEATED)],
        [Fault("pending", None, None, spoil=Spoil.REVERSED)],
        [Fault("pending", nth, None, spoil=Spoil.GARBLED) for nth in range(2, 60, 2)],
        [Fault("pending", None, None, stale=20.0)],
        [Fault("pending", None, None, delay=10.0)],
        [Fault("pending", nth, Trouble.MALFORMED) for nth in range(0, 60, 2)],
        [Fault("ended", None, None, spoil=Spoil.EMPTIED)],
        [Fault("ended", None, None, spoil=Spoil.REPEATED)],
        [Fault("ended", None, None, spoil=Spoil.GARBLED)],
        [Fault("ended", None, None, stale=20.0)],
        [Fault("ended", None)],
        [Fault("status", None, None, stale=20.0)],
        [Fault("fetch", nth, Trouble.LOST) for nth in range(0, 80, 8)],
    ],
    ids=lambda faults: f"{faults[0].call} {faults[0].spoil} {faults[0].stale} {len(faults)}",
)
async def test_no_answer_that_is_not_true_ends_a_wait_too_soon(faults: Sequence[Fault]) -> None:
    """Every job gives its result, none before its end, and none very late."""
    service = SimulatedService(outcomes=spread(JOBS, queue=60, run=10), latency=0.1, faults=faults)
    found, late = await every_result(service)
    assert found == ["result"] * JOBS
    assert min(late) >= 0
    assert max(late) < 60
    assert len(polls(service)) / JOBS < 40


async def test_lists_that_lag_and_lose_at_once_end_no_wait() -> None:
    """New jobs that are shown late, ended ones that stay and a list that thins out do no harm."""
    faults = [Fault("pending", None, None, spoil=Spoil.THINNED, stale=5.0)]
    service = SimulatedService(
        outcomes=spread(JOBS, queue=60, run=10), latency=0.1, listing_lag=30, faults=faults
    )
    found, late = await every_result(service)
    assert found == ["result"] * JOBS
    assert min(late) >= 0


async def test_statuses_that_nobody_documented_end_each_wait_with_an_error() -> None:
    """Lists that only ever garble are believed for a minute, and no job is cancelled for it."""
    faults = [
        Fault("pending", None, None, spoil=Spoil.GARBLED),
        Fault("status", None, Trouble.UNAVAILABLE),
    ]
    service = SimulatedService(queue_seconds=300, latency=0.1, faults=faults)
    async with crew(service) as team:
        jobs = await start_all(team, JOBS)

        async def fail(job: Job[Any]) -> None:
            with pytest.raises(UnknownStatusError, match="Pondering"):
                await job

        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(fail, job)
        assert anyio.current_time() < limits.UNKNOWN_STATUS_SECONDS + 60
        service.faults = ()
        assert [await job for job in jobs[:5]] == ["result"] * 5
        assert service.count("cancel") == 0


async def test_a_status_that_goes_backwards_is_told_as_it_comes() -> None:
    """RUNNING may be followed by QUEUED, and the end is seen all the same, once."""
    told: list[Update] = []
    faults = [Fault("status", nth, None, stale=30.0) for nth in range(0, 60, 3)]
    service = SimulatedService(queue_seconds=20, run_seconds=60, faults=faults)
    async with crew(service) as team:
        assert await team.start(on_update=told.append) == "result"
        assert mean_lateness(team) < 30
    stages = [update.stage for update in told]
    assert Stage.QUEUED in stages[stages.index(Stage.RUNNING) :]
    assert stages[-1] is Stage.DONE
    assert stages.count(Stage.DONE) == 1


async def test_a_job_that_has_ended_stays_ended() -> None:
    """Answers under way when the end was seen, and older than it, change nothing."""
    service = SimulatedService(queue_seconds=5, run_seconds=5)
    async with crew(service) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        async with anyio.create_task_group() as group:
            await anyio.sleep(8)
            old = Fault("status", service.count("status"), None, stale=5.0, delay=30.0)
            service.faults = [old]
            group.start_soon(job.poll)
            await job.wait()
            seen: list[Update] = []
            job.driver.updates.listen(seen.append)
        assert job.status is JobStatus.DONE
        assert seen == []
        assert await job == "result"
