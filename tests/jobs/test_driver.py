"""A driver over a simulated service, on virtual time."""

from __future__ import annotations

import anyio
import pytest

from qawait import limits
from qawait.errors import (
    AuthError,
    ConfigError,
    DeadlineExceededError,
    JobCancelledError,
    JobFailedError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
    UnknownStatusError,
)
from qawait.jobs import caller
from qawait.jobs.completed import AsCompleted
from qawait.jobs.scope import OwnedJobs
from qawait.testing import Fault, SimulatedService
from qawait.types import CancelOutcome, JobStatus, Stage, Update
from support.crew import Crew, crew

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def cancel_after(seconds: float, job_result: object) -> None:
    """Await `job_result` in a scope that is cancelled after `seconds`."""
    with anyio.move_on_after(seconds):
        await job_result  # type: ignore[misc]


async def test_awaiting_a_job_gives_its_result() -> None:
    """`await job` returns the decoded result after one submit and one fetch."""
    async with crew() as team:
        assert await team.start() == "result"
        assert (team.service.count("submit"), team.service.count("fetch")) == (1, 1)
        assert team.service.count("cancel") == 0


async def test_the_result_is_downloaded_once() -> None:
    """Every further call gives the same object without asking the service again."""
    async with crew(SimulatedService(result=["a result"])) as team:
        job = team.start()
        assert await job.result() is await job.fetch() is await job
        assert team.service.count("fetch") == 1


async def test_cancelling_the_waiter_cancels_the_remote_job_once() -> None:
    """A cancelled `await job` sends one cancel and leaves nothing running."""
    async with crew() as team:
        await cancel_after(0.5, team.start().result())
        assert team.service.count("cancel") == 1
        assert team.service.live() == []


async def test_a_cancel_during_the_submit_leaves_no_orphan() -> None:
    """A caller cancelled while its submit is in flight gets the job cancelled all the same."""
    async with crew(SimulatedService(latency=1.0)) as team:
        await cancel_after(0.5, team.start().result())
        assert [job.cancels for job in team.service.jobs.values()] == [1]
        assert team.service.live() == []


async def test_a_cancel_before_the_first_byte_sends_nothing() -> None:
    """A caller cancelled while its submit still waits for a connection sends no request."""
    async with crew(SimulatedService(connect_seconds=1.0)) as team:
        began = anyio.current_time()
        await cancel_after(0.5, team.start().result())
        assert team.service.ledger == []
        assert anyio.current_time() - began < 0.6


async def test_a_cancel_while_throttled_sends_nothing_more() -> None:
    """A caller cancelled while its submit waits for its turn does not wait it out."""

    def throttled() -> ThrottledError:
        error = ThrottledError("slow down", status=429)
        error.retry_after = 30.0
        return error

    async with crew(SimulatedService(faults=[Fault("submit", 0, throttled)])) as team:
        began = anyio.current_time()
        await cancel_after(5, team.start().result())
        assert team.service.count("submit") == 1
        assert anyio.current_time() - began < 5.1


async def test_a_detached_job_goes_on() -> None:
    """With `on_cancel="detach"` a cancelled waiter leaves the remote job running."""
    async with crew() as team:
        await cancel_after(0.5, team.start(on_cancel="detach").result())
        assert team.service.count("cancel") == 0
        assert len(team.service.live()) == 1


async def test_only_the_last_waiter_cancels() -> None:
    """While somebody still waits for the job, a cancelled waiter leaves it alone."""
    async with crew() as team:
        job = team.start()
        async with anyio.create_task_group() as others:
            others.start_soon(job.result)
            await cancel_after(0.5, job.result())
            assert team.service.count("cancel") == 0
        assert job.status is JobStatus.DONE


async def test_the_cancellation_carries_a_note() -> None:
    """The exception that stopped the caller names the job and what became of it."""
    notes: list[str] = []
    async with crew() as team:
        job = team.start()
        with anyio.move_on_after(0.5):
            try:
                await job
            except BaseException as stopped:
                notes = stopped.__notes__
                raise
    assert "job0" in notes[0]
    assert "accepted" in notes[0]


