"""Where promises are easily broken: refusals, races, odd callers, ends of all kinds."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import qawait
from qawait import (
    CancelOutcome,
    ConfigError,
    GuardianError,
    JobStatus,
    NotSentError,
    RejectedError,
    UnknownStatusError,
)
from support.open import opened

if TYPE_CHECKING:
    from qawait import Client, Job, Update
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}


@pytest.fixture(autouse=True)
def endless(emu: Emulator) -> None:
    """Let jobs run for long without being executed."""
    emu.script(outcome="complete", run_seconds=60, times=None)


async def submit(client: Client, **options: Any) -> Job[Any]:
    """Submit a job that needs no execution."""
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila", **options)


@pytest.mark.parametrize("times", [1, 4])
async def test_a_throttled_cancel_is_sent_until_it_is_taken(emu: Emulator, times: int) -> None:
    """A 429 to a cancel had no effect: it is sent again, however often, and as told."""
    emu.route("POST /jobs/{id}/cancel").throttle(retry_after=0.05, times=times)
    async with opened(emu) as client:
        job = await submit(client)
        assert await job.cancel() is CancelOutcome.REQUESTED
    assert emu.cancels(job.id) == 1


@pytest.mark.parametrize("status", [404, 409])
async def test_a_refused_cancel_of_a_live_job_is_not_believed(emu: Emulator, status: int) -> None:
    """A 404 or 409 that a query contradicts does not leave the job running."""
    emu.route("POST /jobs/{id}/cancel").fail(status, when="before")
    async with opened(emu) as client:
        job = await submit(client)
        assert await job.cancel() is CancelOutcome.REQUESTED
    assert emu.live() == []


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_one_refused_poll_does_not_lose_a_job(emu: Emulator, status: int) -> None:
    """A single refusal of a status query is not the end of the job, nor of the wait."""
    emu.clear_scripts()
    emu.script(outcome="complete", run_seconds=0.2, times=None)
    emu.route("GET /jobs/{id}").fail(status)
    async with opened(emu) as client:
        assert await (await submit(client)).wait() is JobStatus.DONE


async def test_a_job_refused_again_and_again_is_an_error(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that the service denies for seconds ends the wait with its refusal."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SPACING_SECONDS", 0.1)
    async with opened(emu) as client:
        job = await submit(client)
        refusing = emu.route("GET /jobs/{id}").fail(403, times=None)
        with pytest.raises(RejectedError, match=job.id):
            await job
        refusing.remove()


async def test_as_completed_follows_attached_jobs(emu: Emulator) -> None:
    """Jobs that were only attached are followed as soon as somebody iterates over them."""
    emu.clear_scripts()
    emu.script(outcome="complete", run_seconds=0.2, times=None)
    async with opened(emu, on_cancel="detach") as first:
        job_id = (await submit(first)).id
    async with opened(emu) as second:
        job = await second.attach(job_id)
        with anyio.fail_after(10):
            assert [found.id async for found in second.as_completed([job])] == [job_id]


async def test_as_completed_gives_a_job_that_makes_no_sense_to_wait_for(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undocumented status hangs no loop over jobs: the job is given, and says why."""
    monkeypatch.setattr("qawait.limits.UNKNOWN_STATUS_SECONDS", 0.1)
    emu.next_job(status="Pondering", hold="running")
    emu.clear_scripts()
    emu.next_job(status="Pondering", hold="running")
    async with opened(emu) as client:
        jobs = [await submit(client)]
        with anyio.fail_after(10):
            async for job in client.as_completed(jobs):
                assert isinstance(job.driver.trouble, UnknownStatusError)


@pytest.mark.parametrize("place", ["scope", "client"])
@pytest.mark.asyncio_only
async def test_a_cancellation_during_an_exit_is_not_swallowed(emu: Emulator, place: str) -> None:
    """A task cancelled while a scope or client is left by an exception stays cancelled."""
    emu.route("POST /jobs/{id}/cancel").delay(0.4)
    leaving = asyncio.Event()

    async def leave_by_an_error(client: Client) -> None:
        async with client.scope() as scope:
            await scope.submit_program("sampler", PARAMS, backend="ibm_manila")
            leaving.set()
            raise LookupError

    async def body() -> None:
        try:
            if place == "scope":
                async with opened(emu) as client:
                    await leave_by_an_error(client)
            else:
                async with opened(emu) as client:
                    await submit(client)
                    leaving.set()
                    raise LookupError
        except LookupError:
            await asyncio.sleep(0)

    task = asyncio.ensure_future(body())
    await leaving.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert emu.live() == []


@pytest.mark.asyncio_only
async def test_a_callback_that_raises_a_cancellation_harms_nothing(emu: Emulator) -> None:
    """An `on_update` that raises `CancelledError`, as a cancelled future's result does."""
    emu.clear_scripts()
    emu.script(outcome="complete", run_seconds=0.2, times=None)

    def callback(_: Update) -> None:
        raise asyncio.CancelledError

    async with opened(emu) as client:
        job = await submit(client, on_update=callback)
        with anyio.fail_after(10):
            assert await job.wait() is JobStatus.DONE


async def test_a_cancel_during_a_throttled_submit_makes_no_job(emu: Emulator) -> None:
    """A caller cancelled while its submit is in flight and then throttled sends no second."""
    emu.route("POST /jobs").fault(
        "fail", status=429, headers={"Retry-After": "20"}, when="before", times=None
    )
    slow = emu.route("POST /jobs").delay(0.3, when="before")
    async with opened(emu) as client:
        await client.backend("ibm_manila")
        with anyio.fail_after(8), anyio.move_on_after(0.15):
            await submit(client)
    slow.remove()
    assert emu.jobs() == []
    assert len(emu.ledger("POST", "/jobs")) <= 1


