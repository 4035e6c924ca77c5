"""When a job will begin and end: what is guessed from what is known, and how rarely it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from qawait.jobs.estimate import Course, Guess, History, guess
from qawait.testing import Fault, SimulatedService, Trouble
from support.crew import crew

if TYPE_CHECKING:
    from qawait.testing.ledger import SimulatedJob
    from qawait.types import Snapshot, Update


def waited(*seconds: float, places: int | None = None) -> History:
    """Return the history of jobs that waited so long, and ran for 8 s where 4 were expected."""
    history = History()
    for one in seconds:
        course = Course(queued=0.0, running=one, places=places)
        history.began(course)
        history.ended(course, one + 8.0, 4.0)
    return history


def test_nothing_is_guessed_from_nothing() -> None:
    """Without a queue, a history and an estimate there is no guess."""
    assert guess(Course(queued=0.0), History(), 1.0, None) == Guess(None, None)


def test_the_queue_and_the_services_estimate_make_a_first_guess() -> None:
    """Each place in the queue counts as long as the service expects of this job."""
    course = Course(queued=10.0)
    course.measured(10.0, 6)
    assert guess(course, History(), 10.0, 5.0) == Guess(30.0, 35.0)
    assert guess(course, History(), 30.0, 5.0) == Guess(10.0, 15.0)


def test_this_clients_own_jobs_tell_how_fast_the_queue_is() -> None:
    """Earlier waits for each place count more than what the service expects."""
    course = Course(queued=0.0)
    course.measured(0.0, 3)
    history = waited(20.0, 40.0, 30.0, places=2)
    assert guess(course, history, 0.0, 4.0) == Guess(45.0, 45.0 + 8.0)


def test_jobs_that_come_later_do_not_put_off_the_start() -> None:
    """A queue that grows behind a job changes nothing; one that shrinks does."""
    course = Course(queued=0.0)
    course.measured(0.0, 4)
    course.measured(60.0, 50)
    assert guess(course, History(), 60.0, 20.0).start == 20.0
    course.measured(61.0, 0)
    assert guess(course, History(), 61.0, 20.0).start == 0.0


def test_without_a_queue_earlier_waits_are_the_guess() -> None:
    """The median of this client's own waits, less what was waited already."""
    assert guess(Course(queued=0.0), waited(10.0, 90.0, 30.0), 12.0, None) == Guess(18.0, 26.0)


def test_a_running_job_has_what_is_left_of_its_time() -> None:
    """What runs has begun; how jobs ran beyond what was expected corrects the rest."""
    running = Course(queued=0.0, running=5.0)
    assert guess(running, History(), 6.0, 4.0) == Guess(0.0, 3.0)
    assert guess(running, waited(5.0), 6.0, 4.0) == Guess(0.0, 7.0)
    assert guess(running, History(), 6.0, None) == Guess(0.0, None)


def test_no_guess_is_ever_negative() -> None:
    """What is overdue may come at any moment, and what has ended is not guessed at."""
    course = Course(queued=0.0)
    course.measured(0.0, 1)
    assert guess(course, History(), 1000.0, 4.0) == Guess(0.0, 4.0)
    assert guess(Course(running=0.0), History(), 1000.0, 4.0) == Guess(0.0, 0.0)
    assert guess(Course(running=0.0, is_over=True), History(), 1.0, 4.0) == Guess(None, None)


class Named(SimulatedService):
    """A service that says on which backend a job is, and how long it expects it to run."""

    def _snapshot(self, job: SimulatedJob, now: float) -> Snapshot:
        return replace(super()._snapshot(job, now), backend="sim", estimated_seconds=2.0)


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_queue_is_asked_for_once_a_minute_at_most() -> None:
    """However many jobs are watched, a backend's queue costs one request a minute."""
    async with crew(Named(queue_seconds=600)) as team:
        updates: list[Update] = []
        jobs = [team.start(on_update=updates.append) for _ in range(10)]
        await anyio.sleep(299)
        assert 3 <= team.service.count("queue_length") <= 5
        assert updates[-1].estimated_start is not None
        for job in jobs:
            await job.cancel()


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_queue_that_nobody_watches_is_not_asked_for() -> None:
    """A job that is only awaited costs no request more."""
    async with crew(Named(queue_seconds=600)) as team:
        await team.start()
        assert team.service.count("queue_length") == 0


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_queue_that_cannot_be_asked_for_harms_nothing() -> None:
    """Updates go on without a guess, and the next minute's question is the next one."""
    faults = [Fault("queue_length", n, Trouble.UNAVAILABLE) for n in range(20)]
    async with crew(Named(queue_seconds=300, faults=faults)) as team:
        updates: list[Update] = []
        await team.start(on_update=updates.append)
        assert team.service.count("queue_length") <= 6
        assert updates[-1].stage.is_final


@pytest.mark.anyio
@pytest.mark.virtual
async def test_guesses_come_true_once_there_is_a_history() -> None:
    """The second job's start and end are known from the first one's."""
    async with crew(Named(queue_seconds=100, run_seconds=30)) as team:
        await team.start()
        updates: list[Update] = []
        began = anyio.current_time()
        job = team.start(on_update=updates.append)
        await job
        took = anyio.current_time() - began
    first = next(update for update in updates if update.estimated_end is not None)
    assert first.estimated_start == pytest.approx(100, rel=0.2)
    assert first.estimated_end == pytest.approx(took, rel=0.2)
