from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qawait.errors import ConfigError

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api


def test_scripted_failure(emu: Emulator, api: Api) -> None:
    """A job fails with the reason, code and solution given, and its traceback as result."""
    emu.next_job(outcome="fail", reason="bad luck", code=5302, solution="try", text="Traceback: x")
    job_id = api.submit()
    emu.wait_for(job_id, "Failed")
    assert api.job(job_id)["state"] == {
        "status": "Failed",
        "reason": "bad luck",
        "reason_code": 5302,
        "reason_solution": "try",
    }
    result = api.ask("GET", f"/jobs/{job_id}/results")
    assert (result.status, result.body) == (200, b"Traceback: x")
    assert result.headers["content-type"].startswith("text/plain")


def test_ran_too_long(emu: Emulator, api: Api) -> None:
    """A job that ran too long is Cancelled with code 1305, and says so twice."""
    emu.next_job(outcome="too_long")
    job_id = api.submit()
    emu.wait_for(job_id, "Cancelled")
    job = api.job(job_id)
    assert job["state"] == {"status": "Cancelled", "reason": "Ran too long", "reason_code": 1305}
    assert job["status"] == "Cancelled - Ran too long"


def test_run_time_beyond_the_cost_is_too_long(emu: Emulator, api: Api) -> None:
    """A job scripted to run longer than its `cost` ends there with code 1305."""
    emu.next_job(run_seconds=60)
    job_id = api.submit(cost=1)
    view = emu.wait_for(job_id, "Cancelled")
    assert view.code == 1305
    assert api.job(job_id)["usage"]["qpu_charge_time_seconds"] == 1


def test_unknown_status_for_a_while(emu: Emulator, api: Api) -> None:
    """A job shows a status nobody knows, and then goes on to its end."""
    emu.next_job(status="Validating", status_seconds=0.2)
    job_id = api.submit()
    emu.wait_for(job_id, "Running")
    assert api.job(job_id)["state"] == {"status": "Validating"}
    assert api.job(job_id)["status"] == "Validating"
    emu.wait_for(job_id, "Completed")


def test_unknown_status_for_ever(emu: Emulator, api: Api) -> None:
    """Without a time the status stays, until the job is cancelled."""
    emu.next_job(status="Pondering")
    job_id = api.submit()
    emu.wait_for(job_id, "Running")
    assert api.job(job_id)["state"] == {"status": "Pondering"}
    assert api.ask("POST", f"/jobs/{job_id}/cancel").status == 204
    assert api.job(job_id)["state"]["status"] == "Cancelled"


def test_job_that_ignores_its_cancel(emu: Emulator, api: Api) -> None:
    """A cancel is answered 204, and the job completes all the same."""
    emu.next_job(ignore_cancel=True, hold="running")
    job_id = api.submit()
    assert api.ask("POST", f"/jobs/{job_id}/cancel").status == 204
    assert emu.wait_for(job_id, "Running").cancels_accepted == 1
    emu.release(job_id)
    emu.wait_for(job_id, "Completed")


def test_cancel_that_takes_its_time(emu: Emulator, api: Api) -> None:
    """A cancel may be answered 204 while the job runs on for a while."""
    emu.next_job(cancel_seconds=0.1, hold="running")
    job_id = api.submit()
    emu.wait_for(job_id, "Running")
    assert api.ask("POST", f"/jobs/{job_id}/cancel").status == 204
    assert api.job(job_id)["state"]["status"] == "Running"
    emu.wait_for(job_id, "Cancelled")


def test_canned_result(emu: Emulator, api: Api) -> None:
    """A job may end well with a given result, without executing."""
    emu.settings(execute=True)
    emu.next_job(outcome="complete", result='{"results": [1]}')
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    assert api.ask("GET", f"/jobs/{job_id}/results").json == {"results": [1]}


def test_scripts_are_used_in_order(emu: Emulator, api: Api) -> None:
    """Each script is for one job unless it says more; then jobs are as ever."""
    emu.next_job(outcome="fail")
    emu.script(outcome="too_long", times=2)
    ends = [emu.wait_for(api.submit(), "Failed", "Cancelled", "Completed") for _ in range(4)]
    assert [end.status for end in ends] == ["Failed", "Cancelled", "Cancelled", "Completed"]


def test_scripts_select_by_tag_program_and_backend(emu: Emulator, api: Api) -> None:
    """A script waits for the job it is for."""
    emu.script(outcome="fail", tags=["b"], backend="ibm_fez", program="sampler")
    assert emu.wait_for(api.submit(tags=["b"]), "Completed", "Failed").status == "Completed"
    fez = api.submit(tags=["a", "b"], backend="ibm_fez")
    assert emu.wait_for(fez, "Completed", "Failed").status == "Failed"


def test_script_for_all_jobs_until_cleared(emu: Emulator, api: Api) -> None:
    """A script without a number of times is for every job, until scripts are cleared."""
    emu.script(outcome="fail", times=None)
    assert {emu.wait_for(api.submit(), "Failed").status for _ in range(3)} == {"Failed"}
    emu.clear_scripts()
    emu.wait_for(api.submit(), "Completed")


def test_script_for_a_job_that_is_there(emu: Emulator, api: Api) -> None:
    """The fate of a queued or a running job can still be changed."""
    emu.hold(stage="running")
    job_id = api.submit()
    emu.wait_for(job_id, "Running")
    emu.script(job_id=job_id, outcome="fail", reason="changed my mind")
    emu.release()
    assert emu.wait_for(job_id, "Failed").reason == "changed my mind"


@pytest.mark.parametrize(
    "fields", [{"outcome": "vanish"}, {"hold": "done"}, {"colour": "red"}, {"times": 1, "x": 2}]
)
def test_nonsense_scripts_are_refused(emu: Emulator, fields: dict[str, object]) -> None:
    """A script with unknown words is an error at once."""
    with pytest.raises(ConfigError):
        emu.script(**fields)
