"""What one status query costs, and how fast cancels leave: ours, httpx's, aiohttp's, raw.

Run it with `python benchmarks/transport.py`. A small server answers on the other
processor; each client has a process of its own. Ratios are within this run.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.streams.tls import TLSStream
from clients import CLIENTS
from loopback import certify, pinned, served
from measuring import cpu
from rows import Row, at_most, markdown, number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from clients import Client

CONCURRENT = (1, 8, 32, 256, 1000)
SECONDS = 0.6
HTTP2 = "httpx, HTTP/2"
AIMS = {"http, trio": 145.0, "https, trio": 145.0}
"""Microseconds of a processor for a status query, 200 elsewhere."""


# --- measuring ---------------------------------------------------------------------------------


async def polls(client: Client, concurrent: int) -> dict[str, float]:
    """Return the cost of one status query while so many are asked in closed loops."""
    took: list[float] = []

    async def loop(until: float) -> None:
        while True:
            began = time.perf_counter()
            await client.ask()
            ended = time.perf_counter()
            took.append(ended - began)
            if ended > until:
                return

    async def together(count: int, seconds: float) -> None:
        until = time.perf_counter() + seconds
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(loop, until)

    await together(min(concurrent, 32), 0.05)
    took.clear()
    began, used = time.perf_counter(), cpu()
    await together(concurrent, SECONDS)
    spent = cpu() - used
    ordered = sorted(took)
    return {
        "cpu": spent / len(took) * 1e6,
        "p50": statistics.median(ordered) * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "rate": len(took) / (time.perf_counter() - began),
    }


async def came(origin: str, tls: ssl.SSLContext) -> list[float]:
    """Return when cancels came to the server since it was last asked."""
    port = int(origin.rpartition(":")[2])
    context = tls if origin.startswith("https") else None
    stream: Any = await anyio.connect_tcp("127.0.0.1", port)
    if context is not None:
        stream = await TLSStream.wrap(
            stream, hostname="127.0.0.1", ssl_context=context, standard_compatible=False
        )
    async with stream:
        await stream.send(b"GET /came HTTP/1.1\r\n\r\n")
        data = await stream.receive()
        while len(data.partition(b"\r\n\r\n")[2]) < int(data.split()[4]):
            data += await stream.receive()
    times: list[float] = json.loads(data.partition(b"\r\n\r\n")[2])
    return times


async def waiting(client: Client, wait: Callable[[], Awaitable[object]]) -> None:
    """Wait, and cancel the job when cancelled."""
    try:
        await wait()
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await client.cancel()
        raise


async def cancelled_tasks(count: int, run: Callable[[], Any]) -> float:
    """Cancel so many of asyncio's tasks, and return when that began."""
    tasks = [asyncio.ensure_future(run()) for _ in range(count)]
    await asyncio.sleep(0.02)
    began = time.monotonic()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return began


async def cancelled_group(count: int, run: Callable[[], Any]) -> float:
    """Cancel so many of trio's tasks, and return when that began."""
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(run)
        await anyio.sleep(0.02)
        began = time.monotonic()
        group.cancel_scope.cancel()
    return began


async def cancelled(
    client: Client, count: int, wait: Callable[[], Awaitable[object]], look: Any
) -> float:
    """Cancel so many waiting tasks; return the seconds until the last cancel came."""
    stop = cancelled_tasks if sys.modules.get("trio") is None else cancelled_group
    began = await stop(count, lambda: waiting(client, wait))
    seen = await look()
    assert len(seen) == count
    return float(max(seen) - began)


async def cancels(client: Client, origin: str, tls: ssl.SSLContext) -> dict[str, float]:
    """Return how long cancels take to arrive: one of an idle task, one of a poll, 1,000 at once."""

    async def look() -> list[float]:
        return await came(origin, tls)

    await client.ask()
    idle, polling = [], []
    for _ in range(60):
        idle.append(await cancelled(client, 1, anyio.sleep_forever, look))
        await client.ask()
        polling.append(await cancelled(client, 1, client.hang, look))
        await client.ask()
    many = [await cancelled(client, 1000, anyio.sleep_forever, look) for _ in range(2)]
    return {
        "idle": statistics.median(idle) * 1e3,
        "polling": statistics.median(polling) * 1e3,
        "many": min(many) * 1e3,
    }


async def work(name: str, origin: str, what: str, folder: str) -> None:
    """Measure one client and print the figures as JSON."""
    tls = ssl.create_default_context(cafile=f"{folder}/cert.pem")
    client = CLIENTS[name](origin, tls)
    found: dict[str, Any] = {}
    if what == "cancels":
        found = await cancels(client, origin, tls)
    else:
        for concurrent in what.split(","):
            found[concurrent] = await polls(client, int(concurrent))
    await client.aclose()
    print(json.dumps(found), flush=True)


def worker(name: str, loop: str, origin: str, what: str, folder: str) -> None:
    """Run `work` on a loop, on the first processor."""
    options = {"use_uvloop": loop == "uvloop"} if loop != "trio" else {}
    backend = "trio" if loop == "trio" else "asyncio"
    anyio.run(work, name, origin, what, folder, backend=backend, backend_options=options)


