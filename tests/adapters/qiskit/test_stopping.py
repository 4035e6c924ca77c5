"""Programs that wait through Qiskit's primitives, stopped in every way."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qawait.adapters.qiskit import QawaitSampler
from support.killing import assert_settled, interrupting, program, until
from support.open import bell, blocking

if TYPE_CHECKING:
    from qawait.emulator import Emulator

VICTIM = Path(__file__).parents[2] / "support" / "adapter_victim.py"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_program_leaves_no_job(own_emu: Emulator, number: signal.Signals) -> None:
    """One cancel, from within or by the guardian."""
    with program(own_emu, "sampler", victim=VICTIM) as started:
        until(lambda: bool(own_emu.live()), within=40)
        started.stop(number)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)


def test_two_interrupts_during_the_submit_leave_no_job(own_emu: Emulator) -> None:
    """The service has accepted the job, and nobody knows its id."""
    own_emu.route("POST /jobs").delay(1.0, when="after")
    with program(own_emu, "sampler", victim=VICTIM) as started:
        until(lambda: bool(own_emu.live()), within=40)
        started.stop(signal.SIGINT, times=2)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)


def test_an_interrupt_does_not_wait_for_a_request_that_hangs(emu: Emulator) -> None:
    """The cancel goes past it, and the error says what became of the job."""
    emu.hold()
    with blocking(emu, guardian=False) as client:
        job = QawaitSampler(client, "ibm_manila").run([bell()])
        hung = emu.route("GET /jobs*").hang(when="before", times=None)
        with (
            interrupting(lambda: bool(hung.hits)),
            pytest.raises(KeyboardInterrupt) as stopped,
        ):
            job.result()
        assert emu.cancels(job.job_id()) == 1
        assert job.job_id() in stopped.value.__notes__[0]
        hung.remove()
