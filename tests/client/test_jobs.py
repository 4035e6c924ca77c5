"""What can be asked of a job beside its status and result, and of the service about jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qawait import ConfigError, JobStatus, RejectedError
from support.emulated import FLIP
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait import Client, Job
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}


async def submit(client: Client, **options: Any) -> Job[Any]:
    """Submit a job that is not executed."""
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila", **options)


@pytest.fixture(autouse=True)
def quick(emu: Emulator) -> None:
    """Let jobs end without being executed."""
    emu.script(outcome="complete", times=None)


# --- what a job is -------------------------------------------------------------------------------


async def test_a_job_knows_what_it_was_submitted_as(emu: Emulator) -> None:
    """Backend, program, tags and privacy need no request, before the first status and after."""
    emu.hold()
    async with opened(emu) as client:
        job = await submit(client, tags=["mine"], private=True)
        before = (job.backend, job.program, job.session_id, job.tags, job.private)
        assert before == ("ibm_manila", "sampler", None, ("mine",), True)
        unknown = job.created
        assert unknown is None
        await job.poll()
        assert (job.backend, job.program, job.session_id, job.tags, job.private) == before
        assert job.estimated_seconds == 2.1
        assert job.error_message is None
    assert job.created is not None
    assert abs(datetime.now(UTC) - job.created) < timedelta(minutes=5)


async def test_a_failed_job_says_why(emu: Emulator) -> None:
    """`error_message` is the service's reason once the job has failed."""
    emu.clear_scripts()
    emu.next_job(outcome="fail", reason="no luck")
    async with opened(emu) as client:
        job = await submit(client)
        await job.wait()
        assert job.error_message == "no luck"


async def test_tags_can_be_replaced_and_the_job_still_be_found(emu: Emulator) -> None:
    """`set_tags` replaces the user's tags; qawait's own stay, so that the job is followed."""
    emu.hold()
    async with opened(emu) as client:
        job = await submit(client, tags=["old"])
        own = set(emu.job(job.id).tags) - {"old"}
        await job.set_tags(["new", "other", "new"])
        replaced = job.tags
        assert replaced == ("new", "other")
        assert set(emu.job(job.id).tags) == {"new", "other"} | own
        await job.poll()
        polled = job.tags
        assert set(polled) == {"new", "other"}
        await job.update_tags([])
        assert list(job.tags) == []
        emu.release()
        assert await job.wait() is JobStatus.DONE


# --- what a job leaves behind --------------------------------------------------------------------


async def test_logs_and_metrics_are_the_services_own(emu: Emulator) -> None:
    """`logs` is text, `metrics` has the times and the usage, while it runs and after."""
    async with opened(emu) as client:
        job = await submit(client)
        await job.wait()
        assert "completed" in await job.logs()
        metrics = await job.metrics()
    assert set(metrics["timestamps"]) == {"created", "running", "finished"}
    assert metrics["usage"]["status"] == "complete"


async def test_usage_is_none_until_the_service_has_settled_it(emu: Emulator) -> None:
    """A charge that is still pending is not zero: it is not known."""
    emu.settings(usage_lag=30)
    emu.clear_scripts()
    emu.script(outcome="complete", usage=7, times=None)
    async with opened(emu) as client:
        pending = await submit(client)
        await pending.wait()
        assert await pending.usage() is None
        emu.settings(usage_lag=0)
        settled = await submit(client)
        await settled.wait()
        assert await settled.usage() == 7
        asked = len(emu.ledger("GET", "/jobs/{id}"))
        assert await settled.usage() == 7
        assert len(emu.ledger("GET", "/jobs/{id}")) == asked


async def test_a_charge_that_comes_late_is_seen(emu: Emulator) -> None:
    """`usage` asks again as long as it is not settled."""
    emu.settings(usage_lag=0.2)
    emu.clear_scripts()
    emu.script(outcome="complete", usage=3, times=None)
    async with opened(emu) as client:
        job = await submit(client)
        await job.wait()
        while (usage := await job.usage()) is None:
            pass
    assert usage == 3


