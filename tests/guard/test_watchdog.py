"""The watchdog over a simulated service: what stopped without a sound goes on again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from qawait import limits
from qawait.errors import DeadlineExceededError
from qawait.guard.watchdog import Watchdog
from qawait.jobs import caller
from qawait.testing import Fault, SimulatedService
from qawait.types import JobStatus
from support.crew import crew

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.crew import Crew

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def watch(team: Crew, wall_clock: Callable[[], float] = anyio.current_time) -> None:
    """Set a watchdog on all of a crew's jobs."""
    watchdog = Watchdog(
        drivers=lambda: team.drivers,
        poller=team.shared.poller,
        wall_clock=wall_clock,
    )
    team.host.start_apart(watchdog.run)


async def test_a_submit_cut_from_outside_is_looked_up() -> None:
    """A submit whose task somebody cancelled is settled by its tag: one job, not two."""
    async with crew(SimulatedService(latency=2.0)) as team:
        watch(team)
        job = team.start()
        await anyio.sleep(1.5)  # the job is made; its answer is on the way
        team.cut()
        assert await job == "result"
        assert len(team.service.jobs) == 1


async def test_a_cancel_cut_from_outside_is_settled() -> None:
    """A cancel whose task somebody cancelled is asked about, and sent again only if need be."""
    async with crew(SimulatedService(latency=2.0, queue_seconds=600)) as team:
        watch(team)
        job = team.start()
        await caller.wait_identified(job.driver)
        job.driver.want_cancel()
        await anyio.sleep(0.5)
        team.cut()
        assert await job.wait() is JobStatus.CANCELLED
        assert team.service.live() == []


async def test_a_job_nobody_polls_is_polled_again() -> None:
    """A live job that fell out of the poller is taken in again."""
    async with crew() as team:
        watch(team)
        job = team.start()
        await caller.wait_identified(job.driver)
        team.shared.poller.forget(job.driver)
        assert await job == "result"


async def test_after_a_sleep_each_job_is_asked_for_once() -> None:
    """When the wall clock jumped by hours, every job is asked for soon, and once."""
    asleep = 0.0

    def wall_clock() -> float:
        return anyio.current_time() + asleep

    async with crew(SimulatedService(queue_seconds=10_000)) as team:
        watch(team, wall_clock)
        jobs = [team.start() for _ in range(20)]
        await anyio.sleep(300)
        asleep = 8 * 3600.0
        before = {job.driver: job.driver.attempts for job in jobs}
        requests = len(team.service.ledger)
        await anyio.sleep(limits.WATCH_SECONDS + limits.REFRESH_SECONDS + 0.5)
        asked = [driver.attempts - earlier for driver, earlier in before.items()]
        assert min(asked) >= 1
        assert len(team.service.ledger) - requests <= 3 * len(jobs)


async def test_a_driver_past_its_deadline_is_no_hang() -> None:
    """A submit that never comes back ends the wait with an error after all its limits."""
    async with crew(SimulatedService(latency=1e6)) as team:
        watch(team)
        began = anyio.current_time()
        with pytest.raises(DeadlineExceededError, match="tag0"):
            await team.start()
        assert anyio.current_time() - began < 2 * limits.DRIVE_SECONDS


async def test_a_blocked_loop_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """User code that blocks the loop is named in the log; nothing else comes of it."""
    async with crew(SimulatedService(faults=[Fault("status", 0)])) as team:
        watchdog = Watchdog(drivers=list, poller=team.shared.poller)
        watchdog._notice_pauses(limits.WATCH_SECONDS + 5.0, limits.WATCH_SECONDS + 5.0)
        assert "blocked for 5.0 s" in caplog.text
        assert await team.start() == "result"
