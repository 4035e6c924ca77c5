"""What cancelling costs: to the service, to the caller, and beforehand for each submit.

Run it with `python benchmarks/cancel.py`. Each line stands beside its peer or aim.
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
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

import qawait
from qawait.emulator.process import running
from qawait.guard.journal import Journal, Row
from qawait.guard.owner import claim

if TYPE_CHECKING:
    from qawait.emulator import Emulator

ROUNDS = 100
FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
VICTIM = Path(__file__).parents[1] / "tests" / "support" / "victim.py"


def show(what: str, seconds: list[float], beside: str) -> None:
    """Print one line of the table."""
    middle, most = statistics.median(seconds) * 1e3, max(seconds) * 1e3
    print(f"| {what} | {middle:.2f} | {most:.2f} | {beside} |", flush=True)


async def ours(emu: Emulator) -> list[float]:
    """Return the times from `task.cancel()` to the cancel's arrival, through qawait."""
    times = []
    async with qawait.connect() as client:
        for _ in range(ROUNDS):
            job = await client.submit_program("sampler", PARAMS, backend="ibm_manila")
            task = asyncio.ensure_future(job.result())
            await asyncio.sleep(0.02)
            times.append(await stopped(task, emu, job.id))
    return times


async def bare(emu: Emulator) -> list[float]:
    """Return the same for a bare `httpx.AsyncClient`: a cancel posted in `except`."""
    times = []
    async with qawait.connect() as client, httpx.AsyncClient(base_url=emu.url) as http:
        http.headers["Authorization"] = f"Bearer {await token(client)}"
        http.headers["Service-CRN"] = emu.instance
        for _ in range(ROUNDS):
            job = await client.submit_program(
                "sampler", PARAMS, backend="ibm_manila", on_cancel="detach"
            )
            task = asyncio.ensure_future(wait_bare(http, job.id))
            await asyncio.sleep(0.02)
            times.append(await stopped(task, emu, job.id))
    return times


async def token(client: qawait.Client) -> str:
    """Return a bearer token."""
    return (await client._service.tokens.token()).reveal()  # noqa: SLF001 - to compare like with like


async def wait_bare(http: httpx.AsyncClient, job_id: str) -> None:
    """Wait for a job, and cancel it when cancelled."""
    await http.get(f"/jobs/{job_id}")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await http.post(f"/jobs/{job_id}/cancel")
        raise


async def stopped(task: asyncio.Future[Any], emu: Emulator, job_id: str) -> float:
    """Cancel a task and return the seconds until the service had the job's cancel."""
    began = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    [entry] = emu.ledger("POST", "/jobs/{id}/cancel", job_id=job_id)
    return entry.monotonic - began


BARE_PROGRAM = """
import asyncio, anyio, httpx
async def main():
    async with httpx.AsyncClient():
        print("ready", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(60)
asyncio.run(main())
"""
"""A program that needs a second Ctrl-C too, and has no job to care for."""


def second_interrupt(*arguments: str) -> list[float]:
    """Return the times from a second Ctrl-C to the end of a process."""
    times = []
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()  # with a time-out it would look at intervals of 50 ms
        times.append(time.monotonic() - began)
    return times


async def journal_cost(folder: Path) -> list[float]:
    """Return how long a submit waits for its intent to be on disk."""
    owner = claim(folder)
    journal = Journal(folder / "journal.sqlite3", owner)
    times = []
    for number in range(300):
        row = Row(
            tag=f"t{number}",
            owner=owner.name,
            url="https://service/api/v1",
            instance="crn",
            backend="ibm_fez",
            on_cancel="cancel",
            intended=0.0,
        )
        began = time.perf_counter()
        await journal.keep(row)
        times.append(time.perf_counter() - began)
    journal.close()
    owner.release()
    return times[10:]


def main() -> None:
    """Print the table."""
    print("| measure | median ms | max ms | beside |\n|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(backends=("manila",), execute=False, run_seconds=600) as emu,
    ):
        os.environ.update(emu.env, QAWAIT_STATE=folder)
        httpx_times = asyncio.run(bare(emu))
        our_times = asyncio.run(ours(emu))
        ratio = statistics.median(our_times) / statistics.median(httpx_times)
        show("`task.cancel()` → cancel at the service, bare httpx", httpx_times, "peer")
        show("`task.cancel()` → cancel at the service, qawait", our_times, f"{ratio:.2f} of httpx")
        show(
            "second Ctrl-C → gone, a bare httpx program",
            second_interrupt("-c", BARE_PROGRAM),
            "peer",
        )
        hanging = emu.route("POST /jobs/{id}/cancel").hang(times=None)
        ours_gone = second_interrupt(str(VICTIM), "wait", "5")
        hanging.remove()
        show("second Ctrl-C → gone, qawait with 5 live jobs", ours_gone, "aim ≤ 100")
        show("journal: intent on disk", asyncio.run(journal_cost(Path(folder))), "aim ≤ 1")


if __name__ == "__main__":
    main()
