"""A program that shows panels: `python showing.py HOW`, with the service in QISKIT_IBM_*."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import qawait

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}


async def main(how: str) -> None:
    """Submit a job, show it in the manner named, and end likewise."""
    async with qawait.connect(schedule=qawait.PollSchedule(lateness=0.02)) as client:
        job = await client.submit_program("sampler", PARAMS, backend="ibm_manila")
        if how == "await":
            print(await qawait.panel(job))
            return
        async with client.panel():
            while job.status is not qawait.JobStatus.QUEUED:
                await job.poll()
            await asyncio.sleep(0.3)  # for a picture or two
            print("said meanwhile")
            if how == "raise":
                raise LookupError("nobody catches this")
            if how == "exit":
                sys.exit(3)
            if how == "cancel":
                asyncio.current_task().cancel()  # type: ignore[union-attr]
            await job


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
