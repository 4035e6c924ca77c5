"""Waiting for many jobs at once: IBM's client, bare loops, qawait and the limit, side by side.

    python benchmarks/many.py [--sizes 10,100] [--peers "qawait;raw list poller"] [--delay 0.1]

All wait for the same canned jobs, which end evenly over 4 s from 8 s after the
start in a random order. The service is a process on the other processor, each
peer a fresh process. Only the waiting is measured: submits come before it, and
results after it, in a column of their own. Compare within one table.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopback import certify, pinned, served
from measuring import Watched, cpu, resident
from orders import Control, variables
from rows import Row, at_most, markdown, number, write
from waiters import WAITERS, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIZES = (1, 10, 100, 1000, 10_000)
FIRST_SECONDS = 8.0
SPREAD_SECONDS = 4.0
LIMIT_SECONDS = 150.0
IBM = "IBM's client, a thread per job"
INTERVAL = 0.5
Found = dict[str, Any]


# --- one peer, in a process of its own -----------------------------------------------------------


async def work(name: str, count: int, origin: str, orders: str, folder: str) -> dict[str, Any]:
    """Return what waiting for so many jobs took."""
    control = Control(orders)
    control.ask("forget")
    tls = ssl.create_default_context(cafile=f"{folder}/cert.pem")
    waiter = WAITERS[name](origin, tls, control)
    await waiter.open()
    gc.collect()
    before = resident()
    ids = await waiter.prepare(count)
    came: dict[str, float] = {}
    begun: dict[str, float] = {}
    sizes: list[int] = []
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001 - ours

    def begin() -> None:
        sample = threading.Timer(FIRST_SECONDS - 0.5, lambda: sizes.append(resident()))
        sample.daemon = True
        sample.start()
        control.ask("start", after=FIRST_SECONDS, spread=SPREAD_SECONDS)
        begun.update(cpu=cpu(), at=time.monotonic())
        selector.start()

    await waiter.wait(ids, begin, lambda job_id: came.update({job_id: time.monotonic()}))
    spent, stall, step = cpu() - begun["cpu"], selector.longest, selector.busiest
    report, ends = control.ask("report"), control.ask("ends")
    waiter.import_decoder()
    used = cpu()
    await waiter.fetch(list(came))
    fetched = cpu() - used
    await waiter.close()
    late = sorted(at - ends[job_id] for job_id, at in came.items())
    return {
        "status requests": report["counts"].get("status", 0) / count,
        "list requests": report["counts"].get("list", 0) / count,
        "cpu": spent / count * 1e3,
        "lateness": statistics.fmean(late) if late else None,
        "p50": statistics.median(late) if late else None,
        "p99": late[int(len(late) * 0.99)] if late else None,
        "KiB": (sizes[0] - before) / count if sizes else None,
        "RSS": sizes[0] / 1024 if sizes else None,
        "stall": stall * 1e3 if waiter.has_loop else None,
        "step": step * 1e3 if waiter.has_loop else None,
        "connections": report["connections"],
        "reopened": report["reopened"],
        "errors": waiter.errors,
        "result cpu": fetched / max(1, len(came)) * 1e3,
        "busy": report["busy"],
    }


def worker(arguments: list[str]) -> None:
    """Measure one peer and print the figures as JSON."""
    name, count, origin, orders, folder = arguments
    logging.disable(logging.WARNING)  # that the import of Qiskit, after it all, blocked the loop

    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(Watched())

    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(work(name, int(count), origin, orders, folder))
    print(json.dumps(found), flush=True)
    os._exit(0)  # threads of peers may hang


def measure(
    name: str, count: int, origins: list[str], folder: Path, *, tls: bool, seconds: float
) -> Found | None:
    """Return what a worker prints; `None` if it takes too long or fails."""
    origin = origins[1 if tls else 0]
    arguments = ("worker", name, str(count), origin, origins[2], str(folder))
    try:
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            stdout=subprocess.PIPE,
            env=environment(str(folder)) | variables(origin),
            timeout=seconds,
            check=False,
            preexec_fn=pinned(0),
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0 or not done.stdout:
        return None
    found: Found = json.loads(done.stdout)
    return found


# --- rows ----------------------------------------------------------------------------------------

COLUMNS = {
    "status requests": "per job",
    "list requests": "per job",
    "cpu": "ms per job",
    "lateness": "s",
    "p50": "s",
    "p99": "s",
    "stall": "ms",
    "step": "ms",
    "KiB": "KiB per job",
    "RSS": "MiB",
    "connections": "",
    "reopened": "",
    "errors": "",
    "result cpu": "ms per job",
    "busy": "of a processor",
}
NAMES = {
    "cpu": "processor time",
    "lateness": "mean lateness",
    "p50": "median lateness",
    "p99": "99 % lateness",
    "stall": "longest stall of the loop",
    "step": "processor time of the loop's longest step",
    "KiB": "memory for each job",
    "RSS": "memory of the process",
    "connections": "connections",
    "reopened": "connections opened again",
    "result cpu": "processor time for a result",
    "busy": "the service's processor",
}


def jobs(count: int) -> str:
    """Return so many jobs in words."""
    return f"{count:,} jobs" if count > 1 else "1 job"


def polling(found: Found) -> float:
    """Return the polling requests per job, that in which its end is seen included."""
    together: float = found["status requests"] + found["list requests"]
    return together


def limits(name: str, count: int, delay: float) -> dict[str, float]:
    """Return what figures of qawait should be at most."""
    if not name.startswith("qawait") or count not in (1000, 10_000):
        return {}
    if count == 10_000:
        return {"lateness": 0.6 + 2 * delay, "stall": 50, "errors": 0, "KiB": 4, "RSS": 60}
    late = INTERVAL / 2 + 2 * delay + 0.03
    fixed = {"cpu": 0.8, "stall": 20, "connections": 33, "reopened": 0, "errors": 0}
    return {"lateness": late, **fixed}


def beside_ibm(name: str, count: int, found: Found, ibm: Found, asks: float) -> Iterator[Row]:
    """Yield the figures that are aimed at as ratios.

    `asks` is how often IBM's client polls for a job as long as it keeps up.
    """
    aimed = count == 1000
    own = max(1e-3, polling(found))
    for what, times, least, words in (
        ("polling requests", asks / own, 90, f"{number(asks)} to {number(own)} for each job"),
        ("processor time", ibm["cpu"] / found["cpu"], 15, ""),
    ):
        yield Row(
            name=f"{jobs(count)}: {what}, IBM's client ÷ this",
            peer=name,
            value=times,
            unit="times",
            ratio=words,
            aim=f"≥ {least} times" if aimed else "",
            holds=times >= least if aimed else None,
        )


def rows_of(name: str, count: int, found: Found | None, delay: float) -> Iterator[Row]:
    """Yield every figure of one run."""
    if found is None:
        yield Row(name=f"{jobs(count)}: processor time", peer=name, value=None)
        return
    aimed = limits(name, count, delay)
    for column, unit in COLUMNS.items():
        if (value := found[column]) is None:
            continue
        aim, holds = at_most(aimed[column], value, unit) if column in aimed else ("", None)
        title = f"{jobs(count)}: {NAMES.get(column, column)}"
        yield Row(name=title, peer=name, value=value, unit=unit, aim=aim, holds=holds)


def table(count: int, runs: dict[str, Found | None]) -> str:
    """Return the runs of one size side by side."""
    lines = [
        f"\n{jobs(count)}\n",
        f"| | {' | '.join(COLUMNS)} |",
        "|---" * (1 + len(COLUMNS)) + "|",
    ]
    for name, found in runs.items():
        cells = (
            ["not in time"] + [""] * (len(COLUMNS) - 1)
            if found is None
            else ["-" if found[c] is None else number(found[c]) for c in COLUMNS]
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(
    plan: Mapping[int, Sequence[str]],
    *,
    tls: bool = False,
    delay: float = 0.0,
    seconds: float = LIMIT_SECONDS,
) -> list[Row]:
    """Measure the peers planned for each size, print the tables and return the rows.

    A peer that takes longer than `seconds`, from start to end of its process, is
    stopped and reported as such.
    """
    rows: list[Row] = []
    asks = 0.0  # saturated, IBM's client asks less often than it means to
    script = str(Path(__file__).with_name("canned.py"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        certify(folder)
        for count, peers in plan.items():
            runs: dict[str, Found | None] = {}
            for name in peers:  # each with a server of its own: what one leaves harms no other
                with served(folder, script, str(delay)) as origins:
                    runs[name] = measure(name, count, origins, folder, tls=tls, seconds=seconds)
            print(table(count, runs), flush=True)
            ibm = runs.get(IBM)
            asks = asks if ibm is None else max(asks, polling(ibm))
            for name, found in runs.items():
                rows.extend(rows_of(name, count, found, delay))
                if found is not None and ibm is not None and name.startswith("qawait"):
                    rows.extend(beside_ibm(name, count, found, ibm, asks))
    return rows


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--peers", default=";".join(WAITERS), help="names, parted by semicolons")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds for a peer")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure, print, and say which aims hold."""
    asked = arguments()
    sizes = [int(size) for size in asked.sizes.split(",")]
    plan = dict.fromkeys(sizes, asked.peers.split(";"))
    rows = run(plan, tls=asked.tls, delay=asked.delay, seconds=asked.limit)
    aimed = [row for row in rows if row.aim]
    print(f"\nAims\n\n{markdown(aimed)}")
    if asked.json:
        write(asked.json, rows)
    if asked.markdown:
        asked.markdown.write_text(markdown(rows) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2:])
    else:
        main()
