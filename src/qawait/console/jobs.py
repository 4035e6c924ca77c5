"""`qawait jobs`, `watch`, `result` and `cancel`: jobs that are with the service already."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from qawait.console.common import NO, OK, carry_out, complain, job_fields, make_parser, opened
from qawait.console.following import followed
from qawait.console.results import print_result
from qawait.console.text import Progress, print_table
from qawait.errors import QawaitError
from qawait.types import CancelOutcome, JobStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from qawait.client import Client
    from qawait.jobs.job import Job

_USUAL_LIMIT = 20
_AT_ONCE = 16


def list_jobs(arguments: Sequence[str]) -> int:
    """Run `qawait jobs` and return its exit code."""
    made = make_parser("jobs", "List the instance's jobs, newest first.")
    add = made.add_argument
    which = made.add_mutually_exclusive_group()
    which.add_argument("--pending", dest="pending", action="store_true", help="queued and running")
    which.add_argument("--ended", dest="pending", action="store_false", help="ended ones")
    made.set_defaults(pending=None)
    add("--limit", type=int, default=_USUAL_LIMIT, help=f"how many (default {_USUAL_LIMIT})")
    add("--backend", help="on this backend")
    add("--tag", action="append", default=[], help="with this tag; may be given again")
    return carry_out(_list, made.parse_args(arguments))


async def _list(asked: argparse.Namespace) -> int:
    found: list[Job[Any]] = []
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("connecting")
        async with opened(asked) as client:
            wanted = client.jobs(
                limit=asked.limit, pending=asked.pending, backend=asked.backend, tags=asked.tag
            )
            async for job in wanted:
                found.append(job)
                progress.say("listing", len(found), asked.limit)
    if asked.json:
        for job in found:
            print(json.dumps(job_fields(job)))
    elif found:
        names = ("job", "created", "backend", "status", "program", "")
        print_table(names, map(_row, found))
    else:
        print("no jobs")
    return OK


def _row(job: Job[Any]) -> tuple[str, ...]:
    seen = job.last_seen
    if seen is None:
        return (job.id, "", "", str(job.status), "", "")
    made = seen.created.astimezone().strftime("%Y-%m-%d %H:%M:%S") if seen.created else ""
    return (
        job.id,
        made,
        seen.backend or "",
        str(job.status),
        seen.program or "",
        seen.reason or "",
    )


def watch(arguments: Sequence[str]) -> int:
    """Run `qawait watch` and return its exit code."""
    made = make_parser(
        "watch", "Follow jobs until they end. Ctrl-C leaves them running: nothing is cancelled."
    )
    made.add_argument("ids", metavar="ID", nargs="+", help="a job")
    return carry_out(_watch, made.parse_args(arguments))


async def _watch(asked: argparse.Namespace) -> int:
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("connecting")
        async with opened(asked) as client:
            jobs = await _attached(client, asked.ids)
            progress.end()
            await followed(jobs, as_json=asked.json)
    return OK if all(job.status is JobStatus.DONE for job in jobs) else NO


async def _attached(client: Client, ids: Sequence[str]) -> list[Job[Any]]:
    return [await client.attach(job_id) for job_id in dict.fromkeys(ids)]


def result(arguments: Sequence[str]) -> int:
    """Run `qawait result` and return its exit code."""
    made = make_parser("result", "Print the result of a job that has ended.")
    made.add_argument("id", metavar="ID", help="the job")
    made.add_argument("--wait", action="store_true", help="wait for its end")
    return carry_out(_result, made.parse_args(arguments))


async def _result(asked: argparse.Namespace) -> int:
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("connecting")
        async with opened(asked) as client:
            job = await client.attach(asked.id)
            if not (asked.wait or job.status.is_final):
                message = f"the job is {job.status} and has no result yet: wait for it with --wait"
                complain(QawaitError(message, job_id=job.id), as_json=asked.json)
                return NO
            progress.say("fetching the result" if job.status.is_final else "waiting")
            value = await job
            progress.end()
            print_result(job, value, as_json=asked.json)
    return OK


def cancel(arguments: Sequence[str]) -> int:
    """Run `qawait cancel` and return its exit code."""
    made = make_parser("cancel", "Cancel jobs, each once; one that has ended is left as it is.")
    made.add_argument("ids", metavar="ID", nargs="+", help="a job")
    return carry_out(_cancel, made.parse_args(arguments))


async def _cancel(asked: argparse.Namespace) -> int:
    ids = list(dict.fromkeys(asked.ids))
    outcomes: dict[str, str] = {}
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("cancelling", 0, len(ids))
        async with opened(asked) as client, anyio.create_task_group() as group:
            room = anyio.CapacityLimiter(_AT_ONCE)
            for job_id in ids:
                work = partial(_cancel_one, client, job_id, outcomes, room)
                group.start_soon(work)
        progress.say("cancelling", len(outcomes), len(ids))
    for job_id in ids:
        fields = {"job_id": job_id, "outcome": outcomes[job_id]}
        print(json.dumps(fields) if asked.json else f"{job_id}  {outcomes[job_id]}")
    settled = {CancelOutcome.REQUESTED, CancelOutcome.ALREADY_FINAL}
    return OK if settled.issuperset(outcomes.values()) else NO


async def _cancel_one(
    client: Client, job_id: str, outcomes: dict[str, str], room: anyio.CapacityLimiter
) -> None:
    async with room:
        try:
            outcomes[job_id] = await (await client.attach(job_id)).cancel()
        except QawaitError as error:
            outcomes[job_id] = f"not cancelled: {error.message}"
