"""Real programs, really stopped: whatever ends them, their jobs are cancelled once."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from qawait import limits
from support.killing import Program, assert_settled, guardians, ignores, program, until

if TYPE_CHECKING:
    from qawait.emulator import Emulator

JOBS = 5


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGINT, 1),
        (signal.SIGINT, 2),
        (signal.SIGINT, 3),
        (signal.SIGTERM, 1),
        (signal.SIGHUP, 1),
        (signal.SIGKILL, 1),
    ],
)
def test_signals(emu: Emulator, number: int, times: int) -> None:
    """A program stopped by a signal while it waits leaves no job running."""
    with program(emu, jobs=JOBS) as victim:
        victim.wait_submitted()
        victim.stop(number, times=times)
        assert_settled(emu, jobs=JOBS)


def test_a_second_interrupt_does_not_wait_for_the_service(emu: Emulator) -> None:
    """When the service answers no cancel, Ctrl-C waits, and Ctrl-C again lets go at once."""
    hanging = emu.route("POST /jobs/{id}/cancel").hang(times=None)
    with program(emu, jobs=JOBS) as victim:
        victim.wait_submitted()
        victim.stop(signal.SIGINT)
        until(lambda: bool(emu.ledger("POST", "/jobs/{id}/cancel")), 10)
        assert victim.process.poll() is None
        victim.stop(signal.SIGINT)
        victim.process.wait(limits.CANCEL_BOUND_SECONDS / 2)
        hanging.remove()
        until(lambda: not emu.live(), 15)


@pytest.mark.parametrize("how", ["exit", "segfault", "raise", "return", "closed-loop"])
def test_ends_from_within(emu: Emulator, how: str) -> None:
    """A program that ends, or loses its loop, with jobs running leaves none running."""
    with program(emu, how, jobs=JOBS) as victim:
        victim.wait_submitted()
        assert_settled(emu, jobs=JOBS)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_inside_the_submit(emu: Emulator, number: int, when: str) -> None:
    """A program killed before it learnt its job's id leaves no job running."""
    emu.route("POST /jobs").delay(0.3, when=when, times=None, anyway=True)
    with program(emu) as victim:
        victim.wait_posting()
        victim.stop(number)
        assert_settled(emu, jobs=1)


def test_a_live_forked_child_does_not_hold_the_guardian_back(emu: Emulator) -> None:
    """The guardian acts at its parent's death although a forked child lives on."""
    with program(emu, "fork") as victim:
        victim.wait_submitted()
        victim.stop(signal.SIGKILL)
        assert_settled(emu, jobs=1, within=5)


def test_two_programs_settle_their_own_jobs_only(emu: Emulator) -> None:
    """When one of two programs is killed, the other's jobs run on."""
    with program(emu, jobs=3) as first, program(emu, jobs=3) as second:
        dead, alive = first.wait_submitted(), second.wait_submitted()
        first.stop(signal.SIGKILL)
        until(lambda: not {job.id for job in emu.live()} & set(dead), 10)
        assert {job.id for job in emu.live()} == set(alive)
        assert {job.id for job in emu.jobs() if job.cancels} == set(dead)
        second.stop(signal.SIGINT)
        assert_settled(emu, jobs=6)


def test_a_killed_guardian_is_replaced(emu: Emulator) -> None:
    """A guardian killed again and again, and then its parent, still leaves no job running."""
    with program(emu, jobs=JOBS) as victim:
        victim.wait_submitted()
        for _ in range(20):
            os.kill(deaf_guardian(victim), signal.SIGKILL)
        deaf_guardian(victim)
        time.sleep(0.3)  # it is told everything next; there is no sign of that from outside
        victim.stop(signal.SIGKILL)
        assert_settled(emu, jobs=JOBS)


def deaf_guardian(victim: Program) -> int:
    """Return a guardian of the program once it ignores SIGTERM, and so is at work."""
    found: list[int] = []

    def at_work() -> bool:
        found[:] = [pid for pid in guardians(victim.process.pid) if ignores(pid, signal.SIGTERM)]
        return bool(found)

    until(at_work, 10)
    return found[0]
