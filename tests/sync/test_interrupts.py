"""Ctrl-C in a program without a loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.killing import assert_settled, program, until

if TYPE_CHECKING:
    from qawait.emulator import Emulator


@pytest.mark.parametrize("how", ["blocked", "blocked-open"])
def test_one_interrupt_cancels_every_job_once(own_emu: Emulator, how: str) -> None:
    """The job that is waited for, and those of the client that is left."""
    with program(own_emu, how, 3) as started:
        started.wait_submitted()
        if how == "blocked":
            started.stop(signal.SIGINT)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=3)


def test_an_interrupt_says_what_became_of_the_job(own_emu: Emulator) -> None:
    """The `KeyboardInterrupt` carries the note of the cancellation."""
    with program(own_emu, "blocked", 1) as started:
        (job_id,) = started.wait_submitted()
        until(lambda: own_emu.ledger("GET", job_id=job_id), within=20)  # it is being waited for
        started.stop(signal.SIGINT)
        assert started.process.stdout is not None
        said = started.process.stdout.readline().decode()
        assert job_id in said
        assert "its cancel was accepted by the service" in said


def test_two_interrupts_end_the_program_at_once(own_emu: Emulator) -> None:
    """Nobody is kept waiting, and no job runs on."""
    with program(own_emu, "blocked", 2) as started:
        started.wait_submitted()
        started.stop(signal.SIGINT, times=2)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=2)


def test_a_killed_program_leaves_no_job(own_emu: Emulator) -> None:
    """The guardian settles what a blocking client had running."""
    with program(own_emu, "blocked", 2) as started:
        started.wait_submitted()
        started.stop(signal.SIGKILL)
        assert_settled(own_emu, jobs=2)
