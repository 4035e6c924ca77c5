"""A panel in a real terminal, and how it leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import showing
from support.terminal import HIDDEN, terminal

if TYPE_CHECKING:
    from qawait.emulator import Emulator

SHOWING = str(Path(showing.__file__))


@pytest.fixture(autouse=True)
def held(emu: Emulator) -> None:
    """Let every job wait in the queue until it is let go."""
    emu.settings(execute=False)
    emu.hold()


@pytest.mark.parametrize("columns", [80, 120])
def test_it_follows_a_job_to_its_end(emu: Emulator, columns: int) -> None:
    """An awaited panel shows the job queued and done, and gives the terminal back."""
    with terminal(SHOWING, "await", env=emu.env, columns=columns) as shown:
        shown.until("queued")
        emu.release()
        assert shown.end() == 0
        assert HIDDEN in shown.raw
        assert shown.has_cursor
        assert "✓ done" in shown.text
        assert shown.text.endswith("[<JobStatus.DONE: 'DONE'>]\r\n")


@pytest.mark.parametrize("how", ["raise", "exit", "cancel"])
def test_the_terminal_is_given_back_and_the_job_cancelled_once(emu: Emulator, how: str) -> None:
    """However the block is left, the cursor is back, and the job was cancelled by one request."""
    with terminal(SHOWING, how, env=emu.env) as shown:
        assert shown.end() != 0
        assert HIDDEN in shown.raw
        assert shown.has_cursor
        assert "said meanwhile" in shown.text
    assert [job.cancels for job in emu.jobs()] == [1]


@pytest.mark.parametrize("presses", [1, 2])
def test_interrupting_gives_the_terminal_back_and_cancels_once(emu: Emulator, presses: int) -> None:
    """After Ctrl-C, once or twice, the cursor is back and the job cancelled by one request."""
    with terminal(SHOWING, "await", env=emu.env) as shown:
        shown.until("queued")
        for _ in range(presses):
            shown.interrupt()
        assert shown.end() != 0
        assert shown.has_cursor
    job = emu.wait_for(emu.jobs()[0].id, "Cancelled")
    assert job.cancels == 1


def test_no_color_is_honoured(emu: Emulator) -> None:
    """With `NO_COLOR` set, no colour is written."""
    with terminal(SHOWING, "await", env={**emu.env, "NO_COLOR": "1"}) as shown:
        shown.until("queued")
        emu.release()
        shown.end()
        assert not any(f"\x1b[{colour}" in shown.raw for colour in (31, 32, 33, 36, 90))


def test_a_dumb_terminal_is_left_alone(emu: Emulator) -> None:
    """With `TERM=dumb` nothing is painted."""
    with terminal(SHOWING, "await", env={**emu.env, "TERM": "dumb"}) as shown:
        emu.release()
        assert shown.end() == 0
        assert shown.raw == "[<JobStatus.DONE: 'DONE'>]\r\n"
