"""What one status query costs, and how fast cancels leave: ours, httpx's and bare streams.

Run it with `python benchmarks/transport.py`. A small server answers on the other
processor; each client has a process of its own. Ratios are within this run.
"""

from __future__ import annotations

import asyncio
import json
import resource
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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clients import Client

CONCURRENT = (1, 8, 32, 256, 1000)
SECONDS = 0.6


# --- measuring ---------------------------------------------------------------------------------


def cpu() -> float:
    """Return the seconds of processor time used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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
        for concurrent in CONCURRENT:
            found[str(concurrent)] = await polls(client, concurrent)
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


# --- the tables --------------------------------------------------------------------------------

RUNS = [
    (loop, name)
    for loop in ("asyncio", "trio", "uvloop")
    for name in ("httpx", "qawait", "raw")
    if (loop, name) != ("uvloop", "httpx")
]


def show_polls(origins: list[str], folder: Path) -> None:
    """Print what a status query costs."""
    print("CPU µs per status query (wall p50 / p99 in ms) at so many concurrent ones\n")
    print("| scheme | loop | client |", *(f"{n} |" for n in CONCURRENT), "1000 ÷ 8 | 32: ratios |")
    print("|---" * (5 + len(CONCURRENT)) + "|")
    for origin in origins:
        costs: dict[tuple[str, str], float] = {}
        for loop, name in RUNS:
            found = measure(name, loop, origin, "polls", folder)
            cells = [
                f"{at['cpu']:.0f} ({at['p50']:.2g} / {at['p99']:.2g})" for at in found.values()
            ]
            costs[loop, name] = found["32"]["cpu"]
            slope = found["1000"]["cpu"] / found["8"]["cpu"]
            beside = ""
            if name != "httpx" and (loop, "httpx") in costs:
                beside = f"{costs[loop, name] / costs[loop, 'httpx']:.3f} of httpx"
            row = (origin.partition(":")[0], loop, name, *cells, f"{slope:.2f}", beside)
            print(f"| {' | '.join(row)} |", flush=True)
            if name == "raw":
                ratio = costs[loop, "qawait"] / costs[loop, "raw"]
                print(f"| | {loop} | qawait ÷ raw" + " |" * 7 + f" {ratio:.1f} |")


def show_cancels(origins: list[str], folder: Path) -> None:
    """Print how long cancels take to arrive."""
    print("\nms until the service has the cancel\n")
    print("| scheme | loop | client | idle task | poll in flight | 1,000 at once: the last |")
    print("|---|---|---|---|---|---|")
    for origin in origins:
        for loop in ("asyncio", "trio"):
            for name in ("httpx, 32 connections", "qawait", "raw"):
                found = measure(name, loop, origin, "cancels", folder)
                cells = (f"{found[key]:.2f}" for key in ("idle", "polling", "many"))
                row = (origin.partition(":")[0], loop, name, *cells)
                print(f"| {' | '.join(row)} |", flush=True)


def main(arguments: list[str]) -> None:
    """Print the tables, or be one of the processes that make them."""
    match arguments:
        case ["worker", name, loop, origin, what, folder]:
            worker(name, loop, origin, what, folder)
        case _:
            with tempfile.TemporaryDirectory() as made:
                root = Path(made)
                certify(root)
                with served(root) as origins:
                    show_polls(origins, root)
                    show_cancels(origins, root)


if __name__ == "__main__":
    main(sys.argv[1:])
