"""Following jobs until they end: a panel in a terminal, lines elsewhere."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from qawait.console.common import job_fields
from qawait.errors import ConfigError
from qawait.panels.panel import panel
from qawait.panels.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.jobs.job import Job
    from qawait.types import Update


async def shown(jobs: Sequence[Job[Any]]) -> None:
    """Show jobs in a panel until all have ended; without rich, wait for them."""
    try:
        await panel(jobs)
    except ConfigError:
        for job in jobs:
            await job.wait()


async def followed(jobs: Sequence[Job[Any]], *, as_json: bool) -> None:
    """Follow jobs until all have ended, in the way that suits the output."""
    if is_terminal() and not as_json:
        await shown(jobs)
        return
    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(partial(_told, job, as_json=as_json))
    for job in jobs:
        await job.wait()  # raises what kept it from being followed


async def _told(job: Job[Any], *, as_json: bool) -> None:
    before = None
    async for update in job.updates():
        if as_json:
            print(json.dumps({**job_fields(job), **_step(update)}), flush=True)
        elif update.stage is not before:
            print(update, flush=True)
        before = update.stage


def _step(update: Update) -> dict[str, Any]:
    return {
        "stage": update.stage.name,
        "time": update.time,
        "estimated_seconds": update.estimated_seconds,
        "disconnected_since": update.disconnected_since,
    }