async def test_inputs_are_what_was_submitted(emu: Emulator) -> None:
    """Circuits come back as Qiskit's, parameter values as numpy's, with shots and options."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(1)
    circuit.rz(angle, 0)
    circuit.measure_all()
    async with opened(emu) as client:
        job = await client.submit(
            (circuit, [0.25], 16), backend="ibm_manila", options={"default_shots": 9}
        )
        inputs = await job.inputs()
    sent, values, shots = inputs["pubs"][0]
    assert isinstance(sent, QuantumCircuit)
    assert [str(parameter) for parameter in sent.parameters] == ["angle"]
    assert np.asarray(values).ravel().tolist() == [0.25]
    assert shots == 16
    assert inputs["options"]["default_shots"] == 9


async def test_the_input_of_a_private_job_is_not_given_back(emu: Emulator) -> None:
    """`inputs` of a private job is refused without a request."""
    async with opened(emu) as client:
        job = await submit(client, private=True)
        asked = len(emu.ledger("GET", "/jobs/{id}"))
        with pytest.raises(ConfigError, match="private"):
            await job.inputs()
        assert len(emu.ledger("GET", "/jobs/{id}")) == asked


async def test_a_job_is_deleted_once_it_has_ended(emu: Emulator) -> None:
    """`delete` of a live job is refused with advice; of an ended one it is for good."""
    emu.hold()
    async with opened(emu) as client:
        job = await submit(client)
        with pytest.raises(ConfigError, match=f"QUEUED: cancel it.*{job.id}"):
            await job.delete()
        assert emu.ledger("DELETE") == []
        emu.release()
        await job.wait()
        await job.delete()
        assert emu.jobs() == []
        with pytest.raises(RejectedError) as caught:
            await job.delete()
    assert (caught.value.status, caught.value.job_id) == (404, job.id)


async def test_a_deletion_whose_answer_was_lost_is_no_error(emu: Emulator) -> None:
    """The second try's 404 says that the first one did it."""
    async with opened(emu) as client:
        job = await submit(client)
        await job.wait()
        emu.route("DELETE /jobs/{id}").reset(when="after")
        await job.delete()
    assert emu.jobs() == []


async def test_an_attached_job_can_be_asked_the_same(emu: Emulator) -> None:
    """All of it works for a job of an earlier program, and none of it cancels it."""
    async with opened(emu, on_cancel="detach") as first:
        job_id = (await submit(first, tags=["mine"])).id
    async with opened(emu) as second:
        job = await second.attach(job_id)
        assert (job.tags, job.backend) == (("mine",), "ibm_manila")
        assert await job.logs()
        assert await job.metrics()
        assert (await job.inputs())["pubs"] == PARAMS["pubs"]
        await job.set_tags(["yours"])
        await job.wait()
        await job.delete()
    assert emu.jobs() == []


async def test_questions_survive_what_a_network_does(emu: Emulator) -> None:
    """A reset, a 503 and a 429 delay the answers and nothing else."""
    async with opened(emu) as client:
        job = await submit(client)
        await job.wait()
        for route in ("logs", "metrics"):
            emu.route(f"GET /jobs/{{id}}/{route}").reset()
            emu.route(f"GET /jobs/{{id}}/{route}").fail(503)
        emu.route("PUT /jobs/{id}/tags").throttle(retry_after=0.05)
        assert await job.logs()
        assert await job.metrics()
        await job.set_tags(["a"])
        assert "a" in emu.job(job.id).tags


# --- lists ---------------------------------------------------------------------------------------


