"""Load a real gateway with many clients and many jobs, and print what it took.

    python tests/gateway_load.py [--clients 500] [--jobs 1000]

Each client hands in its jobs, asks for their status as often as `Retry-After`
allows until they have ended, and fetches their counts. Emulator and gateway are
processes of their own. Exits with 1 if a job did not end as DONE, an answer was a
5xx, or a bound below was passed.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qawait.emulator.process import running
from support.gateways import Server, order, serving

STATUS_SECONDS = 0.100
RUN_SECONDS = 0.100
ARRIVAL_SECONDS = 5.0
"""The time over which the clients arrive."""
GROWTH_BYTES = 150 * 2**20
LIMIT_SECONDS = 600.0


@dataclass(slots=True)
class Seen:
    """What the clients have seen."""

    times: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    ends: collections.Counter[str] = field(default_factory=collections.Counter)


class Client:
    """One client with one connection; as little of a client as will do."""

    def __init__(self, port: int, seen: Seen) -> None:
        self._port = port
        self._seen = seen

    async def main(self, jobs: int, after: float) -> None:
        """Hand in jobs one after the other, from so many seconds on; follow each to its end."""
        await asyncio.sleep(after)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for _ in range(jobs):
                await self._job()
        finally:
            self._writer.close()

    async def _job(self) -> None:
        body = json.dumps(order(shots=16)).encode()
        status, accepted = await self._ask("run", "POST", "/run", body)
        assert status == 202, accepted
        path = f"/job/{accepted['job_id']}"
        while True:
            told = (await self._ask("status", "GET", f"{path}/status"))[1]
            if told["status"] in {"DONE", "ERROR", "CANCELLED"}:
                break
            await asyncio.sleep(float(told["retry_after"]))
        self._seen.ends[told["status"]] += 1
        await self._ask("result", "GET", f"{path}/result")

    async def _ask(
        self, what: str, method: str, path: str, body: bytes = b""
    ) -> tuple[int, dict[str, Any]]:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        began = time.perf_counter()
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        text = await self._reader.readexactly(size)
        self._seen.times[what].append(time.perf_counter() - began)
        status = int(lines[0].split()[1])
        self._seen.statuses[status] += 1
        return status, json.loads(text)


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def watch(pid: int, most: list[int]) -> None:
    """Keep the most memory that a process had."""
    while True:
        most[0] = max(most[0], memory(pid))
        await asyncio.sleep(0.2)


async def load(server: Server, clients: int, jobs: int) -> tuple[Seen, int]:
    """Run all clients; return what they saw and the most memory that the gateway had."""
    seen, most = Seen(), [0]
    shares = [jobs // clients + (number < jobs % clients) for number in range(clients)]
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
        watching = group.create_task(watch(server.process.pid, most))
        async with asyncio.TaskGroup() as crowd:
            for place, share in enumerate(shares):
                after = ARRIVAL_SECONDS * place / clients
                crowd.create_task(Client(server.port, seen).main(share, after))
        watching.cancel()
    return seen, most[0]


def figures(seen: Seen, before: int, most: int, seconds: float) -> bool:
    """Print what was seen; return whether all is as it should be."""
    print(f"| request | number | p50 ms | p99 ms | longest ms |\n|{'---|' * 5}")
    p99 = {}
    for what, times in seen.times.items():
        times.sort()
        p99[what] = times[int(0.99 * (len(times) - 1))]
        row = (times[len(times) // 2], p99[what], times[-1])
        print(
            f"| {what} | {len(times)} | " + " | ".join(f"{1000 * each:.0f}" for each in row) + " |"
        )
    print(f"\nended: {dict(seen.ends)}, answers: {dict(seen.statuses)}, {seconds:.0f} s")
    print(f"gateway: {before / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at most")
    return (
        set(seen.ends) == {"DONE"}
        and not any(status >= 500 for status in seen.statuses)
        and most - before < GROWTH_BYTES
        and p99["status"] < STATUS_SECONDS
        and p99["run"] < RUN_SECONDS
    )


def main() -> int:
    """Load the gateway as asked and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(backends=("manila",)) as emu:
        os.environ["QAWAIT_STATE"] = folder
        with serving(emu, Path(folder) / "gateway", preload=True) as server:
            server.ask("POST", "/run?wait=60", order())  # what is done once is done
            before = memory(server.process.pid)
            began = time.monotonic()
            seen, most = asyncio.run(load(server, asked.clients, asked.jobs))
            is_fine = figures(seen, before, most, time.monotonic() - began)
    print("all as it should be" if is_fine else "NOT as it should be")
    return int(not is_fine)


if __name__ == "__main__":
    sys.exit(main())
