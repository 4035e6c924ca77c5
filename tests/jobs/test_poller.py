"""One poller for all jobs: when it asks, and how much at a time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import anyio
import pytest

from qawait import limits
from qawait.errors import NotSentError, QawaitError, ThrottledError
from qawait.jobs.poller import Poller
from qawait.jobs.schedule import PollSchedule
from qawait.testing import SimulatedService
from qawait.types import JobStatus, Snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

EVEN = PollSchedule(
    first=1.0, factor=2.0, queued_unknown=8.0, running_first=1.0, running_cap=2.0, jitter=0.0
)


@dataclass(eq=False)
class Watched:
    """A job that somebody watches."""

    job_id: str = "job"
    status: JobStatus = JobStatus.QUEUED
    is_tagged: bool = True
    session_id: str | None = None
    estimate: float | None = None
    times: list[float] = field(default_factory=list)
    errors: list[QawaitError] = field(default_factory=list)

    def seen(self, snapshot: Snapshot) -> None:
        """Take note of an answer."""
        assert snapshot.status is not None
        self.times.append(round(anyio.current_time(), 3))
        self.status = snapshot.status

    def confirm(self) -> bool:
        """Leave it to the poller."""
        return False

    def missed(self, error: QawaitError) -> None:
        """Take note of a failure."""
        self.times.append(round(anyio.current_time(), 3))
        self.errors.append(error)


class Answers(SimulatedService):
    """Answers every status query with the status set for all jobs."""

    status_now = JobStatus.QUEUED
    error: QawaitError | None = None
    asking = 0
    most = 0

    async def status(self, job_id: str) -> Snapshot:
        """Answer, and remember how many questions were open at once."""
        self.asking += 1
        self.most = max(self.most, self.asking)
        await anyio.sleep(self.latency)
        self.asking -= 1
        if self.error is not None:
            raise self.error
        return Snapshot(job_id=job_id, status=self.status_now, raw_status="")


async def poll(
    service: Answers, *watched: Watched, seconds: float, schedule: PollSchedule = EVEN
) -> Poller:
    """Poll the watched jobs for a while."""
    poller = Poller(service, schedule, lambda: 0.5)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.run)
        for one in watched:
            poller.watch(one)
        await anyio.sleep(seconds)
        group.cancel_scope.cancel()
    return poller


async def test_pauses_follow_the_schedule() -> None:
    """A queued job is asked for after 1, 2, 4 and then each 8 seconds."""
    watched = Watched()
    began = anyio.current_time()
    await poll(Answers(latency=0.0), watched, seconds=24)
    assert [round(time - began) for time in watched.times] == [1, 3, 7, 15, 23]


async def test_a_change_of_status_starts_the_pauses_anew() -> None:
    """After QUEUED turned to RUNNING the next question comes after the first pause."""
    service, watched = Answers(latency=0.0), Watched()
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: poll(service, watched, seconds=12))
        await anyio.sleep(5)
        service.status_now = JobStatus.RUNNING
    assert [round(time - began) for time in watched.times][:5] == [1, 3, 7, 8, 9]
    assert len(watched.times) >= 5


async def test_requests_in_flight_are_bounded() -> None:
    """However many jobs are due at once, only so many are asked for at a time."""
    service = Answers(latency=0.1)
    await poll(service, *[Watched(f"job{n}") for n in range(100)], seconds=1.5)
    assert service.most == limits.POLLS_IN_FLIGHT


async def test_many_jobs_do_not_poll_in_step() -> None:
    """With jitter the questions of a thousand jobs spread out."""
    jobs = [Watched(f"job{n}") for n in range(1000)]
    poller = Poller(Answers(latency=0.0), PollSchedule(), random.Random(1).random)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.run)
        for job in jobs:
            poller.watch(job)
        await anyio.sleep(1.2)
        group.cancel_scope.cancel()
    assert len({job.times[0] for job in jobs if job.times}) > 1


async def test_a_hurried_job_is_asked_for_at_once() -> None:
    """`hurry` asks now, whatever the schedule says."""
    watched, service = Watched(), Answers(latency=0.0)
    poller = Poller(service, EVEN, lambda: 0.5)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.run)
        poller.watch(watched)
        began = anyio.current_time()
        await anyio.sleep(0.1)
        poller.hurry(watched)
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert [round(time - began, 1) for time in watched.times] == [0.1]


async def test_a_forgotten_job_is_not_asked_for() -> None:
    """After `forget` there are no more questions."""
    watched, service = Watched(), Answers(latency=0.0)
    poller = Poller(service, EVEN, lambda: 0.5)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.run)
        poller.watch(watched)
        await anyio.sleep(1.5)
        poller.forget(watched)
        await anyio.sleep(60)
        group.cancel_scope.cancel()
    assert len(watched.times) == 1


async def test_a_failing_question_is_asked_again() -> None:
    """A failure is told, and the job stays on the schedule."""
    service, watched = Answers(latency=0.0), Watched()
    service.error = NotSentError("refused")
    await poll(service, watched, seconds=8)
    assert len(watched.errors) == 3


async def test_retry_after_slows_everyone() -> None:
    """A 429 with `Retry-After: 30` silences the poller for 30 s, for all jobs."""
    service = Answers(latency=0.0)
    error = ThrottledError("slow down", status=429)
    error.retry_after = 30.0
    service.error = error
    jobs = [Watched(f"job{n}") for n in range(20)]
    await poll(service, *jobs, seconds=29)
    assert 1 <= sum(len(job.times) for job in jobs) <= limits.POLLS_IN_FLIGHT


async def test_a_watcher_that_fails_does_not_end_the_polling() -> None:
    """A bug in following one job leaves the others' polling alone."""

    class Broken(Watched):
        def seen(self, snapshot: Snapshot) -> None:
            raise ZeroDivisionError(snapshot.job_id)

    good = Watched()
    await poll(Answers(latency=0.0), Broken("bad"), good, seconds=8)
    assert len(good.times) == 3
