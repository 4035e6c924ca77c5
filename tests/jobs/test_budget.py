"""What jobs may cost together: refused before, cancelled when exceeded, never lost count of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import Budget
from qawait.errors import BudgetExceededError, ConfigError, UnknownOutcomeError
from qawait.jobs import caller
from qawait.testing import Fault, Outcome, SimulatedService
from qawait.types import JobStatus
from support.crew import Crew, crew

if TYPE_CHECKING:
    from qawait.jobs.job import Job
    from qawait.testing.ledger import SimulatedJob
    from qawait.types import Snapshot

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


class Priced(SimulatedService):
    """A service that expects `estimate` seconds of each job and charges what `prices` say."""

    estimate: float | None = 10.0
    price = 10.0
    prices: dict[str, float] = {}  # noqa: RUF012 - each test sets its own
    lag = 0.0  # from the end of a job until its charge is settled

    def _snapshot(self, job: SimulatedJob, now: float) -> Snapshot:
        seen = super()._snapshot(job, now)
        settled = seen.is_final and now >= job.ends + self.lag
        ran = seen.status in (JobStatus.DONE, JobStatus.ERROR)
        price = self.prices.get(job.job_id, self.price) if ran else 0.0
        return replace(
            seen, estimated_seconds=self.estimate, usage_seconds=price if settled else None
        )


async def submitted(team: Crew, budget: Budget, seconds: int | None = None) -> Job[Any]:
    """Submit one job within a budget, and return it when it has an id."""
    job = team.start(budgets=[budget], max_execution_time=seconds)
    await caller.wait_identified(job.driver)
    return job


async def test_what_jobs_were_charged_is_spent() -> None:
    """Ended jobs count with the service's charge, live ones with what it expects."""
    budget = Budget(qpu_seconds=100)
    service = Priced(queue_seconds=5, run_seconds=5)
    service.price = 12.0
    async with crew(service) as team:
        jobs = [await submitted(team, budget) for _ in range(3)]
        await anyio.sleep(2)
        assert (budget.spent, budget.expected, budget.remaining) == (0, 30, 70)
        for job in jobs:
            await job.wait()
        assert (budget.spent, budget.expected, budget.remaining) == (36, 0, 64)
    assert repr(budget) == "<Budget of 100 s: 36 s spent, 0 s expected>"


async def test_a_job_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    """With less than a second left nothing is sent; the error tells what is spent."""
    budget = Budget(qpu_seconds=20)
    async with crew(Priced(queue_seconds=60)) as team:
        for _ in range(2):
            await submitted(team, budget)
        job = team.start(budgets=[budget])
        with pytest.raises(
            BudgetExceededError, match=r"too little left.*20 s.*20 s expected"
        ) as no:
            await job
        assert (no.value.qpu_seconds, no.value.spent, no.value.job_id) == (20, 0, None)
        assert no.value.tag == "tag2"
        assert team.service.count("submit") == 2


async def test_each_job_may_use_what_is_left_at_most() -> None:
    """`max_execution_time` is cut to what is left, so that no single job can exceed a budget."""
    budget = Budget(qpu_seconds=25.9)
    async with crew(Priced(queue_seconds=60)) as team:
        first = await submitted(team, budget)
        second = await submitted(team, budget, 3600)
        third = await submitted(team, budget, 2)
        sent = [job.driver.request for job in (first, second, third)]
        assert [request and request.max_execution_time for request in sent] == [25, 15, 2]


async def test_jobs_whose_limit_fits_do_not_wait_for_each_other() -> None:
    """With a `max_execution_time` that fits nothing has to be learnt before the next submit."""
    budget = Budget(qpu_seconds=60)
    async with crew(Priced(queue_seconds=60)) as team:
        began = anyio.current_time()
        for _ in range(12):
            await submitted(team, budget, 5)
        assert anyio.current_time() - began < 0.5


async def test_without_an_estimate_a_job_counts_with_its_limit() -> None:
    """A service that expects nothing is no reason to spend more."""
    budget = Budget(qpu_seconds=60)
    service = Priced(queue_seconds=600)
    service.estimate = None
    async with crew(service) as team:
        await submitted(team, budget, 50)
        assert budget.expected == 50
        job = await submitted(team, budget)
        assert job.driver.request is not None
        assert job.driver.request.max_execution_time == 10
        with pytest.raises(BudgetExceededError):
            await team.start(budgets=[budget], max_execution_time=1)


async def test_a_hundred_submits_at_once_never_exceed_it() -> None:
    """Submits of many tasks are decided on one after the other."""
    budget = Budget(qpu_seconds=90)
    async with crew(Priced(queue_seconds=10, run_seconds=10)) as team:
        jobs = [team.start(budgets=[budget]) for _ in range(100)]
        refused = 0
        for job in jobs:
            try:
                await job
            except BudgetExceededError:
                refused += 1
        await anyio.sleep(5)  # a charge may be settled a moment after the end
        assert (len(team.service.jobs), refused) == (9, 91)
        assert (budget.spent, budget.expected) == (90, 0)


