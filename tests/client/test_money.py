"""Budgets, pace and estimates through a client, on the embedded service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import Budget, BudgetExceededError, JobStatus, RejectedError, ThrottledError
from support.emulated import FLIP
from support.open import opened

if TYPE_CHECKING:
    from qawait import Client, Job, Scope, Update
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}


@pytest.fixture(autouse=True)
def priced(emu: Emulator) -> None:
    """Let every job cost 10 s, as expected, without executing it."""
    emu.script(outcome="complete", estimate=10, usage=10, times=None)


async def submit(through: Client | Scope, **options: Any) -> Job[Any]:
    """Submit a job that is not executed."""
    return await through.submit_program("sampler", PARAMS, backend="ibm_manila", **options)


async def test_a_clients_budget_refuses_before_the_submit(emu: Emulator) -> None:
    """What does not fit any more is not sent, wherever in the client it comes from."""
    async with opened(emu, budget=Budget(qpu_seconds=25)) as client:
        for _ in range(2):
            await (await submit(client)).wait()
        assert await (await submit(client)).wait() is JobStatus.DONE
        with pytest.raises(BudgetExceededError, match=r"25 s, 30 s are spent"):
            await submit(client)
        async with client.scope() as scope:
            with pytest.raises(BudgetExceededError):
                await submit(scope)
        await (await submit(client, dry_run=True)).wait()
    assert [job.cost for job in emu.jobs()] == [25, 15, 5, 3600]


async def test_a_scopes_budget_holds_for_its_jobs_alone(emu: Emulator) -> None:
    """A scope can be given a budget of its own."""
    budget = Budget(qpu_seconds=10)
    async with opened(emu) as client, client.scope(budget=budget) as scope:
        await (await submit(scope)).wait()
        with pytest.raises(BudgetExceededError):
            await submit(scope)
        await (await submit(client)).wait()
    assert budget.spent == 10


async def test_exceeding_a_budget_cancels_the_rest(emu: Emulator) -> None:
    """A job that costs more than all may takes the others with it, each cancelled once."""
    emu.clear_scripts()
    emu.script(outcome="complete", estimate=1, usage=60, run_seconds=0.3)
    emu.script(outcome="complete", estimate=1, run_seconds=60, times=None)
    async with opened(emu, budget=Budget(qpu_seconds=50)) as client:
        jobs = [await submit(client, on_cancel="detach") for _ in range(3)]
        for job in jobs[1:]:
            with pytest.raises(BudgetExceededError, match=job.id):
                await job
    assert [job.cancels for job in emu.jobs()] == [0, 1, 1]


async def test_a_refusal_of_the_services_own_limit_is_waited_out(emu: Emulator) -> None:
    """429 with 1202 and `Retry-After` holds back every task, and all jobs are made."""
    refusal = '{"errors": [{"code": 1202, "message": "Too many", "solution": "Wait."}]}'
    emu.route("POST /jobs").fail(429, body=refusal, headers={"Retry-After": "0.3"}, times=3)
    async with opened(emu) as client, anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(submit, client)
    assert len(emu.jobs()) == 4


async def test_a_line_that_does_not_move_ends(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is throttled for good says so, with the service's code and solution."""
    monkeypatch.setattr("qawait.limits.THROTTLED_SECONDS", 0.3)
    monkeypatch.setattr("qawait.limits.THROTTLED_PAUSE_SECONDS", 0.1)
    emu.settings(submits_per_minute=1)
    async with opened(emu) as client:
        await submit(client)
        with pytest.raises(ThrottledError) as caught:
            await submit(client)
    error = caught.value
    assert (error.status, error.code, error.request) == (429, 1202, "POST /jobs")
    assert error.service_message == "Too many job requests received: limit is 1 per minute"
    assert error.tag


async def test_a_given_pace_is_kept_from_the_start(emu: Emulator) -> None:
    """`submits_per_minute` holds a client's third submit back, which can be cancelled unsent."""
    async with opened(emu, submits_per_minute=2) as client:
        for _ in range(2):
            await submit(client)
        with anyio.move_on_after(0.3) as scope:
            await submit(client)
        assert scope.cancelled_caught
    assert len(emu.ledger("POST", "/jobs")) == 2


async def test_the_pending_limit_of_an_instance_is_a_refusal(emu: Emulator) -> None:
    """Too many jobs on their way is refused by the service; `max_pending` stays below it."""
    emu.settings(pending_limit=2, run_seconds=0.1)
    async with opened(emu) as client:
        async with client.scope(max_pending=2) as scope:
            for _ in range(5):
                await submit(scope)
        emu.hold()
        for _ in range(2):
            await submit(client)
        with pytest.raises(RejectedError, match="limit of 2 pending jobs") as caught:
            await submit(client)
    assert caught.value.code == 3458


async def test_every_update_tells_what_is_expected(emu: Emulator) -> None:
    """Updates tell when the job may start and end, from the queue and the service's estimate."""
    emu.hold()
    async with opened(emu) as client:
        waiting = [await submit(client) for _ in range(3)]
        job = waiting[-1]
        guesses: list[Update] = []
        with anyio.fail_after(10):
            async for update in job.updates():
                guesses.append(update)
                if update.estimated_start is not None and len(guesses) < 50:
                    emu.release()
    known = next(update for update in guesses if update.estimated_start is not None)
    assert 25 < (known.estimated_start or 0) <= 30
    assert known.estimated_end is not None
    assert known.estimated_start is not None
    assert known.estimated_end - known.estimated_start == pytest.approx(10)
    assert (guesses[-1].estimated_start, guesses[-1].estimated_end) == (None, None)
    asked = emu.ledger("GET", "/backends/{name}/status")
    assert len(asked) <= 2  # one for the backend's description, one for its queue
