"""A poller whose service is throttled, misled or broken, at its smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from qawait.errors import ThrottledError
from qawait.jobs import caller
from qawait.jobs.driver import Driver
from qawait.testing import Fault, SimulatedService, Spoil
from qawait.types import SubmitRequest
from support.crew import Crew, crew
from support.scale import start_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from qawait.errors import QawaitError
    from qawait.jobs.service import Group
    from qawait.types import Snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def pause(seconds: float) -> Callable[[], QawaitError]:
    """Return what makes a 429 with `Retry-After`."""

    def throttled() -> QawaitError:
        error = ThrottledError("slow down", status=429)
        error.retry_after = seconds
        return error

    return throttled


async def attached(team: Crew, count: int) -> list[Driver]:
    """Return drivers of jobs that no list shows; each is due at once."""
    service = team.service
    for nth in range(count):
        request = SubmitRequest(program="sampler", backend="sim", params={}, tag=f"tag{nth}")
        await service.submit(request)
    seen = [await service.status(job_id) for job_id in service.jobs]
    drivers = [Driver(team.shared, None, on_cancel="detach") for _ in seen]
    for driver, snapshot in zip(drivers, seen, strict=True):
        driver.attach(snapshot)
        driver.follow()
        team.shared.poller.hurry(driver)
    return drivers


async def test_a_pause_is_kept_by_what_stands_in_line() -> None:
    """After a 429 nothing is sent before the pause is over, not even what was due before it."""
    service = SimulatedService(
        queue_seconds=600, latency=0.1, faults=[Fault("status", 40, pause(30))]
    )
    async with crew(service) as team:
        await attached(team, 40)
        await anyio.sleep(25)
        [refused] = [request for request in service.ledger if request.error]
        assert refused.answered is not None
        assert [one for one in service.ledger if one.time >= refused.answered] == []
        await anyio.sleep(15)
        assert service.count("status") >= 80


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of two 429s the one that asks for more time counts, whichever comes last."""
    faults = [Fault("status", 2, pause(30)), Fault("status", 3, pause(1), delay=0.05)]
    async with crew(SimulatedService(queue_seconds=600, faults=faults)) as team:
        await attached(team, 2)
        await anyio.sleep(20)
        assert team.service.count("status") == 4


async def test_a_job_forgotten_in_line_is_not_asked_for() -> None:
    """A job that is forgotten while its query waits for its turn costs no request."""
    async with crew(SimulatedService(queue_seconds=600, latency=0.1)) as team:
        drivers = await attached(team, 40)
        await anyio.sleep(0.05)
        under_way = {request.what for request in team.service.ledger[80:]}
        for driver in drivers:
            if driver.job_id not in under_way:
                team.shared.poller.forget(driver)
        await anyio.sleep(1)
        assert {request.what for request in team.service.ledger[80:]} == under_way


async def test_a_look_up_that_shows_a_job_twice_does_not_cancel_it() -> None:
    """A record that a list repeats is no second job of the submit."""
    faults = [Fault("submit", 0, after=True), Fault("find", 0, None, spoil=Spoil.REPEATED)]
    async with crew(SimulatedService(faults=faults)) as team:
        assert await team.start() == "result"
        assert team.service.count("cancel") == 0


async def test_a_list_that_heeds_no_bounds_keeps_no_job_waiting() -> None:
    """A full page that comes again and again ends the survey, not the following of other jobs."""

    class Stuck(SimulatedService):
        async def pending(
            self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
        ) -> Sequence[Snapshot]:
            del after, offset
            return await super().pending(group, after=None, before=before)

    service = Stuck(queue_seconds=3600, latency=0.1)
    async with crew(service) as team:
        jobs = await start_all(team, 250)
        await caller.wait_identified(jobs[-1].driver)
        service.jobs[jobs[-1].id].queue_seconds = 10
        with anyio.fail_after(120):
            assert await jobs[-1] == "result"