async def test_a_scope_refuses_a_job_that_comes_too_late(emu: Emulator) -> None:
    """A submit still being prepared when its scope is left makes no job outside of it."""
    emu.route("GET /backends/{name}/configuration").delay(0.4)
    outcome: list[BaseException] = []
    async with opened(emu) as client, anyio.create_task_group() as group:

        async def late() -> None:
            try:
                await scope.submit_program("sampler", PARAMS, backend="ibm_manila")
            except ConfigError as error:
                outcome.append(error)

        async with client.scope() as scope:
            group.start_soon(late)
            await anyio.sleep(0.1)
    assert "left" in str(outcome[0])
    assert emu.jobs() == []


@pytest.mark.parametrize("policy", [None, "keep", 1])
async def test_a_policy_that_is_none_is_refused(emu: Emulator, policy: Any) -> None:
    """A client has a policy; anything else would leave jobs to nobody."""
    with pytest.raises(ConfigError, match="on_cancel"):
        opened(emu, on_cancel=policy)


async def test_a_keyboard_interrupt_still_cancels(emu: Emulator) -> None:
    """A scope left by `KeyboardInterrupt` cancels its jobs, though it does not wait for that."""
    async with opened(emu) as client:
        try:
            async with client.scope() as scope:
                await scope.submit_program("sampler", PARAMS, backend="ibm_manila")
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        with anyio.fail_after(5):
            while emu.live():  # noqa: ASYNC110 - it happens in another process
                await anyio.sleep(0.02)
    assert [job.cancels for job in emu.jobs()] == [1]


@pytest.mark.parametrize("given", ["5", math.nan, True])
async def test_a_wrong_timeout_harms_no_job(emu: Emulator, given: Any) -> None:
    """What is no number of seconds is refused, and cancels nothing."""
    async with opened(emu, on_cancel="detach") as client:
        job = await submit(client)
        with pytest.raises(ConfigError, match="timeout"):
            await job.wait(given)
    assert emu.cancels(job.id) == 0


async def test_attaching_anew_can_take_a_job_over(emu: Emulator) -> None:
    """`attach(…, on_cancel="cancel")` holds for a job that is followed already."""
    async with opened(emu, on_cancel="detach") as first:
        job_id = (await submit(first)).id
    async with opened(emu) as second:
        await second.attach(job_id)
        assert (await second.attach(job_id, on_cancel="cancel")).on_cancel == "cancel"
    assert emu.cancels(job_id) == 1


async def test_a_closed_client_says_so(emu: Emulator) -> None:
    """After the end of its client a live job can be asked nothing, and nothing is corrupted."""
    async with opened(emu, on_cancel="detach") as client:
        job = await submit(client)
    for _ in range(2):
        for call in (job.cancel, job.poll, job.wait, job.fetch):
            with pytest.raises(ConfigError, match="closed"):
                await call()
    assert emu.cancels(job.id) == 0


async def test_a_job_belongs_to_its_loop(emu: Emulator) -> None:
    """A job awaited on another thread's loop is refused at once, and goes on undisturbed."""
    errors: list[BaseException] = []
    async with opened(emu, on_cancel="detach") as client:
        job = await submit(client)

        def elsewhere() -> None:
            try:
                asyncio.run(job.wait(1))
            except ConfigError as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
    assert "loop" in str(errors[0])


@pytest.mark.parametrize("params", [None, "text", 3])
async def test_params_that_are_no_mapping_are_refused(emu: Emulator, params: Any) -> None:
    """A raw program's input is a mapping or JSON bytes; anything else is refused at once."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="params"):
            await client.submit_program("sampler", params, backend="ibm_manila")
    assert emu.ledger("POST", "/jobs") == []


async def test_a_coroutine_is_no_callback(emu: Emulator) -> None:
    """An `async def on_update` would never run, so it is refused."""

    async def callback(_: Update) -> None: ...

    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="plain function"):
            await submit(client, on_update=callback)


async def test_a_guardian_that_cannot_start_is_an_error(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an interpreter to run the guardian nothing is submitted, unless one goes without."""
    monkeypatch.setattr(sys, "executable", "")
    async with opened(emu) as client:
        with pytest.raises(GuardianError, match="guardian=False") as caught:
            await submit(client)
    assert caught.value.tag
    assert emu.jobs() == []
    async with opened(emu, guardian=False) as client:
        await submit(client)
    assert [job.cancels for job in emu.jobs()] == [1]


async def test_a_detached_job_is_taken_down_as_such(emu: Emulator) -> None:
    """A client that leaves a detached job running leaves nothing to recover."""
    async with opened(emu, on_cancel="detach") as client:
        await submit(client)
    async with opened(emu) as client:
        assert await client.recover("list") == []
    assert len(emu.live()) == 1


async def test_the_death_of_the_embedded_service_ends_every_wait() -> None:
    """When the embedded service dies nobody waits for its jobs any more."""
    async with qawait.local(backends=["manila"], run_seconds=60) as client:
        job = await submit(client)
        found = await client._service.versions()
        assert found
        os.kill(_emulator_pid(client), signal.SIGKILL)
        with anyio.fail_after(10), pytest.raises(NotSentError, match="embedded service"):
            await job


def _emulator_pid(client: Client) -> int:
    until_gone = client._options.until_gone
    assert until_gone is not None
    return int(until_gone.__self__.pid)  # type: ignore[attr-defined]
