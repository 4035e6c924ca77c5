"""Kill real programs by the hundred, at random moments, and judge by the service's ledger.

    python tests/kill_many.py [--kills 200] [--seed 1] [--lanes 4]

The tests run a handful of each kind; this is for a night. It prints one line for
each kind and exits with 1 if any job was left running or cancelled twice. Signals
come 5 ms apart; asyncio itself can be struck amid its own handling of the first,
and such a program does not end by itself, whatever it runs.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qawait.emulator.process import running
from support.killing import program

SIGNALS = {
    "SIGINT": (signal.SIGINT, 1),
    "SIGINT twice": (signal.SIGINT, 2),
    "SIGINT thrice": (signal.SIGINT, 3),
    "SIGTERM": (signal.SIGTERM, 1),
    "SIGHUP": (signal.SIGHUP, 1),
    "SIGKILL": (signal.SIGKILL, 1),
}
JOBS = 4
SETTLE_SECONDS = 20.0
SWEEP_SECONDS = 0.6
"""Kills fall between the first submit's arrival and this much later."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the jobs of one killed program."""

    kind: str
    made: int
    orphans: int
    doubles: int
    hung: int


def kill(kind: str, delay: float) -> Verdict:
    """Start a program with its own service, kill it after a while, and count."""
    number, times = SIGNALS[kind]
    with running(backends=("manila",), execute=False) as emu:
        emu.route("POST /jobs").delay(delay / 2, when="after", times=2, anyway=True)
        with program(emu, jobs=JOBS) as victim:
            victim.wait_posting()
            time.sleep(delay)
            victim.stop(number, times=times)
            is_hung = not victim.ends(SETTLE_SECONDS)
        deadline = time.monotonic() + SETTLE_SECONDS
        while emu.live() and time.monotonic() < deadline:
            time.sleep(0.05)
        jobs = emu.jobs()
        live = sum(job.live for job in jobs)
        doubles = sum(job.cancels > 1 for job in jobs)
        return Verdict(kind, len(jobs), live, doubles, int(is_hung))


def main() -> int:
    """Kill as often as asked and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    plans = [
        (draw.choice(list(SIGNALS)), draw.random() * SWEEP_SECONDS) for _ in range(asked.kills)
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.lanes) as lanes:
        os.environ["QAWAIT_STATE"] = folder
        verdicts = list(lanes.map(lambda plan: kill(*plan), plans))
    totals: dict[str, list[int]] = collections.defaultdict(lambda: [0] * 5)
    for verdict in verdicts:
        counts = (1, verdict.made, verdict.orphans, verdict.doubles, verdict.hung)
        for place, value in enumerate(counts):
            totals[verdict.kind][place] += value
    print("| stopped by | programs | jobs | left running | cancelled twice | had to be killed |")
    print("|---|---|---|---|---|---|")
    for kind in SIGNALS:
        print(f"| {kind} | " + " | ".join(map(str, totals[kind])) + " |")
    return int(any(verdict.orphans or verdict.doubles for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
