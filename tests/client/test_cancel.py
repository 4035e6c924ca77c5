"""What becomes of the remote job when its caller stops, on the embedded service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from qawait import CancelOutcome, JobCancelledError, JobStatus
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait import Client
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def endless(emu: Emulator) -> None:
    """Let jobs run so long that only a cancel ends them in time."""
    emu.settings(run_seconds=60)


async def wait_for_job(emu: Emulator) -> None:
    """Return once the service has a job."""
    with anyio.fail_after(5):
        while not emu.jobs():  # noqa: ASYNC110 - it happens in another process
            await anyio.sleep(0.005)


def cancelled_once(emu: Emulator) -> bool:
    """Tell whether there is one job, it is not live and it got one cancel."""
    [job] = emu.jobs()
    return not job.live and job.cancels == 1


async def test_cancelling_a_run_cancels_the_remote_job_once(emu: Emulator) -> None:
    """A scope that is cancelled around `client.run` ends the remote job by one cancel."""
    async with opened(emu) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(run, client)
            await wait_for_job(emu)
            group.cancel_scope.cancel()
        assert cancelled_once(emu)


async def test_a_cancel_while_the_submit_is_in_flight(emu: Emulator) -> None:
    """A caller cancelled before the service has given an id gets its job cancelled once."""
    emu.route("POST /jobs").delay(0.5, when="after")
    async with opened(emu) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(run, client)
            await wait_for_job(emu)
            group.cancel_scope.cancel()
        assert cancelled_once(emu)


async def test_a_lost_answer_and_a_cancel(emu: Emulator) -> None:
    """A caller cancelled after its submit's answer was lost gets the job found and cancelled."""
    emu.route("POST /jobs").reset(when="after")
    async with opened(emu) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(run, client)
            await wait_for_job(emu)
            group.cancel_scope.cancel()
        assert cancelled_once(emu)
    assert len(emu.ledger("POST", "/jobs")) == 1


async def test_a_lost_answer_makes_one_job(emu: Emulator) -> None:
    """A submit whose answer was lost is found by its tag, and posted once."""
    emu.route("POST /jobs").reset(when="after")
    emu.settings(run_seconds=0)
    async with opened(emu) as client:
        await client.run(bell(), backend="ibm_manila", shots=1)
    assert len(emu.jobs()) == 1
    assert len(emu.ledger("POST", "/jobs")) == 1


async def test_a_submit_that_failed_before_its_effect_is_sent_again(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submit answered 503 that made no job is certainly absent, and then sent again."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SPACING_SECONDS", 0.05)
    emu.route("POST /jobs").fail(503, when="before")
    emu.settings(run_seconds=0)
    async with opened(emu) as client:
        await client.run(bell(), backend="ibm_manila", shots=1)
    assert len(emu.jobs()) == 1


async def test_a_submit_answered_5xx_after_its_effect_makes_one_job(emu: Emulator) -> None:
    """A submit answered 504 that made a job all the same is adopted, not repeated."""
    emu.route("POST /jobs").fail(504, when="after")
    emu.settings(run_seconds=0)
    async with opened(emu) as client:
        await client.run(bell(), backend="ibm_manila", shots=1)
    assert len(emu.jobs()) == 1


async def test_leaving_the_client_cancels_its_live_jobs(emu: Emulator) -> None:
    """A job that nobody awaited is cancelled once when its client is left."""
    async with opened(emu) as client:
        await client.submit(bell(), backend="ibm_manila")
    assert cancelled_once(emu)


async def test_leaving_the_client_by_an_exception_cancels_its_live_jobs(emu: Emulator) -> None:
    """The exception goes on its way with a note about the job that was cancelled."""
    with pytest.raises(LookupError) as caught:
        async with opened(emu) as client:
            job = await client.submit(bell(), backend="ibm_manila")
            raise LookupError
    assert cancelled_once(emu)
    assert job.id in caught.value.__notes__[0]


async def test_leaving_a_scope_by_an_exception_cancels_its_jobs(emu: Emulator) -> None:
    """A scope cancels each of its live jobs once when it is left by an exception."""
    async with opened(emu) as client:
        with pytest.raises(LookupError):
            async with client.scope() as scope:
                for _ in range(3):
                    await scope.submit(bell(), backend="ibm_manila")
                raise LookupError
        assert [job.cancels for job in emu.jobs()] == [1, 1, 1]
        assert emu.live() == []


