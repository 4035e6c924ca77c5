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
from rows import Row, at_most, markdown, number

import qawait
from qawait.emulator.process import running
from qawait.guard import journal as journals
from qawait.guard.owner import claim

if TYPE_CHECKING:
    from qawait.emulator import Emulator

ROUNDS = 100
FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
VICTIM = Path(__file__).parents[1] / "tests" / "support" / "victim.py"


async def ours(emu: Emulator, rounds: int) -> list[float]:
    """Return the times from `task.cancel()` to the cancel's arrival, through qawait."""
    times = []
    async with qawait.connect() as client:
        for _ in range(rounds):
            job = await client.submit_program("sampler", PARAMS, backend="ibm_manila")
            task = asyncio.ensure_future(job.result())
            await asyncio.sleep(0.02)
            times.append(await stopped(task, emu, job.id))
    return times


async def bare(emu: Emulator, rounds: int) -> list[float]:
    """Return the same for a bare `httpx.AsyncClient`: a cancel posted in `except`."""
    times = []
    async with qawait.connect() as client, httpx.AsyncClient(base_url=emu.url) as http:
        http.headers["Authorization"] = f"Bearer {await token(client)}"
        http.headers["Service-CRN"] = emu.instance
        for _ in range(rounds):
            job = await client.submit_program(
                "sampler", PARAMS, backend="ibm_manila", on_cancel="detach"
            )
            waiting = asyncio.Event()
            task = asyncio.ensure_future(wait_bare(http, job.id, waiting))
            await waiting.wait()  # cancelled before, it would send nothing
            times.append(await stopped(task, emu, job.id))
    return times


async def token(client: qawait.Client) -> str:
    """Return a bearer token."""
    return (await client._service.tokens.token()).reveal()  # noqa: SLF001 - to compare like with like


async def wait_bare(http: httpx.AsyncClient, job_id: str, waiting: asyncio.Event) -> None:
    """Wait for a job, and cancel it when cancelled."""
    await http.get(f"/jobs/{job_id}")
    waiting.set()
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
    journal = journals.Journal(folder / "journal.sqlite3", owner)
    times = []
    for place in range(300):
        intent = journals.Row(
            tag=f"t{place}",
            owner=owner.name,
            url="https://service/api/v1",
            instance="crn",
            backend="ibm_fez",
            on_cancel="cancel",
            intended=0.0,
        )
        began = time.perf_counter()
        await journal.keep(intent)
        times.append(time.perf_counter() - began)
    journal.close()
    owner.release()
    return times[10:]


def run(rounds: int = ROUNDS) -> list[Row]:
    """Measure and return the rows."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(backends=("manila",), execute=False, run_seconds=600) as emu,
    ):
        os.environ.update(emu.env, QAWAIT_STATE=folder)
        httpx_times = asyncio.run(bare(emu, rounds))
        our_times = asyncio.run(ours(emu, rounds))
        bare_gone = second_interrupt("-c", BARE_PROGRAM)
        hanging = emu.route("POST /jobs/{id}/cancel").hang(times=None)
        ours_gone = second_interrupt(str(VICTIM), "wait", "5")
        hanging.remove()
        intents = asyncio.run(journal_cost(Path(folder)))
    to_service, gone = "`task.cancel()` until the service has it", "second Ctrl-C until gone"
    ratio = f"{number(statistics.median(our_times) / statistics.median(httpx_times))} of httpx"
    return [
        row(to_service, "bare httpx", httpx_times),
        row(to_service, "qawait", our_times, ratio=ratio),
        row(gone, "bare httpx", bare_gone),
        row(f"{gone}, 5 live jobs", "qawait", ours_gone, limit=100),
        row("intent on disk", "qawait", intents, limit=1),
    ]


def row(
    what: str, peer: str, seconds: list[float], *, ratio: str = "", limit: float | None = None
) -> Row:
    """Return the median in milliseconds."""
    middle = statistics.median(seconds) * 1e3
    aim, holds = ("", None) if limit is None else at_most(limit, middle, "ms")
    return Row(name=what, peer=peer, value=middle, unit="ms", ratio=ratio, aim=aim, holds=holds)


if __name__ == "__main__":
    print(markdown(run()))
