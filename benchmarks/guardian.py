"""What a guardian costs while idle, and how soon it acts when its parent is killed.

Run it with `python benchmarks/guardian.py`. Each line stands beside its aim. The
service is the emulator, on the loopback; it takes part in the times.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from rows import Row, at_most, markdown, number

from qawait.emulator.process import running
from qawait.guard.guardian import Guardian, Where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

ROUNDS = 20
MANY = 1000
CLIENT_TAG = "benchmark"
FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
JOB: dict[str, Any] = {
    "program_id": "sampler",
    "backend": "ibm_manila",
    "params": {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2},
}
PROGRAM = """
import json, sys, time
import anyio
from qawait.guard.guardian import Guardian, Where

async def main():
    orders = json.loads(sys.stdin.readline())
    guardian = Guardian(Where(**orders["where"]), replay=lambda: orders["messages"])
    await guardian.started()
    print(guardian.pid, flush=True)
    time.sleep(600)

anyio.run(main)
"""


def where(emu: Emulator) -> dict[str, Any]:
    """Return what a guardian is told of an emulator."""
    headers = {"Service-CRN": emu.instance}
    return {"url": emu.url, "headers": headers, "client_tag": CLIENT_TAG}


async def start(emu: Emulator) -> tuple[float, float, float]:
    """Return the milliseconds until a guardian listens, and its RSS and PSS in MiB."""
    guardian = Guardian(Where(**where(emu)))
    begun = time.perf_counter()
    await guardian.started()
    taken = (time.perf_counter() - begun) * 1e3
    sizes = [_size(guardian.pid, name) for name in ("Rss", "Pss")]
    await guardian.close()
    return taken, sizes[0], sizes[1]


def _size(pid: int | None, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) / 1024 if found else 0.0


class Submitter:
    """Submits jobs over one connection."""

    def __init__(self, emu: Emulator) -> None:
        self._connection = http.client.HTTPConnection(emu.host, emu.port)
        form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        content = urllib.parse.urlencode({**form, "apikey": emu.token.reveal()})
        self.token = self._ask("/identity/token", content, {})["access_token"]
        self._path = f"{urllib.parse.urlsplit(emu.url).path}/jobs"
        self._headers = {
            "Authorization": f"Bearer {self.token}",
            "Service-CRN": emu.instance,
        }

    def _ask(self, path: str, content: str, headers: dict[str, str]) -> Any:
        self._connection.request("POST", path, content, headers)
        return json.load(self._connection.getresponse())

    def submit(self, tag: str) -> dict[str, Any]:
        """Submit a job; return the message that tells a guardian of it."""
        body = json.dumps({**JOB, "tags": [tag, CLIENT_TAG]})
        return {"open": {"tag": tag, "id": self._ask(self._path, body, self._headers)["id"]}}


@contextlib.contextmanager
def program(emu: Emulator, jobs: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a program whose guardian knows so many live jobs; give it and the guardian's id."""
    submitter = Submitter(emu)
    messages = [{"token": submitter.token}, *(submitter.submit(f"job{n}") for n in range(jobs))]
    orders = json.dumps({"where": where(emu), "messages": messages})
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        process.stdin.write(orders.encode() + b"\n")
        process.stdin.flush()
        yield process, int(process.stdout.readline())
        process.kill()


def kill(emu: Emulator, jobs: int) -> tuple[float, float]:
    """Return the milliseconds from the kill to the first cancel and to the last."""
    emu.reset()
    emu.hold()
    with program(emu, jobs) as (process, guardian):
        descriptor = os.pidfd_open(guardian)
        killed = time.monotonic()
        process.send_signal(signal.SIGKILL)
        select.select([descriptor], [], [])
        os.close(descriptor)
    cancels = emu.ledger("POST", "/jobs/{id}/cancel")
    if len(cancels) != jobs or emu.live():
        raise RuntimeError(f"{len(cancels)} cancels of {jobs} jobs, {len(emu.live())} are live")
    return (cancels[0].monotonic - killed) * 1e3, (cancels[-1].monotonic - killed) * 1e3


def run(rounds: int = ROUNDS) -> list[Row]:
    """Measure and return the rows."""
    with running(execute=False) as emu:
        starts = [anyio.run(start, emu) for _ in range(rounds)]
        first = [kill(emu, 1)[0] for _ in range(rounds)]
        last = [kill(emu, MANY)[1] for _ in range(3)]
    return [
        row("spawn to ready", "ms", [taken for taken, _, _ in starts], 25),
        row("idle, resident", "MiB", [rss for _, rss, _ in starts], 10),
        row("idle, its share", "MiB", [pss for _, _, pss in starts], None),
        row("kill to first cancel, 1 job", "ms", first, 10),
        row(f"kill to last cancel, {MANY:,} jobs", "ms", last, 500),
    ]


def row(what: str, unit: str, values: list[float], limit: float | None) -> Row:
    """Return the median, with the most beside it."""
    middle = statistics.median(values)
    aim, holds = ("", None) if limit is None else at_most(limit, middle, unit)
    return Row(
        name=what,
        peer="guardian",
        value=middle,
        unit=unit,
        ratio=f"at most {number(max(values))}",
        aim=aim,
        holds=holds,
    )


if __name__ == "__main__":
    print(markdown(run()))
