"""From a circuit to its result, on the embedded service, on every loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

import qawait
from qawait import CancelOutcome, JobStatus, Stage
from support.open import BELL_QASM3, bell, opened

if TYPE_CHECKING:
    from qawait import Update
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


def assert_is_bell(counts: dict[str, int], shots: int) -> None:
    """Check that only 00 and 11 were measured, each within five standard deviations of half."""
    assert set(counts) <= {"00", "11"}
    assert sum(counts.values()) == shots
    assert abs(counts["00"] - shots / 2) < 5 * math.sqrt(shots / 4)


async def test_running_a_circuit_gives_its_counts(emu: Emulator) -> None:
    """`await client.run(circuit)` gives the right counts, from one submit and no cancel."""
    async with opened(emu) as client:
        result = await client.run(bell(), backend="ibm_manila", shots=4096)
    assert_is_bell(result[0].data.meas.get_counts(), 4096)
    assert len(emu.ledger("POST", "/jobs")) == 1
    assert emu.cancels(emu.jobs()[0].id) == 0


async def test_openqasm_3_text_runs(emu: Emulator) -> None:
    """A circuit may be given as OpenQASM 3 text."""
    async with opened(emu) as client:
        result = await client.run(BELL_QASM3, backend="ibm_fez", shots=1000)
    assert_is_bell(result[0].data.c.get_counts(), 1000)


async def test_several_pubs_with_their_own_shots_and_parameters(emu: Emulator) -> None:
    """A list of pubs gives one result each, with its own shots and parameter values."""
    angle = Parameter("angle")
    turned = QuantumCircuit(1)
    turned.rx(angle, 0)
    turned.measure_all()
    async with opened(emu) as client:
        sampler = client.sampler("ibm_manila", shots=100)
        result = await sampler.run([bell(), (turned, [[0.0], [np.pi]], 50)])
    assert_is_bell(result[0].data.meas.get_counts(), 100)
    meas = result[1].data.meas
    assert [meas.get_counts(0), meas.get_counts(1)] == [{"0": 50}, {"1": 50}]


async def test_an_estimator_gives_the_exact_value_within_its_error(emu: Emulator) -> None:
    """An expectation value lies within five standard deviations of the exact one."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    async with opened(emu) as client:
        estimator = client.estimator("ibm_manila", precision=0.02)
        result = await estimator.run((circuit, ["ZZ", "XX"], [[0.7], [0.7]]))
    exact = np.array([1.0, math.sin(0.7)])
    assert np.all(np.abs(result[0].data.evs - exact) <= 5 * np.maximum(result[0].data.stds, 0.02))


async def test_submit_poll_fetch_and_cancel_are_steps_of_their_own(emu: Emulator) -> None:
    """Each verb does its one step: an id, a status, a result, an outcome."""
    async with opened(emu) as client:
        job = await client.submit(bell(), backend="ibm_manila", shots=16)
        assert job.id == emu.jobs()[0].id
        emu.wait_for(job.id, "Completed")
        assert await job.poll() is JobStatus.DONE
        result = await job.fetch()
        assert sum(result[0].data.meas.get_counts().values()) == 16
        assert await job.cancel() is CancelOutcome.ALREADY_FINAL
    assert emu.cancels(job.id) == 0


async def test_updates_stream_the_status(emu: Emulator) -> None:
    """`async for update in job.updates()` ends at DONE, in the order of the stages."""
    async with opened(emu) as client:
        emu.settings(queue_seconds=0.2, run_seconds=0.2)
        job = await client.submit(bell(), backend="ibm_manila")
        stages = [update.stage async for update in job.updates()]
    assert stages == sorted(stages)
    assert set(stages) == {Stage.QUEUED, Stage.RUNNING, Stage.DONE}


async def test_on_update_tells_every_stage_from_the_first(emu: Emulator) -> None:
    """`run(on_update=…)` tells all stages in their order, those before the job's id included."""
    updates: list[Update] = []
    async with opened(emu) as client:
        emu.settings(queue_seconds=0.2, run_seconds=0.2)
        await client.run(bell(), backend="ibm_manila", on_update=updates.append)
    stages = list(dict.fromkeys(update.stage for update in updates))
    assert stages == [stage for stage in Stage if stage <= Stage.DONE]
    assert updates[0].job_id is None
    assert updates[-1].job_id == emu.jobs()[0].id


