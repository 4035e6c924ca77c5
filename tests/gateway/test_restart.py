"""Servers that end, by every means, and start again: nothing is lost and nothing doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.gateways import serving
from support.killing import until

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator


def test_a_killed_server_takes_its_jobs_up_again(emu: Emulator, tmp_path: Path) -> None:
    """After SIGKILL a queued job is followed again under its id, and submitted no second time."""
    emu.hold()
    with serving(emu, tmp_path / "g") as server:
        job_id = server.submit(name="mine")
        remote_id = server.wait_for(job_id, "QUEUED")["remote_id"]
        server.kill()
    with serving(emu, tmp_path / "g") as server:
        assert server.job(job_id)["name"] == "mine"
        emu.release()
        assert server.wait_for(job_id, "DONE")["remote_id"] == remote_id
    assert [(job.id, job.cancels) for job in emu.jobs()] == [(remote_id, 0)]


def test_a_submit_in_flight_is_found_by_its_tag(emu: Emulator, tmp_path: Path) -> None:
    """A job whose server was killed before the answer to its submit is found, not sent again."""
    emu.route("POST /jobs").hang(when="after", times=1)
    with serving(emu, tmp_path / "g") as server:
        job_id = server.submit()
        until(lambda: len(emu.jobs()) == 1, 20)
        server.kill()
    with serving(emu, tmp_path / "g") as server:
        assert server.wait_for(job_id, "DONE")["remote_id"] == emu.jobs()[0].id
    assert len(emu.jobs()) == 1


def test_a_submit_that_never_arrived_is_sent_again(emu: Emulator, tmp_path: Path) -> None:
    """A job whose server was killed before its submit had an effect is submitted, once."""
    hanging = emu.route("POST /jobs").hang(when="headers", times=1)
    with serving(emu, tmp_path / "g") as server:
        job_id = server.submit()
        until(lambda: hanging.hits == 1, 20)
        server.kill()
    emu.clear_faults()
    with serving(emu, tmp_path / "g") as server:
        server.wait_for(job_id, "DONE")
    assert len(emu.jobs()) == 1


def test_sigterm_applies_each_policy(emu: Emulator, tmp_path: Path) -> None:
    """A server that ends cancels what is to be cancelled, once, and leaves the rest running."""
    emu.hold()
    with serving(emu, tmp_path / "g") as server:
        kept = server.submit(on_cancel="detach")
        cancelled = server.submit(on_cancel="cancel")
        for job_id in (kept, cancelled):
            server.wait_for(job_id, "QUEUED")
        server.terminate()
    assert sorted((job.live, job.cancels) for job in emu.jobs()) == [(False, 1), (True, 0)]
    emu.release()
    with serving(emu, tmp_path / "g") as server:
        server.wait_for(kept, "DONE")
        server.wait_for(cancelled, "CANCELLED")
    assert sorted(job.cancels for job in emu.jobs()) == [0, 1]


def test_sigterm_keeps_what_was_not_yet_sent(emu: Emulator, tmp_path: Path) -> None:
    """Postponed jobs are sent by the next server, except those to be cancelled with this one."""
    emu.route("POST /jobs").throttle(60, times=None)
    with serving(emu, tmp_path / "g", submits_at_once=1) as server:
        kept = [server.submit(on_cancel="detach") for _ in range(2)]
        dropped = server.submit(on_cancel="cancel")
        server.terminate()
    emu.clear_faults()
    with serving(emu, tmp_path / "g") as server:
        assert server.job(dropped)["status"] == "CANCELLED"
        for job_id in kept:
            server.wait_for(job_id, "DONE")
    assert len(emu.jobs()) == 2


def test_sigterm_ends_open_streams(emu: Emulator, tmp_path: Path) -> None:
    """A server with readers of event streams ends, and they see the end of their stream."""
    with serving(emu, tmp_path / "g") as server:
        connection = server.begin("GET", "/events")
        answer = connection.getresponse()
        answer.read1()
        server.terminate()
        assert b"data" not in answer.read()
        connection.close()


def test_a_result_is_fetched_once(emu: Emulator, tmp_path: Path) -> None:
    """A result asked for again, and after SIGKILL, comes from the gateway's disk."""
    with serving(emu, tmp_path / "g") as server:
        job_id = server.submit()
        server.wait_for(job_id, "DONE")
        first = server.ask("GET", f"/job/{job_id}/result").body
        server.kill()
    with serving(emu, tmp_path / "g") as server:
        assert server.ask("GET", f"/job/{job_id}/result").body == first
    assert len(emu.ledger("GET", "/jobs/{id}/results")) == 1


def test_a_cancel_is_not_forgotten(emu: Emulator, tmp_path: Path) -> None:
    """A job whose cancel was asked for before SIGKILL is cancelled by the next server."""
    emu.hold()
    hanging = emu.route("POST /jobs/{id}/cancel").hang(when="headers", times=1)
    with serving(emu, tmp_path / "g") as server:
        job_id = server.submit()
        server.wait_for(job_id, "QUEUED")
        asking = server.begin("POST", f"/job/{job_id}/cancel")
        until(lambda: hanging.hits == 1, 20)
        server.kill()
        asking.close()
    emu.clear_faults()
    with serving(emu, tmp_path / "g") as server:
        server.wait_for(job_id, "CANCELLED")
    assert [job.cancels for job in emu.jobs()] == [1]