async def test_a_detached_job_survives_its_client(emu: Emulator) -> None:
    """With `on_cancel="detach"` neither a cancelled waiter nor the client's end cancels."""
    async with opened(emu, on_cancel="detach") as client:
        job = await client.submit(bell(), backend="ibm_manila")
        with anyio.move_on_after(0.05):
            await job
    assert emu.cancels(job.id) == 0
    assert len(emu.live()) == 1


async def test_an_explicit_cancel_tells_its_outcome(emu: Emulator) -> None:
    """`job.cancel()` says that the service took it; the job then ends as CANCELLED."""
    async with opened(emu) as client:
        job = await client.submit(bell(), backend="ibm_manila")
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert await job.wait() is JobStatus.CANCELLED
        with pytest.raises(JobCancelledError, match=job.id):
            await job
    assert emu.cancels(job.id) == 1


async def test_a_job_may_outrun_its_cancel(emu: Emulator) -> None:
    """A job that completes although its cancel was answered 204 is DONE and has a result."""
    emu.next_job(ignore_cancel=True, run_seconds=0.3)
    async with opened(emu) as client:
        job = await client.submit(bell(), backend="ibm_manila", shots=8)
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert sum((await job)[0].data.meas.get_counts().values()) == 8
        assert job.status is JobStatus.DONE


async def test_a_cancel_that_was_too_late_is_no_error(emu: Emulator) -> None:
    """A 409 to a cancel means that the job had ended, and its result is there."""
    emu.settings(run_seconds=0)
    async with opened(emu) as client:
        job = await client.submit(bell(), backend="ibm_manila", shots=8, on_cancel="detach")
        emu.wait_for(job.id, "Completed")
        again = await client.attach(job.id)
        assert await again.cancel() is CancelOutcome.ALREADY_FINAL
        assert sum((await again)[0].data.meas.get_counts().values()) == 8


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_cancel_is_settled_by_a_query(emu: Emulator, when: str) -> None:
    """A second cancel goes out only if the job is still seen live after the first was lost."""
    emu.route("POST /jobs/{id}/cancel").reset(when=when)
    async with opened(emu) as client:
        job = await client.submit(bell(), backend="ibm_manila")
        assert await job.cancel() is CancelOutcome.REQUESTED
    assert len(emu.ledger("POST", "/jobs/{id}/cancel")) == {"before": 2, "after": 1}[when]
    assert emu.cancels(job.id) == 1


async def test_the_client_is_left_promptly_when_the_service_hangs(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel that is never answered holds up the caller for the bound only."""
    monkeypatch.setattr("qawait.limits.CANCEL_BOUND_SECONDS", 0.3)
    hanging = emu.route("POST /jobs/{id}/cancel").hang()
    with anyio.fail_after(5):
        async with opened(emu) as client:
            await client.submit(bell(), backend="ibm_manila")
    hanging.release()


@pytest.mark.asyncio_only
class TestAsyncio:
    """Cancellation that only asyncio has."""

    async def test_cancelling_the_task_twice_sends_one_cancel(self, emu: Emulator) -> None:
        """`task.cancel()`, and again while the cancel is sent: one cancel, no orphan."""
        async with opened(emu) as client:
            task = asyncio.create_task(run(client))
            await wait_for_job(emu)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert "job" in caught.value.__notes__[0]
            assert cancelled_once(emu)

    async def test_asyncio_timeout_composes(self, emu: Emulator) -> None:
        """`asyncio.timeout` around a run raises `TimeoutError` and ends the remote job."""
        async with opened(emu) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as limit:
                    expiry = asyncio.ensure_future(expire(emu, limit))
                    await run(client)
            await expiry
            assert cancelled_once(emu)

    async def test_wait_for_composes(self, emu: Emulator) -> None:
        """`asyncio.wait_for` around a run raises `TimeoutError` and ends the remote job."""
        async with opened(emu) as client:
            job = await client.submit(bell(), backend="ibm_manila")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.result(), 0.05)
            assert cancelled_once(emu)

    async def test_a_failing_sibling_composes(self, emu: Emulator) -> None:
        """A `TaskGroup` whose other task fails ends the remote job and raises its error."""

        async def fail() -> None:
            await wait_for_job(emu)
            raise LookupError

        async with opened(emu) as client:
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(run(client))
                    group.create_task(fail())
            assert caught.group_contains(LookupError)
            assert cancelled_once(emu)


async def expire(emu: Emulator, limit: asyncio.Timeout) -> None:
    """Let a time limit pass as soon as the service has a job."""
    await wait_for_job(emu)
    limit.reschedule(asyncio.get_running_loop().time())


async def run(client: Client) -> None:
    """Run a circuit for its time only."""
    await client.run(bell(), backend="ibm_manila")