async def test_a_timeout_of_wait_never_cancels() -> None:
    """`wait(timeout)` raises when the time is over and leaves the job as it was."""
    async with crew() as team:
        job = team.start()
        with pytest.raises(DeadlineExceededError, match="job0"):
            await job.wait(timeout=0.5)
        assert team.service.count("cancel") == 0
        assert await job.wait() is JobStatus.DONE


async def test_cancelling_twice_sends_one_cancel() -> None:
    """`cancel()` is idempotent and tells what became of the job."""
    async with crew() as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert team.service.count("cancel") == 1
        with pytest.raises(JobCancelledError, match="job0"):
            await job


async def test_a_finished_job_is_not_cancelled() -> None:
    """`cancel()` of a job that was seen final sends nothing."""
    async with crew() as team:
        job = team.start()
        await job
        assert await job.cancel() is CancelOutcome.ALREADY_FINAL
        assert team.service.count("cancel") == 0


async def test_a_job_that_outruns_its_cancel_is_done() -> None:
    """A cancel that was accepted but came too late ends as DONE with a result."""
    async with crew(SimulatedService(outruns_cancel=True)) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert await job == "result"
        assert team.service.count("cancel") == 1


async def test_a_lost_answer_to_the_submit_makes_one_job() -> None:
    """A submit that took effect although its answer was lost is found, not repeated."""
    async with crew(SimulatedService(faults=[Fault("submit", 0, after=True)])) as team:
        assert await team.start() == "result"
        assert team.service.count("submit") == 1
        assert len(team.service.jobs) == 1


async def test_a_lagging_listing_is_asked_twice() -> None:
    """A job that the first look-up does not show is found by the second."""
    service = SimulatedService(faults=[Fault("submit", 0, after=True)], listing_lag=1.0)
    async with crew(service) as team:
        await team.start()
        assert service.count("find") == limits.LOOKUP_TRIES
        assert len(service.jobs) == 1


async def test_a_submit_that_never_arrived_is_sent_again() -> None:
    """A submit that is certainly absent is sent again, so one job comes of it."""
    async with crew(SimulatedService(faults=[Fault("submit", 0)])) as team:
        assert await team.start() == "result"
        assert team.service.count("submit") == 2
        assert len(team.service.jobs) == 1


async def test_a_submit_that_was_not_sent_is_tried_again() -> None:
    """A refused connection costs a retry, not the job."""
    faults = [Fault("submit", 0, lambda: NotSentError("refused"))]
    async with crew(SimulatedService(faults=faults)) as team:
        assert await team.start() == "result"
        assert team.service.count("find") == 0


async def test_a_submit_that_cannot_be_sent_says_so() -> None:
    """When no try reaches the service the error carries the submit's tag."""
    faults = [Fault("submit", nth, lambda: NotSentError("refused")) for nth in range(9)]
    async with crew(SimulatedService(faults=faults)) as team:
        with pytest.raises(NotSentError, match="tag0"):
            await team.start()
        assert team.service.count("submit") == limits.RETRY_ATTEMPTS


async def test_a_submit_nobody_can_tell_about_says_so() -> None:
    """When neither the submit nor any look-up is answered the outcome is unknown."""
    faults = [Fault("submit", 0, after=True), *[Fault("find", nth) for nth in range(99)]]
    async with crew(SimulatedService(faults=faults)) as team:
        with pytest.raises(UnknownOutcomeError, match="tag0"):
            await team.start()


async def test_a_throttled_submit_waits_for_its_turn() -> None:
    """A 429 with Retry-After delays the submit by that much and costs no try."""

    def throttled() -> ThrottledError:
        error = ThrottledError("slow down", status=429)
        error.retry_after = 30.0
        return error

    faults = [Fault("submit", nth, throttled) for nth in range(4)]
    async with crew(SimulatedService(faults=faults)) as team:
        began = anyio.current_time()
        assert await team.start() == "result"
        assert anyio.current_time() - began >= 120


