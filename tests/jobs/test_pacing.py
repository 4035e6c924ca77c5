"""Submits at the pace the service takes them, in order, for all tasks of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from qawait import limits
from qawait.errors import ThrottledError
from qawait.jobs import caller
from qawait.jobs.mending import rescue
from qawait.testing import SimulatedService
from support.crew import Crew, crew

if TYPE_CHECKING:
    from qawait.types import SubmitRequest

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


class Strict(SimulatedService):
    """A service that takes so many submits within any 60 s, and refuses the others."""

    per_minute = 5
    retry_after: float | None = None

    def _create(self, request: SubmitRequest, now: float) -> str:
        recent = [job for job in self.jobs.values() if job.created > now - 60]
        if len(recent) >= self.per_minute:
            error = ThrottledError("too many job requests", status=429, code=1202)
            error.retry_after = self.retry_after
            raise error
        return super()._create(request, now)


async def submitted(team: Crew, jobs: int) -> float:
    """Submit so many jobs at once, wait for their ids, and return how long that took."""
    began = anyio.current_time()
    started = []
    for _ in range(jobs):
        started.append(team.start())
        await anyio.sleep(0.001)  # trio begins what is started together in any order
    for job in started:
        await caller.wait_identified(job.driver)
    return anyio.current_time() - began


def order(team: Crew) -> list[str]:
    """Return the tags of the jobs in the order in which they were made."""
    return [job.tag for job in team.service.jobs.values()]


async def test_nobody_is_slowed_down_before_the_service_says_no() -> None:
    """Without a limit fifty submits are under way at once."""
    async with crew() as team:
        assert await submitted(team, 50) < 0.1
        assert team.shared.calls.pace.limit is None


async def test_a_limit_is_learnt_from_the_first_refusal() -> None:
    """A burst is refused once; from then on nothing is sent that would be refused."""
    async with crew(Strict(latency=0.5)) as team:
        assert await submitted(team, 12) < 2 * 60 + 15
        assert team.shared.calls.pace.limit == 5
        assert len(team.service.jobs) == 12
        assert team.service.count("submit") == 12 + 7


async def test_turns_come_in_order() -> None:
    """Those who were refused keep their places before those who came later."""
    async with crew(Strict()) as team:
        await submitted(team, 14)
        assert order(team) == [f"tag{n}" for n in range(14)]


async def test_a_limit_that_is_given_is_never_run_into() -> None:
    """`submits_per_minute=5` sends no submit that a service of five a minute refuses."""
    async with crew(Strict(latency=3.0), submits_per_minute=5) as team:
        await submitted(team, 13)
        assert team.service.count("submit") == len(team.service.jobs) == 13


async def test_a_higher_quota_is_learnt_too() -> None:
    """An instance that may submit eight a minute is not held to five."""
    service = Strict()
    service.per_minute = 8
    async with crew(service) as team:
        assert await submitted(team, 20) < 2 * 60 + 15
        assert team.shared.calls.pace.limit == 8


async def test_retry_after_holds_everybody_back_once() -> None:
    """What the service says about when to come back counts for all tasks."""
    service = Strict()
    service.retry_after = 60.0
    async with crew(service) as team:
        await submitted(team, 5)
        assert await submitted(team, 1) >= 60
        assert team.service.count("submit") == 7


async def test_cancelling_in_the_line_sends_nothing() -> None:
    """A submit cancelled before its turn never reaches the service; the others move up."""
    async with crew(Strict(), submits_per_minute=5) as team:
        await submitted(team, 5)
        gone = team.start()
        await anyio.sleep(1)
        stays = team.start()
        await anyio.sleep(1)
        assert (await gone.cancel()).value == "not submitted"
        await stays.driver.changed.until(lambda: bool(stays.driver.job_id))
        assert order(team) == ["tag0", "tag1", "tag2", "tag3", "tag4", "tag6"]


async def test_a_service_that_takes_nothing_ends_the_wait() -> None:
    """After ten minutes without one submit that got through each says so."""
    service = Strict()
    service.per_minute = 0
    async with crew(service) as team:
        jobs = [team.start() for _ in range(3)]
        began = anyio.current_time()
        for job in jobs:
            with pytest.raises(ThrottledError) as caught:
                await job
            assert caught.value.tag == job.tag
        assert anyio.current_time() - began <= limits.THROTTLED_SECONDS + 60


async def test_a_long_line_that_moves_is_waited_in() -> None:
    """Jobs at five a minute take all the minutes they need, and nobody calls them hung."""
    async with crew(Strict(), submits_per_minute=5) as team:

        async def watch() -> None:
            while True:
                await anyio.sleep(30)
                for driver in team.drivers:
                    rescue(driver)
                    assert driver.trouble is None

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            took = await submitted(team, 120)
            group.cancel_scope.cancel()
        assert 22 * 60 < took < 25 * 60
        assert len(team.service.jobs) == 120


async def test_what_was_learnt_is_forgotten() -> None:
    """Ten calm minutes later a burst goes out at once again."""
    service = Strict()
    async with crew(service) as team:
        await submitted(team, 6)
        service.per_minute = 1000
        await anyio.sleep(limits.PACE_MEMORY_SECONDS + 1)
        assert await submitted(team, 50) < 0.1