def measure(name: str, loop: str, origin: str, what: str, folder: Path) -> dict[str, Any]:
    """Return what a worker prints."""
    done = subprocess.run(
        [sys.executable, __file__, "worker", name, loop, origin, what, str(folder)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        preexec_fn=pinned(0),
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# --- rows and tables ---------------------------------------------------------------------------

RUNS = {
    "asyncio": ("httpx", HTTP2, "aiohttp", "qawait", "raw"),
    "trio": ("httpx", "qawait", "raw"),
    "uvloop": ("aiohttp", "qawait", "raw"),
}
CANCELLED = {
    "idle": ("an idle task", 0.5),
    "polling": ("a task whose poll is in flight", 0.5),
    "many": ("1,000 tasks at once: the last", 350),
}
"""What is cancelled, and the milliseconds until the service should have the cancel."""


def origin_for(name: str, origins: list[str], place: int) -> str:
    """Return where a client finds the server: HTTP/2 has ports of its own."""
    return origins[place + 2 if name == HTTP2 else place]


def poll_rows(
    origins: list[str], folder: Path, loops: Iterable[str], concurrent: Sequence[int]
) -> list[Row]:
    """Print what a status query costs, and return it as rows."""
    what = ",".join(map(str, concurrent))
    print("CPU µs per status query (wall p50 / p99 in ms) at so many concurrent ones\n")
    print("| scheme | loop | client |", *(f"{n} |" for n in concurrent))
    print("|---" * (3 + len(concurrent)) + "|")
    rows: list[Row] = []
    for place, scheme in enumerate(("http", "https")):
        for loop in loops:
            found: dict[str, dict[str, dict[str, float]]] = {}
            for name in RUNS[loop]:
                origin = origin_for(name, origins, place)
                found[name] = measure(name, loop, origin, what, folder)
                cells = (
                    f"{at['cpu']:.0f} ({at['p50']:.2g} / {at['p99']:.2g})"
                    for at in found[name].values()
                )
                print(f"| {scheme} | {loop} | {name} | {' | '.join(cells)} |", flush=True)
            for count in concurrent:
                rows += poll_rows_at(f"{scheme}, {loop}", count, found)
    return rows


def poll_rows_at(
    where: str, count: int, found: dict[str, dict[str, dict[str, float]]]
) -> Iterator[Row]:
    """Yield the rows of one load; the ratios are to what nobody can go below."""
    least = found["raw"][str(count)]["cpu"]
    for name, at in found.items():
        spent = at[str(count)]["cpu"]
        aim, holds = ("", None)
        if name == "qawait" and count <= 32:
            aim, holds = at_most(AIMS.get(where, 200), spent, "µs")
        yield Row(
            name=f"status query, {count:,} at a time ({where})",
            peer=name,
            value=spent,
            unit="µs of a processor",
            ratio=f"{number(spent / least)} of raw, {number(spent - least)} µs above it",
            aim=aim,
            holds=holds,
        )


def cancel_rows(origins: list[str], folder: Path, loops: Iterable[str]) -> list[Row]:
    """Print how long cancels take to arrive, and return it as rows."""
    print("\nms until the service has the cancel\n")
    print("| scheme | loop | client | idle task | poll in flight | 1,000 at once: the last |")
    print("|---|---|---|---|---|---|")
    rows = []
    for origin in origins[:2]:
        scheme = origin.partition(":")[0]
        for loop in loops:
            found = {}
            for name in ("httpx, 32 connections", "qawait", "raw"):
                found[name] = measure(name, loop, origin, "cancels", folder)
                cells = (f"{found[name][key]:.2f}" for key in CANCELLED)
                print(f"| {scheme} | {loop} | {name} | {' | '.join(cells)} |", flush=True)
            rows += cancel_rows_of(f"{scheme}, {loop}", found)
    return rows


def cancel_rows_of(where: str, found: dict[str, dict[str, float]]) -> list[Row]:
    """Return the rows of one loop."""
    rows = []
    for key, (what, limit) in CANCELLED.items():
        for name, at in found.items():
            ours = name == "qawait"
            aim, holds = at_most(limit, at[key], "ms") if ours else ("", None)
            times = number(at[key] / found["httpx, 32 connections"][key])
            rows.append(
                Row(
                    name=f"cancel of {what} ({where})",
                    peer=name,
                    value=at[key],
                    unit="ms",
                    ratio=f"{times} of httpx" if ours else "",
                    aim=aim,
                    holds=holds,
                )
            )
    return rows


def run(
    concurrent: Sequence[int] = CONCURRENT,
    poll_loops: Iterable[str] = tuple(RUNS),
    cancel_loops: Iterable[str] = ("asyncio", "trio"),
) -> list[Row]:
    """Measure, print the tables and return the rows."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        certify(root)
        with served(root) as origins:
            return [
                *poll_rows(origins, root, poll_loops, concurrent),
                *cancel_rows(origins, root, cancel_loops),
            ]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["worker", *arguments]:
            worker(*arguments)
        case _:
            print(markdown(run()))
