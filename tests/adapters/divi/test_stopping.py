"""What becomes of the jobs when a process that runs a divi program is stopped."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import killing
from support.killing import assert_settled, until

if TYPE_CHECKING:
    from qawait.emulator import Emulator

SOON = 60.0
"""Seconds for a program to import divi and submit."""
program = partial(killing.program, victim=Path(killing.__file__).with_name("divi_victim.py"))


def is_polled(emu: Emulator) -> bool:
    """Tell whether somebody has asked for a job's status."""
    return any(entry.route.startswith("/jobs") for entry in emu.ledger("GET"))


@pytest.mark.parametrize("how", ["single", "merged"])
@pytest.mark.parametrize("hangs", [False, True], ids=["answered", "hanging"])
def test_an_interrupt_cancels_the_job_once(own_emu: Emulator, how: str, *, hangs: bool) -> None:
    """Also if no status request is ever answered, and if several programs share the job."""
    asked = own_emu.route("GET /jobs*").hang(times=None) if hangs else None
    with program(own_emu, how, 3) as started:
        until(partial(is_polled, own_emu) if asked is None else lambda: asked.hits, SOON)
        started.stop(signal.SIGINT)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)


@pytest.mark.parametrize(("how", "times"), [("single", 2), ("merged", 1), ("merged", 2)])
def test_interrupts_while_a_submit_is_in_flight(own_emu: Emulator, how: str, times: int) -> None:
    """The service has the job, and the program does not know its id yet."""
    own_emu.route("POST /jobs").delay(1.0, when="after", anyway=True)
    with program(own_emu, how, 3) as started:
        until(own_emu.jobs, SOON)
        started.stop(signal.SIGINT, times=times)
        assert started.ends(within=30)
        assert_settled(own_emu, jobs=1)


def test_an_interrupt_spares_the_jobs_that_have_ended(own_emu: Emulator) -> None:
    """Of programs that submit each on their own: live jobs get one cancel, the others none."""
    with program(own_emu, "apart", 2) as started:
        own_emu.clear_scripts()
        own_emu.script(outcome="run", times=2)
        own_emu.script(outcome="complete", run_seconds=killing.LONG, times=None)
        until(lambda: len(own_emu.jobs()) == 4, SOON)
        started.stop(signal.SIGINT)
        assert started.ends(within=20)
        until(lambda: not own_emu.live(), 15)
    assert sorted((job.status, job.cancels) for job in own_emu.jobs()) == [
        ("Cancelled", 1),
        ("Cancelled", 1),
        ("Completed", 0),
        ("Completed", 0),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_program_leaves_no_job(own_emu: Emulator, number: int) -> None:
    """The guardian cancels what it had running, once."""
    with program(own_emu, "single") as started:
        until(lambda: any(job.live for job in own_emu.jobs()), SOON)
        started.stop(number)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)
