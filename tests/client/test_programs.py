"""Both programs end to end on the embedded service, and what is sent beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest
from qiskit import QuantumCircuit

from qawait.errors import ConfigError
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}
READ_ELSEWHERE = """
import asyncio, json, os, sys, qawait
async def main():
    async with qawait.connect(
        token=os.environ["QISKIT_IBM_TOKEN"], instance=os.environ["QISKIT_IBM_INSTANCE"],
        url=os.environ["QISKIT_IBM_URL"], iam_url=os.environ["IAM_URL"],
    ) as client:
        result = await (await client.attach(sys.argv[1]))
        data = result[0].data
        print(json.dumps([type(result[0]).__name__, data.evs.tolist(), data.stds.tolist()]))
asyncio.run(main())
"""


def entangled() -> QuantumCircuit:
    """Return an unmeasured Bell pair."""
    circuit: QuantumCircuit = bell().remove_final_measurements(inplace=False)
    return circuit


@pytest.mark.parametrize("options", [None, TWIRLED], ids=["plain", "twirled"])
async def test_a_sampler_runs_on_the_executor(emu: Emulator, options: Any) -> None:
    """The same call with `program="executor"` gives the same kind of result."""
    async with opened(emu) as client:
        result = await client.run(
            bell(), backend="ibm_manila", shots=256, program="executor", options=options
        )
    counts = result[0].data.meas.get_counts()
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == 256
    assert [job.program for job in emu.jobs()] == ["executor"]


def test_an_estimators_result_is_the_same_in_another_process(emu: Emulator) -> None:
    """All that post-processing needs comes with the job: attaching to its id gives the result."""
    job_id, expected = anyio.run(_estimated, emu)
    command = [sys.executable, "-c", READ_ELSEWHERE, job_id]
    environ = {**os.environ, **emu.env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


async def _estimated(emu: Emulator) -> tuple[str, list[Any]]:
    async with opened(emu) as client:
        estimator = client.estimator(
            "ibm_manila", precision=0.125, program="executor", options={"resilience_level": 1}
        )
        job = await estimator.submit((entangled(), ["ZZ", "XI"]))
        data = (await job)[0].data
        return job.id, ["EstimatorPubResult", data.evs.tolist(), data.stds.tolist()]


async def test_mitigation_takes_readout_errors_out(emu: Emulator) -> None:
    """With the device's noise, resilience level 1 comes nearer to the true value than level 0."""
    emu.settings(noise=True)
    circuit = QuantumCircuit(2)
    circuit.x([0, 1])
    values = []
    async with opened(emu) as client:
        for level in (0, 1):
            estimator = client.estimator(
                "ibm_manila",
                precision=0.01,
                program="executor",
                options={"resilience_level": level},
            )
            values.append(float((await estimator.run((circuit, "ZZ")))[0].data.evs))
    raw, mitigated = np.abs(np.array(values) - 1)
    assert mitigated < raw


@pytest.mark.parametrize("program", ["legacy", "executor"])
async def test_options_of_the_job_join_those_given_by_keyword(emu: Emulator, program: Any) -> None:
    """Tags of both are on the job; a keyword's time limit goes before the option's."""
    emu.settings(execute=False)
    options = {"environment": {"job_tags": ["option"]}, "max_execution_time": 50}
    async with opened(emu, on_cancel="detach") as client:
        sampler = client.sampler("ibm_manila", options=options, program=program)
        await sampler.submit(bell(), tags=["word"])
        await sampler.submit(bell(), max_execution_time=60)
    first, second = emu.jobs()
    assert set(first.tags[1:3]) == {"word", "option"}
    assert (first.cost, second.cost) == (50, 60)


async def test_a_time_limit_among_the_options_is_checked(emu: Emulator) -> None:
    """What the keyword refuses, the option is refused for too, and nothing is sent."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="max_execution_time must be 1 to"):
            await client.run(
                bell(), backend="ibm_manila", options={"max_execution_time": 10**6}, shots=1
            )
    assert emu.ledger("POST", "/jobs") == []


async def test_a_dry_run_goes_to_the_mock(emu: Emulator) -> None:
    """The job is prepared for the backend and sent to the mock of it."""
    emu.settings(execute=False)
    async with opened(emu, on_cancel="detach") as client:
        job = await client.submit(bell(), backend="ibm_manila", dry_run=True)
        assert emu.job(job.id).backend == "mock_manila"
        assert {backend.name for backend in await client.backends()} == {"ibm_fez", "ibm_manila"}


async def test_noise_is_learned_of_a_circuit_given_as_it_is(emu: Emulator) -> None:
    """A circuit is transpiled and its layers come back with generators and rates."""
    async with opened(emu) as client:
        learned = await client.noise_learner("ibm_manila").run(entangled())
    [layer] = learned
    assert (layer.num_qubits, len(layer.error.rates)) == (2, 15)


async def test_circuits_and_layers_are_not_mixed(emu: Emulator) -> None:
    """The two versions of the program take one or the other."""
    async with opened(emu) as client:
        learner = client.noise_learner("ibm_manila")
        with pytest.raises(ConfigError, match="cannot be mixed"):
            await learner.submit([entangled(), entangled().data[0]])
        with pytest.raises(ConfigError, match="nothing to learn"):
            await learner.submit([])
        with pytest.raises(ConfigError, match="did you mean 'max_layers_to_learn'"):
            await client.noise_learner("ibm_manila", options={"max_layers": 3}).submit(entangled())
    assert emu.ledger("POST", "/jobs") == []
