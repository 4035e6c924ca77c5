"""The service's limits by switch, its mocks, and what jobs cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qawait.emulator.process import running
from qawait.errors import ConfigError
from support.emulated import submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api


def test_the_usage_limit_refuses_with_409(emu: Emulator, api: Api) -> None:
    """Once the instance's seconds are used, a submit is refused and the usage says so."""
    emu.settings(usage_limit=10)
    emu.script(outcome="complete", usage=12, times=None)
    emu.wait_for(api.submit(), "Completed")
    refused = api.ask("POST", "/jobs", submit_body())
    assert refused.status == 409
    assert refused.json["errors"][0]["message"] == "Usage exceeds instance limit"
    usage = api.ask("GET", "/instances/usage").json
    assert (usage["usage_consumed_seconds"], usage["usage_limit_seconds"]) == (12, 10)
    assert usage["usage_limit_reached"] is True
    emu.settings(usage_limit=None)
    assert api.submit()


def test_a_reset_gives_the_used_seconds_back(emu: Emulator, api: Api) -> None:
    """After `reset` nothing is consumed, as at the start."""
    emu.wait_for(api.submit(), "Completed")
    emu.reset()
    assert api.ask("GET", "/instances/usage").json["usage_consumed_seconds"] == 0


def test_limits_can_be_set_at_the_start() -> None:
    """Pending jobs, submits per minute and seconds are options of the command."""
    with running(
        backends=("manila",), execute=False, pending_limit=3, submits_per_minute=4, usage_limit=7
    ) as emu:
        limits = emu.settings()
    assert limits["pending_limit"] == 3
    assert (limits["submits_per_minute"], limits["usage_limit"]) == (4, 7)


@pytest.mark.parametrize("limit", [-1, 1.5, "10", True])
def test_a_limit_is_a_whole_number(emu: Emulator, limit: object) -> None:
    """What is none is refused."""
    with pytest.raises(ConfigError, match="usage_limit"):
        emu.settings(usage_limit=limit)


def test_scripts_set_what_a_job_is_expected_to_cost_and_costs(emu: Emulator, api: Api) -> None:
    """`estimate` and `usage` show in the job's record and in its metrics."""
    emu.next_job(outcome="complete", estimate=33.5, usage=40)
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    assert api.job(job_id)["estimated_running_time_seconds"] == 33.5
    charged = {"qpu_charge_time_seconds": 40, "status": "complete"}
    assert api.job(job_id)["usage"] == charged
    assert api.ask("GET", f"/jobs/{job_id}/metrics").json["usage"] == charged


def test_mocks_are_listed_on_demand_and_described_as_the_real_ones(api: Api) -> None:
    """`include_mocks` adds a `mock_…` of class mock for each backend."""
    real = [device["name"] for device in api.ask("GET", "/backends").json["devices"]]
    devices = api.ask("GET", "/backends?include_mocks=True").json["devices"]
    mocks = [device["name"] for device in devices if device.get("class") == "mock"]
    assert mocks == [name.replace("ibm_", "mock_") for name in real]
    mock = api.ask("GET", "/backends/mock_manila/configuration").json
    assert (mock["backend_name"], mock["n_qubits"]) == ("mock_manila", 5)
    assert api.ask("GET", "/backends/mock_nothing/status").status == 404


def test_jobs_on_mocks_cost_nothing_and_are_listed_on_demand(emu: Emulator, api: Api) -> None:
    """A dry run is executed and charged nothing; listings leave it out unless asked for it."""
    job_id = api.submit(backend="mock_manila")
    emu.wait_for(job_id, "Completed")
    assert api.job(job_id)["usage"]["qpu_charge_time_seconds"] == 0
    assert api.ids("") == []
    assert api.ids("include_mocks=true") == [job_id]
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 200
