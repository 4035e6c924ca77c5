"""What a waiting job holds on to, and what it lets go of."""

from __future__ import annotations

import gc
import weakref

import anyio
import pytest

from qawait.ibm.service import no_collection
from qawait.jobs import caller
from qawait.testing import SimulatedService
from qawait.types import Stage
from support.crew import crew

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def test_circuits_are_let_go_once_the_service_has_them() -> None:
    """A job that waits for hours keeps nothing of what was submitted."""
    async with crew(SimulatedService(queue_seconds=60)) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        assert job.driver.request is not None
        assert job.driver.request.params == b""
        assert job.driver.submission is None


async def test_the_first_reader_of_updates_finds_the_latest() -> None:
    """What happened before anybody looked is told at once."""
    async with crew(SimulatedService(queue_seconds=10, run_seconds=60)) as team:
        job = team.start()
        await anyio.sleep(30)
        assert job.last_update is not None
        assert job.last_update.stage is Stage.RUNNING
        assert job.last_update.attempt > 0
        stages = [update.stage async for update in job.updates()]
        assert (stages[0], stages[-1]) == (Stage.RUNNING, Stage.DONE)


async def test_updates_asked_for_after_the_client_was_closed_end() -> None:
    """Nobody is kept waiting for what nobody follows any more."""
    async with crew(SimulatedService(queue_seconds=600)) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
    job.driver.is_followed = True
    assert [update.stage async for update in job.updates()] == [Stage.QUEUED]


async def test_a_dropped_job_that_nobody_follows_is_let_go() -> None:
    """Handles made by a listing cost nothing once they are dropped."""
    async with crew(SimulatedService(queue_seconds=600)) as team:
        first = team.start()
        await caller.wait_identified(first.driver)
        snapshot = await team.service.status(first.id)
        driver = type(first.driver)(team.shared, None, on_cancel="detach")
        driver.attach(snapshot)
        gone = weakref.ref(driver)
        del driver
        gc.collect()
        assert gone() is None


async def test_a_job_that_has_ended_is_waited_for_no_more() -> None:
    """Neither the client's set of live jobs nor its poller keeps it."""
    async with crew() as team:
        job = team.start()
        await job
        assert not team.shared.live
        gone = weakref.ref(job.driver)
        team.drivers.clear()
        del job
        await anyio.sleep(30)  # until the calendar has come to where it stood
        gc.collect()
        assert gone() is None


def test_the_collector_runs_again_after_a_page() -> None:
    """It is stopped only while a page is read, and left alone where a user has stopped it."""
    with no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
