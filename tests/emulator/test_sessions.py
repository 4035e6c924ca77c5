"""The life of sessions and batches at the service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from support.emulated import submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api


def opened(api: Api, mode: str = "dedicated", **fields: Any) -> str:
    """Open a session and return its id."""
    reply = api.ask("POST", "/sessions", {"mode": mode, "backend": "ibm_manila", **fields})
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def details(api: Api, session_id: str) -> Any:
    """Return what the service says about a session."""
    return api.ask("GET", f"/sessions/{session_id}").json


def test_a_session_becomes_active_with_its_first_job(emu: Emulator, api: Api) -> None:
    """It is open until its first job runs, then active, and says when that was."""
    session = opened(api)
    emu.hold(stage="running")
    assert details(api, session)["state"] == "open"
    job = api.submit(session_id=session)
    emu.wait_for(job, "Running")
    said = details(api, session)
    assert said["state"] == "active"
    assert [one["status"] for one in said["timestamps"]] == ["open", "active"]
    assert said["activated_at"] == said["timestamps"][1]["timestamp"]
    assert said["last_job_started"] >= said["activated_at"][:19]


def test_a_session_without_jobs_is_inactive_after_a_while(emu: Emulator, api: Api) -> None:
    """After `interactive_ttl` without a job it is inactive, and a job makes it active again."""
    emu.settings(interactive_ttl=0)
    session = opened(api)
    emu.wait_for(api.submit(session_id=session), "Completed")
    wait_state(api, session, "inactive")
    emu.hold(stage="running")
    emu.wait_for(api.submit(session_id=session), "Running")
    assert details(api, session)["state"] == "active"


def test_a_forgotten_session_is_closed(emu: Emulator, api: Api) -> None:
    """A session that no job is sent to is closed by itself."""
    emu.settings(session_idle_seconds=0)
    wait_state(api, opened(api), "closed")


def test_a_session_that_is_closed_ends_with_its_last_job(emu: Emulator, api: Api) -> None:
    """After PATCH it is active until its jobs have ended, and closed then."""
    emu.hold(stage="running")
    session = opened(api)
    job = api.submit(session_id=session)
    emu.wait_for(job, "Running")
    assert api.ask("PATCH", f"/sessions/{session}", {"accepting_jobs": False}).status == 204
    said = details(api, session)
    assert (said["state"], said["accepting_jobs"]) == ("active", False)
    emu.release()
    emu.wait_for(job, "Completed")
    assert details(api, session)["state"] == "closed"
    assert emu.open_sessions() == []


def test_what_becomes_of_jobs_when_the_time_is_over(emu: Emulator, api: Api) -> None:
    """At `max_ttl` queued jobs fail, a running one finishes and no other is taken."""
    emu.settings(lanes=1)
    emu.hold(stage="running")
    session = opened(api, max_ttl=1)
    running = api.submit(session_id=session)
    emu.wait_for(running, "Running")
    queued = api.submit(session_id=session)
    emu.wait_for(queued, "Failed")
    assert emu.job(running).status == "Running"
    assert api.ask("POST", "/jobs", submit_body(session_id=session)).code == 4001
    assert details(api, session)["state"] == "closed"


def test_a_session_is_on_one_backend(api: Api) -> None:
    """A job for another backend is refused."""
    body = submit_body(session_id=opened(api), backend="ibm_fez")
    assert api.ask("POST", "/jobs", body).status == 400


def test_usage_of_a_batch(emu: Emulator, api: Api) -> None:
    """It is what its jobs are charged."""
    batch = opened(api, "batch")
    jobs = [api.submit(session_id=batch) for _ in range(2)]
    for job in jobs:
        emu.wait_for(job, "Completed")
    charged = [api.job(job)["usage"]["qpu_charge_time_seconds"] for job in jobs]
    assert details(api, batch)["elapsed_time"] == sum(charged) > 0


def test_usage_of_a_session(emu: Emulator, api: Api) -> None:
    """It is the time for which it was active, which ends when it is closed."""
    emu.settings(run_seconds=1)
    session = opened(api)
    assert details(api, session)["elapsed_time"] == 0
    emu.wait_for(api.submit(session_id=session), "Completed")
    api.ask("PATCH", f"/sessions/{session}", {"accepting_jobs": False})
    first = details(api, session)["elapsed_time"]
    assert first >= 1
    assert details(api, session)["elapsed_time"] == first


def wait_state(api: Api, session_id: str, state: str) -> None:
    """Return once a session is in a state."""
    deadline = time.monotonic() + 5
    while details(api, session_id)["state"] != state:
        assert time.monotonic() < deadline
        time.sleep(0.005)
