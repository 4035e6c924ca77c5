"""Many jobs at a time: how they are started, and what following them costs."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import asynccontextmanager
from statistics import fmean
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import anyio

from qawait.client import Client, ClientOptions
from qawait.ibm.backend import Backend
from qawait.jobs.schedule import PollSchedule
from qawait.testing import Outcome, SimulatedService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from qawait.jobs.job import Job
    from qawait.testing import Request
    from support.crew import Crew

BACKEND = Backend(
    name="sim", num_qubits=5, status="online", operational=True, configuration={"n_qubits": 5}
)
APART = 0.01
"""Seconds between two submits: no two jobs are made at the same microsecond."""


def spread(count: int, *, queue: float, run: float, seed: int = 1) -> list[Outcome]:
    """Return jobs that wait for anything up to `queue` seconds, and run for about `run`."""
    draw = random.Random(seed)
    return [
        Outcome(
            queue_seconds=draw.uniform(0, queue),
            run_seconds=(ran := run * draw.uniform(0.75, 1.25)),
            estimated_seconds=ran * draw.uniform(0.8, 1.25),
        )
        for _ in range(count)
    ]


async def start_all(team: Crew, count: int) -> list[Job[Any]]:
    """Begin so many submits, one after another."""
    jobs = []
    for _ in range(count):
        jobs.append(team.start())
        await anyio.sleep(APART)
    return jobs


def polls(
    service: SimulatedService, begins: float = 0.0, ends: float = float("inf")
) -> list[Request]:
    """Return the requests made to follow jobs in a span of the loop's time."""
    return [
        request
        for request in service.ledger
        if request.call in ("status", "pending") and begins <= request.time < ends
    ]


def busiest_second(requests: Iterable[Request]) -> int:
    """Return how many requests were sent in the second that has most."""
    return max(Counter(int(request.time) for request in requests).values(), default=0)


def lateness(team: Crew) -> list[float]:
    """Return how long after its end each job was seen to have ended."""
    return [seen - team.service.jobs[job_id].ends for job_id, seen in team.ended.items()]


def mean_lateness(team: Crew) -> float:
    """Return the mean of that."""
    return fmean(lateness(team))


class SimulatedInstance(SimulatedService):
    """A simulated service with what else a client asks of an instance."""

    tokens = SimpleNamespace(token=anyio.lowlevel.checkpoint)

    async def aclose(self) -> None:
        """Have nothing to close."""

    async def backend_configuration(self, name: str, **_: object) -> dict[str, Any]:
        """Describe any backend in the fewest words."""
        return {"backend_name": name, "n_qubits": 5, "basis_gates": ["x"], "simulator": True}

    async def backend_status(self, name: str) -> dict[str, Any]:
        """Say that it is up."""
        return {"backend_name": name, "state": True, "status": "active", "length_queue": 0}

    async def backend_properties(self, name: str, **_: object) -> None:
        """Have no calibration."""


@asynccontextmanager
async def client_of(
    service: SimulatedInstance, schedule: PollSchedule | None = None
) -> AsyncIterator[Client]:
    """Open a real client on a simulated instance; its jitter is the same in every test."""
    options = ClientOptions(
        protect=None, is_mine=lambda _: False, schedule=schedule or PollSchedule()
    )
    with mock.patch("qawait.client.random", SimpleNamespace(Random=lambda: random.Random(1))):
        client = await Client.open(cast("Any", service), options)
    try:
        yield client
    finally:
        await client.aclose()


async def submit_all(client: Client, count: int) -> list[Job[Any]]:
    """Submit so many jobs, one after another."""
    return [await client.submit_program("sampler", {}, backend=BACKEND) for _ in range(count)]
