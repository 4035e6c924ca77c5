"""The simulated service: outcomes, faults and the ledger."""

from __future__ import annotations

import anyio
import pytest

from qawait.errors import NotSentError, ThrottledError, UnknownOutcomeError
from qawait.jobs.service import CancelReply
from qawait.testing import Fault, Outcome, SimulatedService, Trouble
from qawait.types import JobStatus, SubmitRequest

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def request(tag: str = "tag0") -> SubmitRequest:
    """Return a request with a tag."""
    return SubmitRequest(program="sampler", backend="sim", params={}, tag=tag)


async def test_each_job_has_its_own_outcome() -> None:
    """The nth job takes the nth outcome, and those beyond the service's own."""
    outcomes = [Outcome(queue_seconds=9), Outcome(run_seconds=0, ends_as=JobStatus.ERROR)]
    service = SimulatedService(outcomes=outcomes)
    for nth in range(3):
        await service.submit(request(f"tag{nth}"))
    await anyio.sleep(3)
    states = [(await service.status(f"job{nth}")).status for nth in range(3)]
    assert states == [JobStatus.QUEUED, JobStatus.ERROR, JobStatus.DONE]


async def test_an_effect_may_come_late() -> None:
    """With `late`, the client is told before the submit takes effect."""
    service = SimulatedService(faults=[Fault("submit", 0, after=True, late=1.0)])
    with pytest.raises(UnknownOutcomeError):
        await service.submit(request())
    assert service.live() == []
    await anyio.sleep(1.0)
    assert [job.tag for job in service.live()] == ["tag0"]


async def test_an_answer_may_come_late() -> None:
    """With `delay`, the request takes effect at once and is answered later."""
    service = SimulatedService(faults=[Fault("submit", 0, None, delay=2.0)], queue_seconds=9)
    began = anyio.current_time()
    assert await service.submit(request()) == "job0"
    assert anyio.current_time() - began == pytest.approx(2.01)
    assert service.jobs["job0"].created - began == pytest.approx(0.005)


async def test_troubles_are_errors_of_the_vocabulary() -> None:
    """Each trouble makes the error a service raises."""
    faults = [
        Fault("submit", 0, Trouble.NOT_SENT),
        Fault("submit", 1, Trouble.THROTTLED),
    ]
    service = SimulatedService(faults=faults)
    with pytest.raises(NotSentError):
        await service.submit(request())
    with pytest.raises(ThrottledError) as caught:
        await service.submit(request())
    assert caught.value.retry_after == 3.0
    assert service.jobs == {}


async def test_the_ledger_tells_what_became_of_each_request() -> None:
    """An entry has the times of sending, effect and answer, and the answer or error."""
    service = SimulatedService(latency=1.0, faults=[Fault("cancel", 0)])
    await service.submit(request())
    with pytest.raises(UnknownOutcomeError):
        await service.cancel("job0")
    submit, cancel = service.ledger
    assert (submit.answer, submit.landed, submit.answered) == ("job0", 0.5, 1.0)
    assert cancel.landed is None
    assert isinstance(cancel.error, UnknownOutcomeError)


async def test_a_job_may_outrun_its_cancel() -> None:
    """A cancel that is accepted and has no effect leaves the job to its end."""
    service = SimulatedService(outcomes=[Outcome(outruns_cancel=True)])
    await service.submit(request())
    assert await service.cancel("job0") is CancelReply.ACCEPTED
    await anyio.sleep(3)
    assert (await service.status("job0")).status is JobStatus.DONE
