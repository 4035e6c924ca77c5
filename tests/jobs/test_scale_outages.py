"""Many jobs while the service cannot be reached, asks for a pause, or the machine sleeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.guard.watchdog import Watchdog
from qawait.jobs.schedule import PollSchedule
from qawait.testing import Outage, Outcome, SimulatedService, Trouble
from qawait.types import JobStatus
from support.crew import crew
from support.scale import busiest_second, polls, spread, start_all

if TYPE_CHECKING:
    from qawait.jobs.job import Job

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

JOBS = 250
HOUR = 3600.0
SCHEDULE = PollSchedule(lateness=1.0)
INTERVAL = 25.0
"""Longer than any pause of that schedule without estimates, jitter included."""
BEGINS = 300.0
KINDS = {"unreachable": Trouble.NOT_SENT, "time-outs": Trouble.LOST, "503": Trouble.UNAVAILABLE}


def outage(kind: str, seconds: float) -> Outage:
    """Return an outage of so many seconds."""
    delay = limits.CALL_SECONDS if kind == "time-outs" else 0.0
    return Outage(BEGINS, BEGINS + seconds, KINDS[kind], delay=delay)


def queued_until(ends: float) -> list[Outcome]:
    """Return jobs that wait for so many seconds, and then end over ten minutes."""
    return [
        Outcome(queue_seconds=ends + outcome.queue_seconds, run_seconds=30)
        for outcome in spread(JOBS, queue=600, run=30)
    ]


async def until(moment: float) -> None:
    """Return at a moment of the loop's clock."""
    await anyio.sleep(moment - anyio.current_time())


def disconnected(jobs: list[Job[Any]]) -> list[float]:
    """Return since when each job that is out of reach has been."""
    updates = [job.last_update for job in jobs]
    return [
        update.disconnected_since
        for update in updates
        if update is not None and update.disconnected_since is not None
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_of_an_hour_ends_no_wait(kind: str) -> None:
    """Every job is still waited for after it, and ends as it should."""
    service = SimulatedService(
        outcomes=queued_until(BEGINS), latency=0.1, outages=[outage(kind, HOUR)]
    )
    async with crew(service, schedule=SCHEDULE) as team, anyio.create_task_group() as group:
        jobs = await start_all(team, JOBS)
        for job in jobs:
            group.start_soon(job.wait)
        await until(BEGINS + HOUR)
        assert {job.driver.waiters for job in jobs} == {1}
    assert {job.status for job in jobs} == {JobStatus.DONE}
    assert max(team.ended.values()) < BEGINS + HOUR + 900
    assert service.count("cancel") == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_updates_tell_of_an_outage(kind: str) -> None:
    """Within a few intervals each job's updates say since when, and stop when it is over."""
    service = SimulatedService(queue_seconds=HOUR, latency=0.1, outages=[outage(kind, 600)])
    async with crew(service, schedule=SCHEDULE) as team:
        jobs = await start_all(team, JOBS)
        await until(BEGINS + 3 * INTERVAL)
        assert len(disconnected(jobs)) == JOBS
        await until(BEGINS + 600 + INTERVAL + limits.CALL_SECONDS)
        assert disconnected(jobs) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_is_polled_politely(kind: str) -> None:
    """While nothing answers there are no more requests than while all is well."""
    service = SimulatedService(queue_seconds=HOUR, latency=0.1, outages=[outage(kind, 600)])
    async with crew(service, schedule=SCHEDULE) as team:
        await start_all(team, JOBS)
        await until(BEGINS + 600)
    well = len(polls(service, BEGINS - 200, BEGINS)) / 200
    ill = polls(service, BEGINS, BEGINS + 600)
    assert 0 < len(ill) / 600 < 1.5 * well
    assert busiest_second(ill) <= 2 * limits.POLLS_IN_FLIGHT


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_an_outage_is_no_burst(kind: str) -> None:
    """What follows is as many requests as before, and not one for each job."""
    service = SimulatedService(queue_seconds=HOUR, latency=0.1, outages=[outage(kind, 600)])
    async with crew(service, schedule=SCHEDULE) as team:
        await start_all(team, JOBS)
        await until(BEGINS + 660)
    before = polls(service, BEGINS - 60, BEGINS)
    after = polls(service, BEGINS + 600, BEGINS + 660)
    assert len(after) <= 2 * len(before)
    assert busiest_second(after) <= 2 * limits.POLLS_IN_FLIGHT


async def test_retries_in_an_outage_are_bounded_by_the_budget() -> None:
    """Everybody who asks at once is told of the outage; the bucket of retries runs dry."""
    outages = [outage("time-outs", HOUR)]
    service = SimulatedService(queue_seconds=3 * HOUR, latency=0.1, outages=outages)
    failed: list[QawaitError] = []

    async def ask(job: Job[Any]) -> None:
        try:
            await job.poll()
        except QawaitError as error:
            failed.append(error)

    async with crew(service, schedule=SCHEDULE) as team:
        jobs = await start_all(team, JOBS)
        await until(BEGINS)
        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(ask, job)
        assert len(failed) == JOBS
        retries = limits.RETRY_TOKENS // limits.RETRY_TIMEOUT_COST
        asked = len(polls(service, BEGINS, anyio.current_time()))
        assert JOBS <= asked <= JOBS + retries + 4 * limits.POLLS_IN_FLIGHT
        assert team.shared.calls.budget.tokens < limits.RETRY_TIMEOUT_COST


async def test_after_a_sleep_of_eight_hours_all_jobs_are_seen_without_a_burst() -> None:
    """Each job is asked for once, or listed, in the moments after it; every end is seen."""
    outcomes = [Outcome(queue_seconds=2 * HOUR + 60 * nth) for nth in range(JOBS)]
    service = SimulatedService(outcomes=outcomes, latency=0.1)
    async with crew(service, schedule=SCHEDULE) as team:
        watchdog = Watchdog(
            drivers=lambda: team.drivers, poller=team.shared.poller, wall_clock=service.now
        )
        team.host.start_apart(watchdog.run)
        jobs = await start_all(team, JOBS)
        await until(600)
        service.slept += 8 * HOUR
        await until(600 + 2 * limits.WATCH_SECONDS + limits.REFRESH_SECONDS + 6)
        ended = [job for job in jobs if job.status is JobStatus.DONE]
    live = sum(1 for job in service.jobs.values() if job.ends > 600 + 8 * HOUR)
    assert len(ended) == JOBS - live
    asked = polls(service, 600)
    assert len(asked) <= JOBS + 20
    assert max(map([r.what for r in asked if r.call == "status"].count, service.jobs)) <= 2
    assert busiest_second(asked) <= 80 + limits.POLLS_IN_FLIGHT


async def test_a_pause_that_the_service_asks_for_is_kept() -> None:
    """After a 429 with `Retry-After` nothing is sent but what was on its way, whoever is due."""

    def throttled() -> ThrottledError:
        error = ThrottledError("slow down", status=429)
        error.retry_after = 100.0
        return error

    outages = [Outage(BEGINS, BEGINS + 20, throttled)]
    service = SimulatedService(queue_seconds=HOUR, latency=0.1, outages=outages)
    async with crew(service, schedule=SCHEDULE) as team:
        await start_all(team, JOBS)
        await until(BEGINS + 300)
        told = next(request.answered for request in service.ledger if request.error is not None)
        assert told is not None
        assert len(polls(service, told, told + 100)) == 0
        assert len(polls(service, told + 100, told + 120)) > 0
        assert busiest_second(polls(service, told)) <= 2 * limits.POLLS_IN_FLIGHT
