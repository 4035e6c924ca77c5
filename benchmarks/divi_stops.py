"""What stopping a divi program costs, and what becomes of its jobs, situation by situation.

Run it with `python benchmarks/divi_stops.py` where the extra `divi` is installed. Every line
but the last is about jobs that would run for ten minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Watched

import qawait
import qawait.sync
from qawait import limits
from qawait.adapters.divi import QawaitBackend, arun
from qawait.emulator.process import running

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from support.divi_programs import vqe  # noqa: E402 - the path comes first
from support.killing import LONG, until  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qawait.emulator import Emulator

VICTIM = TESTS / "support" / "divi_victim.py"
ROUNDS = 20
FLIP = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nx q[0];\nmeasure q[0] -> c[0];\n'
)
SOON = 60.0


def show(what: str, emu: Emulator, seconds: list[float]) -> None:
    """Print one line of the table, and forget the jobs."""
    jobs = emu.jobs()
    ended = [job for job in jobs if job.status == "Completed"]
    cancels = sum(job.cancels for job in jobs) - sum(job.cancels for job in ended)
    live = sum(1 for job in jobs if job.live)
    cancelled = len(jobs) - len(ended)
    times = f"{statistics.median(seconds) * 1e3:.0f} | {max(seconds) * 1e3:.0f}"
    spared = sum(job.cancels for job in ended)
    print(f"| {what} | {cancelled} | {cancels} | {live} | {spared} | {times} |", flush=True)
    emu.reset()


@contextlib.contextmanager
def hanging(emu: Emulator) -> Iterator[None]:
    """Let no status request be answered, and jobs run for long."""
    emu.script(outcome="complete", run_seconds=LONG, times=None)
    rule = emu.route("GET /jobs*").hang(times=None)
    try:
        yield
    finally:
        rule.remove()


def arrivals(emu: Emulator, since: float) -> list[float]:
    """Return how long after `since` the service had each cancel."""
    return [entry.monotonic - since for entry in emu.ledger("POST", "/jobs/{id}/cancel")]


def events(emu: Emulator) -> list[float]:
    """Return the times from `event.set()` to the error in the thread that polls."""
    times: list[float] = []
    with qawait.sync.connect(guardian=False) as client, hanging(emu):
        backend = QawaitBackend(client, backend="ibm_manila")
        for _ in range(ROUNDS):
            event = threading.Event()
            handle = backend.submit_circuits([FLIP], cancellation_event=event)
            asked = len(emu.ledger("GET", "/jobs/{id}"))
            timer = threading.Thread(target=_set_when_asked, args=(emu, asked, event, times))
            timer.start()
            with contextlib.suppress(Exception):
                backend.poll_job_status(
                    handle, loop_until_complete=True, verbose=False, cancellation_event=event
                )
            times[-1] = time.monotonic() - times[-1]
            timer.join()
    return times


def _set_when_asked(emu: Emulator, asked: int, event: threading.Event, times: list[float]) -> None:
    until(lambda: len(emu.ledger("GET", "/jobs/{id}")) > asked, SOON)
    times.append(time.monotonic())
    event.set()


async def scopes(emu: Emulator) -> list[float]:
    """Return the times from `task.cancel()` to the end of `arun`."""
    times: list[float] = []
    async with qawait.connect(guardian=False) as client:
        for _ in range(ROUNDS):
            with hanging(emu):
                asked = len(emu.jobs())
                task = asyncio.ensure_future(arun(vqe(QawaitBackend(client, backend="ibm_manila"))))
                await asyncio.to_thread(until, lambda: len(emu.jobs()) > asked, SOON)  # noqa: B023 - awaited before either changes
                await asyncio.sleep(0.1)
                began = time.monotonic()
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                times.append(time.monotonic() - began)
    return times


def process(
    emu: Emulator, how: str, number: int, times: int, ready: Callable[[], object]
) -> list[float]:
    """Stop a program by signals once it is `ready`; return the times to its cancels."""
    started = subprocess.Popen(
        [sys.executable, str(VICTIM), how, "3"],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(ready, SOON)
    time.sleep(0.1)
    began = time.monotonic()
    for _ in range(times):
        started.send_signal(number)
        time.sleep(0.005)
    started.wait(SOON)
    until(lambda: not emu.live(), SOON)
    return arrivals(emu, began)


def processes(emu: Emulator) -> None:
    """Print the lines about programs that are stopped from outside."""
    long = {"outcome": "complete", "run_seconds": LONG, "times": None}
    for how in ("single", "merged"):
        emu.script(**long)
        show(f"Ctrl-C, {how}", emu, process(emu, how, signal.SIGINT, 1, emu.jobs))
        with hanging(emu):
            times = process(emu, how, signal.SIGINT, 1, emu.jobs)
        show(f"Ctrl-C, {how}, status request hangs", emu, times)
        for presses in (1, 2):
            emu.script(**long)
            emu.route("POST /jobs").delay(1.0, when="after", anyway=True)
            times = process(emu, how, signal.SIGINT, presses, emu.jobs)
            show(f"{presses} times Ctrl-C, {how}, submit in flight for 1 s", emu, times)
    emu.script(outcome="run", times=3)
    emu.script(**long)
    times = process(emu, "apart", signal.SIGINT, 1, lambda: len(emu.jobs()) == 6)
    show("Ctrl-C, apart, each with an ended job", emu, times)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        emu.script(**long)
        show(number.name, emu, process(emu, "single", number, 1, emu.jobs))


async def stalls(watched: Watched) -> float:
    """Return the longest time for which a program kept the loop that awaits it."""
    async with qawait.connect(guardian=False) as client:
        backend = QawaitBackend(client, backend="ibm_manila")
        await arun(vqe(backend, iterations=3))  # what is imported and compiled once
        watched.longest = 0.0
        await arun(vqe(backend, iterations=10))
    return watched.longest


async def idle(watched: Watched) -> float:
    """Return the same for a thread of plain Python, and a loop that only looks at a clock."""
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(asyncio.to_thread(_compute, loop.time() + 3.0, loop.time))
    watched.longest = 0.0
    while not working.done():  # noqa: ASYNC110 - as the adapter does
        await asyncio.sleep(limits.EVENT_LOOK_SECONDS)
    return watched.longest


def _compute(until_: float, clock: Callable[[], float]) -> None:
    while clock() < until_:
        sum(range(1000))


def main() -> None:
    """Print the table."""
    print(
        "| situation | live jobs | cancels for them | left running | cancels for ended jobs "
        "| median ms | max ms |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder, running(backends=("manila",)) as emu:
        os.environ.update(emu.env, QAWAIT_STATE=folder)
        show("event set, status request hangs → error", emu, events(emu))
        show("`arun` cancelled, status request hangs → ended", emu, asyncio.run(scopes(emu)))
        processes(emu)
        loop = asyncio.SelectorEventLoop(watched := Watched())
        with contextlib.closing(loop):
            longest = loop.run_until_complete(stalls(watched))
            beside = loop.run_until_complete(idle(watched))
        print(f"\nlongest stall of the loop that awaits a program: {longest * 1e3:.1f} ms")
        print(f"beside a thread of plain Python: {beside * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
