from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from qawait.errors import ConfigError, DeadlineExceededError, RejectedError

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api


def test_job_goes_from_queued_to_completed(emu: Emulator, api: Api) -> None:
    """Held in each stage in turn, a job shows Queued, Running and Completed."""
    emu.hold()
    job_id = api.submit()
    assert api.job(job_id)["state"] == {"status": "Queued"}
    emu.hold(job_id, stage="running")
    emu.release()
    emu.wait_for(job_id, "Running")
    assert api.job(job_id)["state"] == {"status": "Running"}
    emu.release(job_id)
    emu.wait_for(job_id, "Completed")
    assert api.job(job_id)["state"] == {"status": "Completed"}


def test_hold_in_both_stages(emu: Emulator, api: Api) -> None:
    """A held job stays in its stage until it is released, and moves then."""
    emu.hold(stage="queued")
    emu.hold(stage="running")
    job_id = api.submit()
    assert emu.job(job_id).status == "Queued"
    emu.release(job_id)
    assert emu.job(job_id).status == "Queued"
    emu.release()
    emu.wait_for(job_id, "Completed")


def test_script_holds_one_job_running(emu: Emulator, api: Api) -> None:
    """A job scripted to be held runs until it is released; others pass."""
    emu.next_job(hold="running")
    held, free = api.submit(), api.submit()
    emu.wait_for(held, "Running")
    emu.wait_for(free, "Completed")
    assert api.job(held)["state"] == {"status": "Running"}
    emu.release(held)
    emu.wait_for(held, "Completed")


def test_lanes_bound_what_runs_at_once(emu: Emulator, api: Api) -> None:
    """A backend runs as many jobs as it has lanes, and starts the next when one ends."""
    emu.settings(lanes=2)
    emu.hold(stage="running")
    jobs = [api.submit() for _ in range(4)]
    emu.wait_for(jobs[1], "Running")
    assert [emu.job(job).status for job in jobs] == ["Running", "Running", "Queued", "Queued"]
    api.ask("POST", f"/jobs/{jobs[0]}/cancel")
    emu.wait_for(jobs[2], "Running")
    assert emu.job(jobs[3]).status == "Queued"


def test_backends_have_lanes_of_their_own(emu: Emulator, api: Api) -> None:
    """A busy backend does not keep another from running."""
    emu.settings(lanes=1)
    emu.next_job(hold="running")
    busy, behind = api.submit(), api.submit()
    other = api.submit(backend="ibm_fez")
    emu.wait_for(other, "Completed")
    assert (emu.job(busy).status, emu.job(behind).status) == ("Running", "Queued")


def test_queue_is_first_come_first_served(emu: Emulator, api: Api) -> None:
    """Jobs of one lane run in the order in which they came."""
    emu.settings(lanes=1, backend_states={"manila": "paused"})
    jobs = [api.submit() for _ in range(20)]
    emu.settings(backend_states={})
    emu.wait_for(jobs[-1], "Completed")
    times = [api.ask("GET", f"/jobs/{job}/metrics").json["timestamps"]["running"] for job in jobs]
    assert times == sorted(times)


def test_delays_are_kept(emu: Emulator, api: Api) -> None:
    """A job waits and runs for at least as long as is set."""
    emu.settings(queue_seconds=0.1, run_seconds=0.1)
    start = time.monotonic()
    emu.wait_for(api.submit(), "Completed")
    assert time.monotonic() - start >= 0.19


def test_delays_of_one_job(emu: Emulator, api: Api) -> None:
    """A script's delays are for its job alone."""
    emu.next_job(queue_seconds=30)
    slow, quick = api.submit(), api.submit()
    emu.wait_for(quick, "Completed")
    assert emu.job(slow).status == "Queued"


def test_paused_backend_accepts_and_waits(emu: Emulator, api: Api) -> None:
    """A paused backend queues jobs, says so, and runs them when it is back."""
    emu.settings(backend_states={"ibm_manila": "paused"})
    job_id = api.submit()
    devices = {d["name"]: d for d in api.ask("GET", "/backends").json["devices"]}
    assert devices["ibm_manila"]["status"]["name"] == "paused"
    assert devices["ibm_manila"]["queue_length"] == 1
    assert api.ask("GET", "/backends/ibm_manila/status").json["status"] == "paused"
    assert emu.job(job_id).status == "Queued"
    emu.settings(backend_states={})
    emu.wait_for(job_id, "Completed")


def test_offline_backend_is_not_operational(emu: Emulator, api: Api) -> None:
    """An offline backend's state is false."""
    emu.settings(backend_states={"ibm_fez": "offline"})
    assert api.ask("GET", "/backends/ibm_fez/status").json["state"] is False


def test_many_jobs_drain_without_recursion(emu: Emulator, api: Api) -> None:
    """Two thousand waiting jobs all run when their backend comes back."""
    emu.settings(backend_states={"ibm_manila": "paused"}, lanes=1)
    jobs = [api.submit() for _ in range(2000)]
    emu.settings(backend_states={})
    emu.wait_for(jobs[-1], "Completed")
    assert emu.live() == []


def test_cancel_of_queued_and_running(emu: Emulator, api: Api) -> None:
    """Queued and running jobs can be cancelled: 204, and the job is Cancelled at once."""
    emu.settings(lanes=1)
    emu.hold(stage="running")
    running, queued = api.submit(), api.submit()
    emu.wait_for(running, "Running")
    for job_id in (running, queued):
        assert api.ask("POST", f"/jobs/{job_id}/cancel").status == 204
        assert api.job(job_id)["state"]["status"] == "Cancelled"
        assert emu.cancels(job_id) == 1


def test_cancel_of_final_and_unknown(emu: Emulator, api: Api) -> None:
    """A final job cannot be cancelled (409), nor one that is unknown (404)."""
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    assert api.ask("POST", f"/jobs/{job_id}/cancel").status == 409
    assert api.ask("POST", "/jobs/unknown/cancel").status == 404
    view = emu.job(job_id)
    assert (view.cancels, view.cancels_accepted) == (1, 0)


def test_usage_is_complete_only_after_the_end(emu: Emulator, api: Api) -> None:
    """The charge is pending while a job is live, and for a while after it is final."""
    emu.settings(usage_lag=0.1)
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    assert api.job(job_id)["usage"] == {"qpu_charge_time_seconds": 0, "status": "pending"}
    deadline = time.monotonic() + 5
    while api.job(job_id)["usage"]["status"] == "pending":
        assert time.monotonic() < deadline
    assert api.job(job_id)["usage"] == {"qpu_charge_time_seconds": 1, "status": "complete"}


def test_waiting_has_an_end(emu: Emulator, api: Api) -> None:
    """Waiting for a status that does not come raises with the job's id."""
    emu.hold()
    job_id = api.submit()
    with pytest.raises(DeadlineExceededError) as caught:
        emu.wait_for(job_id, "Completed", within=0.02)
    assert caught.value.job_id == job_id


def test_unknown_jobs_and_stages_are_refused(emu: Emulator) -> None:
    """The control client raises for a job that is not there and a stage that is none."""
    with pytest.raises(RejectedError) as caught:
        emu.job("unknown")
    assert caught.value.status == 404
    with pytest.raises(ConfigError):
        emu.hold(stage="finished")
