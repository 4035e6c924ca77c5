"""Starting programs that are to be stopped, and judging what became of their jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qawait.emulator import Emulator
    from qawait.emulator.handle import JobView

VICTIM = Path(__file__).with_name("victim.py")
LONG = 600.0


class Program:
    """A program of its own that submits jobs to the emulator."""

    def __init__(
        self, emu: Emulator, how: str, jobs: int, *options: str, victim: Path = VICTIM
    ) -> None:
        self._emu = emu
        self.jobs = jobs
        self.process = subprocess.Popen(
            [sys.executable, str(victim), how, str(jobs), *options],
            env={**os.environ, **emu.env, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_submitted(self) -> list[str]:
        """Return the ids of its jobs, once all have one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().split()

    def wait_posting(self, within: float = 20.0) -> None:
        """Return once its first submit has reached the service."""
        until(lambda: bool(self._emu.ledger("POST", "/jobs")), within)

    def stop(self, number: int, *, times: int = 1) -> None:
        """Send a signal, once or more."""
        for _ in range(times):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            time.sleep(0.005 if times > 1 else 0)

    def ends(self, within: float) -> bool:
        """Tell whether it ends by itself in time; if not, kill it."""
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.stop(signal.SIGKILL)
            return False
        return True

    def close(self) -> None:
        """End whatever of it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def program(
    emu: Emulator, how: str = "wait", jobs: int = 1, *options: str, victim: Path = VICTIM
) -> Iterator[Program]:
    """Run a program whose jobs go on for ever, and end it afterwards."""
    emu.script(outcome="complete", run_seconds=LONG, times=None)
    started = Program(emu, how, jobs, *options, victim=victim)
    try:
        yield started
    finally:
        started.close()


@contextlib.contextmanager
def interrupting(reached: Callable[[], bool]) -> Iterator[None]:
    """Send this thread a Ctrl-C as soon as `reached()`."""
    here = threading.get_ident()

    def interrupt() -> None:
        until(reached, within=20)
        signal.pthread_kill(here, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


def until(reached: object, within: float) -> None:
    """Return once `reached()`; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def assert_settled(emu: Emulator, *, jobs: int, within: float = 15.0) -> None:
    """Check that all jobs are there, none runs on, and each was cancelled exactly once."""
    seen: list[JobView] = []

    def settled() -> bool:
        seen[:] = emu.jobs()  # one look: a job may land between two
        return len(seen) == jobs and not any(job.live for job in seen)

    until(settled, within)
    assert [job.cancels for job in seen] == [1] * jobs


def guardians(parent: int) -> list[int]:
    """Return the guardian processes of a program."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if b"guardian_main" in b" ".join(command) and str(parent).encode() in command:
                found.append(int(folder.name))
    return found


def ignores(pid: int, number: int) -> bool:
    """Tell whether a process ignores a signal; false for one that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigIgn:"):
                return bool(int(line.split()[1], 16) & 1 << (number - 1))
    return False