async def test_a_refused_submit_is_not_repeated() -> None:
    """A 4xx to a submit reaches the caller at once, with the tag."""
    faults = [Fault("submit", 0, lambda: RejectedError("bad input", status=400))]
    async with crew(SimulatedService(faults=faults)) as team:
        with pytest.raises(RejectedError, match="tag0"):
            await team.start()
        assert team.service.count("submit") == 1


async def test_a_lost_answer_to_the_cancel_is_settled_by_a_query() -> None:
    """A cancel that took effect although its answer was lost is not sent again."""
    async with crew(SimulatedService(faults=[Fault("cancel", 0, after=True)])) as team:
        await cancel_after(0.5, team.start().result())
        assert team.service.count("cancel") == 1
        assert team.service.live() == []


async def test_a_cancel_that_never_arrived_is_sent_again() -> None:
    """A cancel is repeated when its answer was lost and the job is still seen live."""
    async with crew(SimulatedService(queue_seconds=60, faults=[Fault("cancel", 0)])) as team:
        await cancel_after(0.5, team.start().result())
        assert team.service.count("cancel") == 2
        assert team.service.live() == []


async def test_failing_polls_never_end_a_wait() -> None:
    """Polls that get no answer delay the result; the updates say since when."""
    updates: list[Update] = []
    faults = [Fault("status", nth) for nth in range(4)]
    async with crew(SimulatedService(faults=faults)) as team:
        assert await team.start(on_update=updates.append) == "result"
    assert any(update.disconnected_since is not None for update in updates)
    assert updates[-1].disconnected_since is None


async def test_refused_credentials_end_a_wait_but_not_the_job() -> None:
    """A poll refused for its credentials reaches the waiter; the job is as it was."""
    faults = [Fault("status", 0, lambda: AuthError("expired", status=401))]
    async with crew(SimulatedService(faults=faults)) as team:
        job = team.start()
        with pytest.raises(AuthError, match="job0"):
            await job
        assert await job == "result"


async def test_a_job_gone_from_the_service_ends_the_wait() -> None:
    """A 404 for a job that existed is an error with its id."""
    async with crew() as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        team.service.jobs.clear()
        with pytest.raises(RejectedError, match="job0"):
            await job


async def test_an_unknown_status_never_hangs_a_wait() -> None:
    """A status nobody documented ends the wait with an error after a bound."""
    async with crew() as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        team.service.jobs[job.id].raw_status = "Pondering"
        began = anyio.current_time()
        with pytest.raises(UnknownStatusError, match="Pondering"):
            await job
        assert anyio.current_time() - began < limits.UNKNOWN_STATUS_SECONDS + 30
        team.service.jobs[job.id].raw_status = None
        await job.poll()
        assert await job == "result"


async def test_a_failed_job_raises_with_its_text() -> None:
    """A failed job's error carries what it stored in place of a result."""
    async with crew(SimulatedService(ends_as=JobStatus.ERROR)) as team:
        with pytest.raises(JobFailedError, match="job0") as caught:
            await team.start()
        assert caught.value.text == "Traceback: it failed"


async def test_an_empty_result_is_asked_for_again() -> None:
    """A result that is not there yet although the job is DONE is waited out."""
    async with crew(SimulatedService(result=None)) as team:
        job = team.start()
        await job.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(job.fetch)
            await anyio.sleep(1.0)
            team.service.result = "late"
        assert await job == "late"


async def test_a_result_that_never_comes_is_an_error() -> None:
    """A service that has no result for a DONE job is not waited for for ever."""
    async with crew(SimulatedService(result=None)) as team:
        with pytest.raises(ProtocolError, match="job0"):
            await team.start()


async def test_fetch_does_not_wait() -> None:
    """`fetch()` of a job that has not ended is a clear error."""
    async with crew() as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        with pytest.raises(ConfigError, match=r"await job\.result\(\)"):
            await job.fetch()