async def test_every_filter_of_the_service_filters(emu: Emulator) -> None:
    """Backend, program, state, tags, session, times, order, limit and skip do as they say."""
    async with opened(emu) as client:
        jobs = [await submit(client, tags=[f"t{n}", "all"]) for n in range(4)]
        fez = await client.submit_program("sampler", PARAMS, backend="ibm_fez")
        for job in (*jobs, fez):
            await job.wait()
        emu.hold()
        live = await submit(client)

        async def found(**conditions: Any) -> list[str]:
            return [job.id async for job in client.jobs(**conditions)]

        ids = [job.id for job in jobs]
        assert await found(backend="ibm_fez") == [fez.id]
        assert await found(program="estimator") == []
        assert await found(pending=True) == [live.id]
        assert await found(pending=False) == [fez.id, *ids[::-1]]
        assert await found(tags=["t1", "all"]) == [ids[1]]
        assert await found(tags=["t1", "t2"]) == []
        assert await found(session_id="none") == []
        assert await found(oldest_first=True, limit=2) == ids[:2]
        assert await found(oldest_first=True, skip=3, limit=2) == [ids[3], fez.id]
        assert await found(skip=100) == []
        assert await found(limit=0) == []
        second = jobs[1].created
        assert second is not None
        assert await found(created_after=second, tags=["all"]) == ids[:0:-1]
        assert await found(created_before=second, tags=["all"]) == ids[1::-1]


async def test_a_listing_of_many_pages_while_jobs_come(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs submitted and deleted while the pages are read disturb no other."""
    monkeypatch.setattr("qawait.limits.LIST_PAGE", 5)
    async with opened(emu) as client:
        jobs = [await submit(client, tags=["old"]) for _ in range(18)]
        for job in jobs:
            await job.wait()
        found: list[str] = []
        async for job in client.jobs():
            found.append(job.id)
            if len(found) == 3:
                await jobs[5].delete()
            if len(found) % 6 == 0:
                await submit(client)
    wanted = [job.id for job in jobs[::-1] if job is not jobs[5]]
    assert [job_id for job_id in found if job_id in wanted] == wanted


# --- dry runs ------------------------------------------------------------------------------------


async def test_a_dry_run_goes_to_the_mock_and_costs_nothing(emu: Emulator) -> None:
    """`dry_run=True` sends the same job to the backend's mock."""
    emu.clear_scripts()
    async with opened(emu) as client:
        await client.run(bell(), backend="ibm_manila", shots=8, dry_run=True)
        assert (await client.usage()).consumed_seconds == 0
        assert [job.backend async for job in client.jobs(include_mocks=True)] == ["mock_manila"]
        assert [job async for job in client.jobs()] == []
    assert [job.backend for job in emu.jobs()] == ["mock_manila"]


async def test_a_dry_run_without_a_mock_is_refused(emu: Emulator) -> None:
    """A backend that has no mock is said so; nothing is submitted."""
    emu.route("GET /backends").replace('{"devices": []}')
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="mock_manila"):
            await submit(client, dry_run=True)
    assert emu.jobs() == []


async def test_the_instances_usage(emu: Emulator) -> None:
    """`client.usage()` says what is used and what is left, in seconds."""
    emu.settings(usage_limit=100)
    emu.clear_scripts()
    emu.script(outcome="complete", usage=30, times=None)
    async with opened(emu) as client:
        await (await submit(client)).wait()
        usage = await client.usage()
    assert (usage.consumed_seconds, usage.limit_seconds, usage.remaining_seconds) == (30, 100, 70)
    assert not usage.is_limit_reached


async def test_an_instance_whose_limit_is_reached_refuses_jobs(emu: Emulator) -> None:
    """409 on a submit is no race: the instance's time is used up."""
    emu.settings(usage_limit=5)
    emu.clear_scripts()
    emu.script(outcome="complete", usage=30, times=None)
    async with opened(emu) as client:
        await (await submit(client)).wait()
        assert (await client.usage()).is_limit_reached
        with pytest.raises(RejectedError, match="Usage exceeds instance limit") as caught:
            await submit(client)
    assert caught.value.status == 409