async def test_exceeding_it_cancels_the_rest_once() -> None:
    """A charge beyond the budget cancels every live job of it once, with an error of its own."""
    budget = Budget(qpu_seconds=50)
    service = Priced(outcomes=[Outcome(run_seconds=5), *[Outcome(queue_seconds=500)] * 3])
    service.prices = {"job0": 60.0}
    async with crew(service) as team:
        jobs = [await submitted(team, budget) for _ in range(4)]
        other = team.start()
        assert await jobs[0] == "result"
        for job in jobs[1:]:
            with pytest.raises(BudgetExceededError, match="exceeded") as caught:
                await job
            assert (caught.value.job_id, caught.value.spent) == (job.id, 60)
            assert await job.wait() is JobStatus.CANCELLED
        assert [job.cancels for job in service.jobs.values()] == [0, 1, 1, 1, 0]
        await other


async def test_only_what_no_longer_fits_is_cancelled() -> None:
    """A charge somewhat above what was expected costs the newest queued job, not all of them."""
    budget = Budget(qpu_seconds=40)
    running = Outcome(queue_seconds=1, run_seconds=60)
    service = Priced(outcomes=[Outcome(run_seconds=9), Outcome(queue_seconds=90), running, running])
    service.prices = {"job0": 15.0}
    async with crew(service) as team:
        jobs = [await submitted(team, budget) for _ in range(4)]
        for job in jobs:
            await job.wait()
        assert [job.cancels for job in service.jobs.values()] == [0, 1, 0, 0]
        assert budget.spent == 35


async def test_a_charge_that_is_settled_late_counts_as_expected_until_then() -> None:
    """Between its end and its charge a job counts with what was expected of it."""
    budget = Budget(qpu_seconds=30)
    service = Priced()
    service.lag, service.price = 45.0, 3.0
    async with crew(service) as team:
        job = await submitted(team, budget)
        await job.wait()
        assert (budget.spent, budget.expected) == (0, 10)
        await anyio.sleep(200)
        assert (budget.spent, budget.expected) == (3, 0)


async def test_a_charge_that_never_comes_counts_as_expected() -> None:
    """What the service never tells is taken to be what it expected."""
    budget = Budget(qpu_seconds=30)
    service = Priced()
    service.lag = 1e9
    async with crew(service) as team:
        await (await submitted(team, budget)).wait()
        await anyio.sleep(1000)
        assert (budget.spent, budget.expected) == (10, 0)


async def test_a_cancelled_job_gives_back_what_it_has_not_used() -> None:
    """A job that was cancelled in the queue costs nothing, and makes room at once."""
    budget = Budget(qpu_seconds=10)
    async with crew(Priced(queue_seconds=60)) as team:
        job = await submitted(team, budget)
        await anyio.sleep(2)
        assert budget.remaining == 0
        await job.cancel()
        assert budget.remaining == 10
        await job.wait()
        assert (budget.spent, budget.remaining) == (0, 10)


async def test_a_submit_that_made_no_job_costs_nothing() -> None:
    """What never was a job gives its share back."""
    budget = Budget(qpu_seconds=10)
    faults = [Fault("submit", 0), Fault("find", 0, None), Fault("submit", 1)]
    async with crew(Priced(faults=faults)) as team:
        job = team.start(budgets=[budget])
        with pytest.raises(UnknownOutcomeError):
            await job
        assert budget.remaining == 10


async def test_a_job_in_two_budgets_counts_in_both() -> None:
    """The client's budget and the scope's are both kept to, whichever order they are named in."""
    large, small = Budget(qpu_seconds=100), Budget(qpu_seconds=10)
    async with crew(Priced(queue_seconds=600)) as team:
        first = team.start(budgets=[large, small])
        await caller.wait_identified(first.driver)
        second = team.start(budgets=[small, large])
        with pytest.raises(BudgetExceededError):
            await second
        await anyio.sleep(2)
        assert (large.expected, small.expected) == (10, 10)


async def test_a_job_of_a_closed_client_holds_nobody_up() -> None:
    """What a client left in flight counts with its limit; another client need not wait for it."""
    budget = Budget(qpu_seconds=30)
    async with crew(Priced(latency=100.0)) as first:
        first.start(budgets=[budget], max_execution_time=20)
        await anyio.sleep(1)
    assert budget.expected == 20
    async with crew(Priced()) as second:
        with anyio.fail_after(30):
            job = await submitted(second, budget)
        assert job.driver.request is not None
        assert job.driver.request.max_execution_time == 10


@pytest.mark.parametrize("given", [0, -1, float("nan"), float("inf"), True, "60", None])
async def test_a_budget_is_a_number_of_seconds(given: Any) -> None:
    """Anything else is refused at once."""
    with pytest.raises(ConfigError, match="qpu_seconds"):
        Budget(qpu_seconds=given)