async def test_updates_end_with_the_final_one() -> None:
    """An early reader sees the stages in order, and the loop ends by itself."""
    async with crew(SimulatedService(queue_seconds=5, run_seconds=5)) as team:
        stages = [update.stage async for update in team.start().updates()]
    assert stages == sorted(stages)
    assert set(stages) == {Stage.SUBMITTING, Stage.QUEUED, Stage.RUNNING, Stage.DONE}


async def test_a_late_reader_gets_the_latest_at_once() -> None:
    """A reader that comes after the end gets the final update and nothing else."""
    async with crew() as team:
        job = team.start()
        await job
        assert [update.stage async for update in job.updates()] == [Stage.DONE]


async def test_leaving_updates_early_disturbs_nobody() -> None:
    """A loop over updates that is left leaves the job, and its waiters, alone."""
    async with crew() as team:
        job = team.start()
        async for _ in job.updates():
            break
        assert await job == "result"


async def test_a_job_that_delivers_tells_of_the_fetch() -> None:
    """A run's updates tell FETCHING before DONE, and DONE comes last."""
    updates: list[Update] = []
    async with crew() as team:
        await team.start(delivers=True, on_update=updates.append)
        await anyio.sleep(0.1)
    assert [update.stage for update in updates[-2:]] == [Stage.FETCHING, Stage.DONE]


async def test_a_failing_callback_never_harms_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An `on_update` that raises is logged by type only."""

    def fail(_: Update) -> None:
        raise ValueError("s3cret")

    async with crew() as team:
        assert await team.start(on_update=fail) == "result"
    assert "ValueError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_scope_waits_for_its_jobs() -> None:
    """A normal exit returns when every job of the scope has ended."""
    async with crew() as team:
        async with OwnedJobs(max_pending=None) as scope:
            jobs = [team.start() for _ in range(5)]
            for job in jobs:
                scope.own(job.driver)
        assert {job.status for job in jobs} == {JobStatus.DONE}


async def test_an_exception_cancels_a_scopes_jobs_once() -> None:
    """A scope left by an exception cancels each live job once, and raises it on."""
    async with crew() as team:
        with pytest.raises(LookupError):
            async with OwnedJobs(max_pending=None) as scope:
                for _ in range(5):
                    scope.own(team.start().driver)
                raise LookupError
        assert [job.cancels for job in team.service.jobs.values()] in ([1] * 5, [])
        assert team.service.live() == []


async def test_cancelling_a_scope_cancels_its_jobs_once() -> None:
    """A scope that is cancelled while it waits cancels each live job once."""
    async with crew() as team:
        with anyio.move_on_after(0.5):
            async with OwnedJobs(max_pending=None) as scope:
                for _ in range(5):
                    scope.own(team.start().driver)
        assert [job.cancels for job in team.service.jobs.values()] == [1] * 5
        assert team.service.live() == []


async def test_a_scope_bounds_its_pending_jobs() -> None:
    """With `max_pending=2` a third job waits until one has ended."""
    async with crew() as team, OwnedJobs(max_pending=2) as scope:
        for _ in range(5):
            await scope.place()
            assert len(team.service.live()) < 2
            job = team.start()
            scope.own(job.driver)
            await caller.wait_identified(job.driver)


async def test_a_scope_takes_no_jobs_after_its_end() -> None:
    """A scope that has been left refuses further jobs."""
    async with OwnedJobs(max_pending=None) as scope:
        pass
    with pytest.raises(ConfigError, match="left"):
        await scope.place()


async def test_as_completed_gives_jobs_in_the_order_of_their_end() -> None:
    """The quickest job comes first, whatever its place in the list."""
    async with crew() as team:
        slow = team.start()
        await caller.wait_identified(slow.driver)
        team.service.jobs[slow.id].run_seconds = 60
        quick = team.start()
        assert [job async for job in AsCompleted([slow, quick])] == [quick, slow]


async def test_cancelling_as_completed_cancels_what_is_left() -> None:
    """A loop over jobs that is cancelled cancels each remaining job once."""
    async with crew() as team:
        jobs = [team.start() for _ in range(3)]
        with anyio.move_on_after(0.5):
            async for _ in AsCompleted(jobs):
                pass
        assert [job.cancels for job in team.service.jobs.values()] == [1] * 3


async def test_leaving_as_completed_early_leaves_the_jobs_alone() -> None:
    """A loop over jobs that is left early is no waiter any more, and cancels nothing."""
    async with crew() as team:
        first, second = team.start(), team.start()
        async for _ in AsCompleted([first, second]):
            break
        assert first.driver.waiters == second.driver.waiters == 0
        assert team.service.count("cancel") == 0


async def test_an_error_of_ours_reaches_the_waiter_and_leaves_no_job() -> None:
    """When driving a job fails with a bug, its waiter learns of it."""

    class Broken(SimulatedService):
        async def cancel(self, job_id: str) -> None:  # type: ignore[override]
            raise ZeroDivisionError(job_id)

    async with crew(Broken(queue_seconds=600)) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        job.driver.want_cancel()
        with pytest.raises(QawaitError, match="job0") as caught:
            await job
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_job_found_after_its_end_is_not_cancelled() -> None:
    """A look-up that shows a lost submit's job as ended settles it, without a cancel."""
    faults = [Fault("submit", 0, after=True), Fault("find", 0, None, delay=5.0)]
    service = SimulatedService(queue_seconds=0, run_seconds=0, faults=faults)
    async with crew(service) as team:
        job = team.start()
        await cancel_after(1.0, job.result())
        assert service.count("cancel") == 0
        assert job.status is JobStatus.DONE


