"""Programs that die, really killed: their guardian settles what they left live."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.guardians import make_journal, parent, rows, wait_ended

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="pidfds and /proc are Linux's"),
    pytest.mark.usefixtures("held"),
]


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "SIGHUP", "exit", "crash", "return"])
def test_every_death_of_a_parent_settles_its_jobs(emu: Emulator, api: Api, end: str) -> None:
    """However a program ends, its live jobs are cancelled once each, and nothing stays behind."""
    deed = "wait" if end.startswith("SIG") else end
    with parent(emu, api, tags=["A", "B"], deed=deed) as program:
        if deed == "wait":
            program.kill(getattr(signal, end))
        wait_ended(program.guardian)
    assert [emu.cancels(job_id) for job_id in program.ids] == [1, 1]


def test_ctrl_c_to_the_whole_group_passes_the_guardian_by(emu: Emulator, api: Api) -> None:
    """A Ctrl-C, which a terminal sends to the whole group, kills the program alone."""
    with parent(emu, api, tags=["A"]) as program:
        os.killpg(program.process.pid, signal.SIGINT)
        wait_ended(program.guardian)
    assert program.process.returncode == -signal.SIGINT
    assert emu.cancels(program.ids[0]) == 1


@pytest.mark.parametrize("how", ["c", "python"])
def test_a_forked_child_does_not_hold_it_up(emu: Emulator, api: Api, how: str) -> None:
    """A child that lives on, even with the pipe in its hands, does not hide the death."""
    with parent(emu, api, tags=["A"], fork=how) as program:
        program.kill()
        wait_ended(program.guardian, within=5.0)
        os.kill(program.said["child"], 0)
    assert emu.cancels(program.ids[0]) == 1


def test_a_client_in_another_thread_is_guarded(emu: Emulator, api: Api) -> None:
    """A program whose loop runs in a thread of its own is guarded as well."""
    with parent(emu, api, "--thread", tags=["A"]) as program:
        program.kill()
        wait_ended(program.guardian)
    assert emu.cancels(program.ids[0]) == 1


def test_death_amid_a_submit(emu: Emulator, api: Api) -> None:
    """A job whose submit was in flight at the death, and landed after it, is cancelled."""
    emu.route("POST /jobs").delay(0.5)
    with parent(emu, api, posting="T") as program:
        program.kill()
        wait_ended(program.guardian)
    assert [job.cancels for job in emu.jobs() if "T" in job.tags] in ([1], [])
    assert emu.live() == []


def test_kill_writes_the_journal(emu: Emulator, api: Api, tmp_path: Path) -> None:
    """After the death the journal says what became of the job."""
    path = tmp_path / "journal"
    make_journal(path, "A")
    with parent(emu, api, tags=["A"], journal=str(path)) as program:
        program.kill()
        wait_ended(program.guardian)
    assert rows(path) == {"A": (program.ids[0], "ACKED", "CANCELLED_BY_GUARDIAN")}


def test_two_hundred_jobs_of_a_killed_program(emu: Emulator, api: Api) -> None:
    """200 jobs of a killed program are cancelled once each; the ledger is the judge."""
    with parent(emu, api, tags=[f"T{n}" for n in range(200)]) as program:
        program.kill()
        wait_ended(program.guardian)
    assert [job.cancels for job in emu.jobs()] == [1] * 200
    assert len(emu.ledger("POST", "/jobs/{id}/cancel")) == 200


def test_no_secret_can_be_seen_from_outside(emu: Emulator, api: Api) -> None:
    """Neither arguments nor environment of a guardian hold the token."""
    with parent(emu, api, tags=["A"]) as program:
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{program.guardian}/{name}").read_bytes()
            assert api.token.encode() not in content
        names = {entry.partition(b"=")[0] for entry in content.split(b"\0") if entry}
        assert names <= {
            b"PATH",
            b"SSL_CERT_FILE",
            b"SSL_CERT_DIR",
            b"LD_LIBRARY_PATH",
            b"LC_CTYPE",
        }