async def test_a_job_of_an_earlier_client_can_be_attached(emu: Emulator) -> None:
    """`client.attach(job_id)` gives a handle on a job that another client detached."""
    async with opened(emu) as first:
        job = await first.submit(bell(), backend="ibm_manila", shots=8, on_cancel="detach")
    async with opened(emu) as second:
        found = await second.attach(job.id)
        assert found.on_cancel == "detach"
        assert sum((await found)[0].data.meas.get_counts().values()) == 8
    assert emu.cancels(job.id) == 0


async def test_jobs_lists_what_the_filters_let_through(emu: Emulator) -> None:
    """`client.jobs(...)` iterates over the jobs with the given tag, newest first."""
    async with opened(emu) as client:
        jobs = [
            await client.submit(bell(), backend="ibm_manila", shots=1, tags=[f"t{n % 2}"])
            for n in range(4)
        ]
        for job in jobs:
            await job.wait()
        listed = [job.id async for job in client.jobs(tags=["t1"])]
        assert listed == [jobs[3].id, jobs[1].id]
        assert [job.id async for job in client.jobs(limit=1)] == [jobs[3].id]
        assert [job async for job in client.jobs(pending=True)] == []


async def test_backends_are_listed_and_described(emu: Emulator) -> None:
    """Backends come with size and state; by name also with a target; the least busy is one."""
    async with opened(emu) as client:
        assert [b.name for b in await client.backends(min_num_qubits=100)] == ["ibm_fez"]
        assert (await client.backend("ibm_manila")).target.num_qubits == 5
        emu.settings(backend_states={"ibm_fez": "paused"})
        assert (await client.least_busy()).name == "ibm_manila"


async def test_a_scope_owns_its_jobs(emu: Emulator) -> None:
    """A scope waits for its jobs, at most `max_pending` of them on their way at a time."""
    async with opened(emu) as client:
        emu.settings(run_seconds=0.05)
        async with client.scope(max_pending=2) as scope:
            jobs = []
            for _ in range(5):
                jobs.append(await scope.submit(bell(), backend="ibm_manila", shots=1))
                assert len(emu.live()) <= 2
        assert {job.status for job in jobs} == {JobStatus.DONE}


async def test_as_completed_gives_each_job_when_it_has_ended(emu: Emulator) -> None:
    """The quick job comes before the slow one that was submitted first."""
    async with opened(emu) as client:
        emu.next_job(run_seconds=0.5)
        slow = await client.submit(bell(), backend="ibm_manila", shots=1)
        quick = await client.submit(bell(), backend="ibm_manila", shots=1)
        ended = [job.id async for job in client.as_completed([slow, quick])]
    assert ended == [quick.id, slow.id]


async def test_raw_programs_are_sent_as_they_stand(emu: Emulator) -> None:
    """`submit_program` sends any program with its own input."""
    circuit = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
    pubs = [[circuit, None, 4]]
    params: dict[str, object] = {"pubs": pubs, "options": {}, "version": 2}
    async with opened(emu) as client:
        job = await client.submit_program("sampler", params, backend="ibm_manila")
        result = await job
    assert result["results"][0]["data"]["c"]["samples"] == ["0x1"] * 4


async def test_two_clients_do_not_disturb_each_other(emu: Emulator) -> None:
    """Leaving one client cancels its own job and not the other's."""
    emu.settings(run_seconds=0.5)
    async with opened(emu) as first:
        job = await first.submit(bell(), backend="ibm_manila", shots=1)
        async with opened(emu) as second:
            other = await second.submit(bell(), backend="ibm_manila", shots=1)
        assert await job.wait() is JobStatus.DONE
    assert (emu.cancels(job.id), emu.cancels(other.id)) == (0, 1)


async def test_a_client_can_be_awaited_and_closed_later(emu: Emulator) -> None:
    """In a notebook a client is opened by `await` and closed by `aclose`, twice if need be."""
    client = await opened(emu)
    assert_is_bell(
        (await client.run(bell(), backend="ibm_manila", shots=64))[0].data.meas.get_counts(), 64
    )
    await client.aclose()
    await client.aclose()
    with pytest.raises(qawait.ConfigError, match="closed"):
        await client.run(bell(), backend="ibm_manila")


async def test_the_embedded_service_starts_and_ends_with_its_client() -> None:
    """`qawait.local()` runs a circuit without account or network and leaves no process."""
    async with qawait.local(backends=["manila"], seed=1) as client:
        result = await client.run(bell(), backend="ibm_manila", shots=256)
        service = client._service
    assert_is_bell(result[0].data.meas.get_counts(), 256)
    with pytest.raises(qawait.QawaitError):
        await service.versions()