async def test_a_query_older_than_a_lost_cancel_does_not_repeat_it() -> None:
    """Only a query made after a cancel's answer was lost can show that it had no effect."""
    faults = [Fault("cancel", 0, after=True), Fault("status", 0, None, delay=0.305)]
    service = SimulatedService(queue_seconds=60, faults=faults)
    async with crew(service) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        async with anyio.create_task_group() as group:
            group.start_soon(job.poll)
            await anyio.sleep(0.3)
            await job.cancel()
        assert service.count("cancel") == 1
        assert service.live() == []


async def test_a_poll_older_than_a_lost_cancel_does_not_repeat_it() -> None:
    """The same holds for the poller's own query that was under way."""
    faults = [Fault("cancel", 0, after=True), Fault("status", 0, None, delay=0.5)]
    service = SimulatedService(queue_seconds=60, faults=faults)
    async with crew(service) as team:
        job = team.start()
        await caller.wait_identified(job.driver)
        await anyio.sleep(0.4)
        await job.cancel()
        assert service.count("cancel") == 1


@pytest.mark.parametrize("seconds", [0.001, 0.5])
async def test_a_wait_ends_when_its_client_is_closed(seconds: float) -> None:
    """Whoever still waits, for an id or for the end, learns that nobody follows the job."""
    async with crew() as team:
        job = team.start()
        async with anyio.create_task_group() as group:
            group.start_soon(_close_after, team, seconds)
            with pytest.raises(ConfigError, match="closed"):
                await job
    assert not job.driver.is_ended


async def test_updates_end_when_their_client_is_closed() -> None:
    """A loop over updates ends with the client that brings them."""
    async with crew() as team:
        job = team.start()
        async with anyio.create_task_group() as group:
            group.start_soon(_close_after, team, 0.5)
            stages = [update.stage async for update in job.updates()]
    assert stages[-1] is Stage.QUEUED


async def test_a_download_that_a_close_cuts_short_is_an_error() -> None:
    """A result that was being fetched when the client was closed is not made up."""
    async with crew(SimulatedService(faults=[Fault("fetch", 0, None, delay=9.0)])) as team:
        job = team.start()
        await job.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(_close_after, team, 1.0)
            for _ in range(2):
                with pytest.raises(ConfigError, match="closed"):
                    await job.fetch()


async def _close_after(team: Crew, seconds: float) -> None:
    await anyio.sleep(seconds)
    await team.shared.host.stop()
