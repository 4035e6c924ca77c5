"""Cancelling over HTTP: once, whoever asks and however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from support.gateways import serving
from support.killing import until

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator
    from support.gateways import Server


def test_cancelling_again_changes_nothing(server: Server, emu: Emulator) -> None:
    """Many cancels at once and later are one at the service, and all have its outcome."""
    emu.hold()
    job_id = server.submit()
    server.wait_for(job_id, "QUEUED")
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(server.ask, "POST", f"/job/{job_id}/cancel") for _ in range(5)]
        replies = [each.result() for each in asked]
    server.wait_for(job_id, "CANCELLED")
    replies.append(server.ask("POST", f"/job/{job_id}/cancel"))
    assert {reply.status for reply in replies} == {200}
    assert {reply.json["outcome"] for reply in replies} == {"requested"}
    assert emu.jobs()[0].cancels == 1


def test_cancelling_what_has_ended_sends_nothing(server: Server, emu: Emulator) -> None:
    """A job that is done stays done, and the service is not asked."""
    job_id = server.submit()
    server.wait_for(job_id, "DONE")
    reply = server.ask("POST", f"/job/{job_id}/cancel").json
    assert (reply["status"], reply["outcome"]) == ("DONE", "already final")
    assert emu.jobs()[0].cancels == 0


def test_a_job_that_was_not_sent_is_never_sent(emu: Emulator, tmp_path: Path) -> None:
    """Cancelling a job whose submit waits for its turn leaves nothing at the service."""
    throttled = emu.route("POST /jobs").throttle(60, times=None)
    with serving(emu, tmp_path / "g") as server:  # the next submit of this one would wait too
        job_id = server.submit()
        until(lambda: throttled.hits >= 1, 20)
        reply = server.ask("POST", f"/job/{job_id}/cancel").json
        assert reply["outcome"] == "not submitted"
        assert server.wait_for(job_id, "CANCELLED")["remote_id"] is None
    assert emu.jobs() == []


def test_a_cancel_amid_the_submit_reaches_the_job(server: Server, emu: Emulator) -> None:
    """A job that is cancelled while its submit is answered late is cancelled once."""
    emu.hold()
    late = emu.route("POST /jobs").hang(when="after")
    job_id = server.submit()
    until(lambda: late.hits == 1, 20)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(server.ask, "POST", f"/job/{job_id}/cancel")
        late.release()
        assert asked.result().json["outcome"] == "requested"
    server.wait_for(job_id, "CANCELLED")
    assert [job.cancels for job in emu.jobs()] == [1]


def test_an_unknown_job_cannot_be_cancelled(server: Server) -> None:
    """404, as for any other question about it."""
    assert server.ask("POST", f"/job/{'0' * 24}/cancel").status == 404
