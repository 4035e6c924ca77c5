"""A program that is to be stopped while its jobs run: `python victim.py HOW [JOBS] [--session]`.

It finds the service by the `QISKIT_IBM_*` variables, prints one line when all its
jobs have ids, and then stops in the manner named, or waits to be stopped. With
`--session` its jobs are in a session.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import time
from typing import Any

import qawait
import qawait.sync

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
KEPT: list[object] = []
"""What is never collected, as in a program with global variables."""


async def submit(client: qawait.Client, jobs: int) -> list[qawait.Job[Any]]:
    """Submit jobs at the same time and tell when all have ids."""
    sender = await client.session("ibm_manila") if "--session" in sys.argv else client
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(sender.submit_program("sampler", PARAMS, backend="ibm_manila"))
            for _ in range(jobs)
        ]
    print(*[task.result().id for task in tasks], flush=True)
    return [task.result() for task in tasks]


async def wait(jobs: int) -> None:
    """Await all jobs, inside `async with`."""
    async with qawait.connect() as client:
        for job in await submit(client, jobs):
            await job


async def leave_open(jobs: int) -> None:
    """Return with jobs running and the client open."""
    client = await qawait.connect()
    KEPT.append((client, await submit(client, jobs)))


async def stop_abruptly(jobs: int, how: str) -> None:
    """End the process from within, while jobs run."""
    async with qawait.connect() as client:
        await submit(client, jobs)
        if how == "exit":
            os._exit(1)
        if how == "segfault":
            ctypes.string_at(0)
        raise LookupError("nobody catches this")


def fork_and_wait(jobs: int) -> None:
    """Have a forked child that lives on while the parent is killed."""

    async def main() -> None:
        async with qawait.connect() as client:
            submitted = await submit(client, jobs)
            if os.fork() == 0:
                time.sleep(20)  # noqa: ASYNC251 - the child has no loop
                os._exit(0)
            await submitted[0]

    asyncio.run(main())


def close_the_loop(jobs: int) -> None:
    """Close the loop without ending its tasks, and live on."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_open(jobs))
    loop.close()
    gc.collect()
    time.sleep(20)


def block(jobs: int, how: str) -> None:
    """Wait for jobs in the main thread, without a loop; afterwards say what was raised."""
    with qawait.sync.connect() as client:
        submitted = [
            client.submit_program("sampler", PARAMS, backend="ibm_manila") for _ in range(jobs)
        ]
        print(*[job.id for job in submitted], flush=True)
        if how == "blocked-open":
            os.kill(os.getpid(), signal.SIGINT)
        try:
            submitted[0].result()
        except KeyboardInterrupt as stopped:
            print(*getattr(stopped, "__notes__", []), flush=True)
            raise


def main() -> None:
    """Run in the manner that the command line names."""
    how, jobs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    match how:
        case "wait":
            asyncio.run(wait(jobs))
        case "return":
            asyncio.run(leave_open(jobs))
            time.sleep(20)
        case "closed-loop":
            close_the_loop(jobs)
        case "blocked" | "blocked-open":
            block(jobs, how)
        case "fork":
            fork_and_wait(jobs)
        case _:
            asyncio.run(stop_abruptly(jobs, how))


if __name__ == "__main__":
    main()
