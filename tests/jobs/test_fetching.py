"""KeptResults are downloaded once, kept within bounds, and one object for whoever holds them."""

from __future__ import annotations

import gc
import traceback
from dataclasses import replace
from typing import Any

import anyio
import pytest

from qawait.errors import ProtocolError, QawaitError
from qawait.jobs.driver import Driver
from qawait.jobs.fetching import Fetch, KeptResults
from qawait.jobs.job import Job
from qawait.jobs.service import Fetched
from qawait.testing import Fault, SimulatedService
from qawait.types import JobStatus, Snapshot
from support.crew import Crew, crew

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


class Value:
    """A result of which can be seen whether somebody holds it."""


class Sized(SimulatedService):
    """A service that makes a new result of 100 bytes at each download."""

    make: Any = Value
    private = False

    async def fetch(
        self, job_id: str, *, program: str | None = None, private: bool = False
    ) -> Fetched | None:
        """Return a new object."""
        assert (program, private) == ("sampler", self.private)
        await super().fetch(job_id)
        return Fetched(self.make(), 100)


def _keeping(team: Crew, most_bytes: int) -> Crew:
    team.shared.results = KeptResults(most_bytes)
    return team


async def test_a_result_that_is_held_is_the_same_at_every_call() -> None:
    """With no room to keep anything, a caller's own object is given again, and not asked for."""
    async with crew(Sized()) as team:
        job = _keeping(team, 0).start()
        first = await job
        assert await job.result() is first
        assert await job.fetch() is first
        assert team.service.count("fetch") == 1


async def test_a_result_that_nobody_holds_is_let_go_of_and_fetched_anew() -> None:
    """Beyond its bound, the client keeps nothing alive."""
    async with crew(Sized()) as team:
        job = _keeping(team, 99).start()
        assert isinstance(await job, Value)
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) is Value]
        assert isinstance(await job, Value)
        assert team.service.count("fetch") == 2


async def test_the_results_used_last_are_kept() -> None:
    """Of three results two have room: the one that was not used goes."""
    async with crew(Sized()) as team:
        jobs = [_keeping(team, 200).start()]
        jobs += [team.start() for _ in range(2)]
        await jobs[0]
        await jobs[1]
        await jobs[0]
        await jobs[2]
        assert team.service.count("fetch") == 3
        await jobs[0]
        await jobs[2]
        assert team.service.count("fetch") == 3
        await jobs[1]
        assert team.service.count("fetch") == 4


async def test_waiters_share_one_object_that_is_not_kept() -> None:
    """Whoever waits for one download gets what it brought."""
    async with crew(Sized()) as team:
        job = _keeping(team, 0).start()
        found: list[int] = []

        async def wait() -> None:
            found.append(id(await job))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(wait)
        assert len(set(found)) == 1
        assert team.service.count("fetch") == 1


class Late(Sized):
    """A service whose first answer is that there is no result yet."""

    async def fetch(
        self, job_id: str, *, program: str | None = None, private: bool = False
    ) -> Fetched | None:
        """Return a new object, but for the first call."""
        fetched = await super().fetch(job_id, program=program, private=private)
        return fetched if self.count("fetch") > 1 else None


async def test_who_waits_while_a_result_is_tried_for_gets_it_all_the_same() -> None:
    """An attempt that comes too early is no answer to a caller who knows that the job is DONE."""
    async with crew(Late(latency=1.0)) as team:
        job = team.start()
        await job.wait()
        shared = team.shared
        fetch = Fetch(team.host, shared.calls, shared.results, job.id, program="sampler")
        tried: list[bool] = []

        async def attempt() -> None:
            tried.append(await fetch.attempt(team.service))

        async with anyio.create_task_group() as group:
            group.start_soon(attempt)
            await anyio.sleep(0.5)
            assert not await fetch.attempt(team.service)
            result = await fetch.result(team.service)
        assert isinstance(result, Value)
        assert (tried, team.service.count("fetch")) == ([False], 2)
        assert await fetch.attempt(team.service)


async def test_what_is_fetched_ahead_waits_for_its_caller() -> None:
    """A result that a run fetches before anybody asks is there, room or not."""
    async with crew(Sized()) as team:
        job = _keeping(team, 0).start(delivers=True)
        await job.wait()
        await anyio.sleep(5)
        assert team.service.count("fetch") == 1
        await job
        assert team.service.count("fetch") == 1


async def test_a_private_result_is_never_let_go_of() -> None:
    """What the service gives once is kept as long as the handle."""
    service = Sized()
    service.private = True
    async with crew(service) as team:
        job = _keeping(team, 0).start()
        await job.wait()
        _seen_as_private(job.driver)
        first = id(await job)
        gc.collect()
        assert id(await job) == first
        assert team.service.count("fetch") == 1


def _seen_as_private(driver: Any) -> None:
    driver.request = None
    driver.snapshot = replace(_snapshot(driver.job_id), private=True)


def _snapshot(job_id: str) -> Snapshot:
    return Snapshot(job_id=job_id, status=JobStatus.DONE, raw_status="Completed", program="sampler")


async def test_plain_json_is_never_let_go_of() -> None:
    """Nobody can tell who holds a dict, so it stays as long as the handle."""
    service = Sized()
    service.make = dict
    async with crew(service) as team:
        job = _keeping(team, 0).start()
        results = [await job for _ in range(2)]
        assert results[0] is results[1]
        assert team.service.count("fetch") == 1


async def test_a_second_handle_finds_the_object_that_a_caller_holds() -> None:
    """The same object is given for the same job, whichever handle is asked."""
    async with crew(Sized()) as team:
        job = _keeping(team, 0).start()
        first = await job
        team.shared.results.fetches.clear()  # as when the first handle has gone
        again = Driver(team.shared, None, on_cancel="detach")
        again.attach(_snapshot(job.id))
        handle: Job[Any] = Job(again)
        assert await handle.result() is first
        assert team.service.count("fetch") == 1


async def test_each_waiter_has_an_error_of_its_own() -> None:
    """What one caller does to a failed download's error, no other sees."""
    faults = [Fault("fetch", nth, lambda: ProtocolError("senseless")) for nth in range(3)]
    async with crew(SimulatedService(faults=faults)) as team:
        job = team.start()
        errors: list[QawaitError] = []

        async def wait() -> None:
            with pytest.raises(ProtocolError, match="senseless") as caught:
                await job
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait)
        assert len({id(error) for error in errors}) == 3
        assert {error.job_id for error in errors} == {job.id}
        assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1
        assert await job == "result"


@pytest.mark.parametrize("private", [False, True])
async def test_a_result_that_stays_away_is_an_error(private: bool) -> None:  # noqa: FBT001 - a parameter
    """A job that is DONE without a result is waited for a while, then the error says why."""
    async with crew(SimulatedService(result=None)) as team:
        job = team.start()
        await job.wait()
        if private:
            _seen_as_private(job.driver)
        began = anyio.current_time()
        with pytest.raises(
            ProtocolError, match="has been read already" if private else "no result"
        ):
            await job
        assert 5 < anyio.current_time() - began < 15


async def test_the_text_of_a_failed_job_is_asked_for_once() -> None:
    """A private job's traceback, too, can be read once only."""
    async with crew(SimulatedService(ends_as=JobStatus.ERROR)) as team:
        job = team.start()
        texts = []
        for _ in range(3):
            with pytest.raises(QawaitError) as caught:
                await job
            texts.append(getattr(caught.value, "text", None))
        assert texts == ["Traceback: it failed"] * 3
        assert team.service.count("failure_text") == 1
