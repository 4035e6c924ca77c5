"""A client's inner works over a simulated service, without the client."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from qawait.jobs.calls import Calls
from qawait.jobs.driver import Driver
from qawait.jobs.host import TaskHost
from qawait.jobs.job import Job
from qawait.jobs.poller import Poller
from qawait.jobs.schedule import PollSchedule
from qawait.jobs.shared import Shared
from qawait.testing import SimulatedService
from qawait.types import OnCancel, SubmitRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from qawait.jobs.budget import Budget
    from qawait.types import Update


CLIENT_TAG = "client"
"""What all of a crew's jobs carry."""


class CuttableHost(TaskHost):
    """A host that remembers the scopes of the tasks it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.scopes: set[anyio.CancelScope] = set()

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` in a scope of its own."""

        async def scoped() -> None:
            with anyio.CancelScope() as scope:
                self.scopes.add(scope)
                await work()
            self.scopes.discard(scope)

        super().start_soon(scoped)

    def start_apart(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` where `cut` does not reach it."""
        super().start_soon(work)


@dataclass
class Crew:
    """Submits to a simulated service and keeps every driver."""

    service: SimulatedService
    shared: Shared
    host: CuttableHost
    drivers: list[Driver] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    """When the end of each job was seen, by id, on the service's clock."""

    def cut(self) -> None:
        """Cancel every task that is at work for a job, as no code of ours would."""
        for scope in tuple(self.host.scopes):
            scope.cancel()

    def start(
        self,
        *,
        on_cancel: OnCancel = "cancel",
        delivers: bool = False,
        on_update: Callable[[Update], object] | None = None,
        private: bool = False,
        session_id: str | None = None,
        budgets: Sequence[Budget] = (),
        max_execution_time: int | None = None,
    ) -> Job[Any]:
        """Begin a submit and return its handle at once, before there is an id."""
        request = SubmitRequest(
            program="sampler",
            backend="sim",
            params={},
            tag=f"tag{len(self.drivers)}",
            tags=(CLIENT_TAG,),
            private=private,
            session_id=session_id,
            max_execution_time=max_execution_time,
        )
        driver = Driver(
            self.shared, request, on_cancel=on_cancel, delivers=delivers, budgets=budgets
        )
        if on_update is not None:
            driver.updates.listen(on_update)
        self.drivers.append(driver)
        driver.on_end(self._note_end)
        driver.submit()
        return Job(driver)

    def _note_end(self, driver: Driver) -> None:
        self.ended[driver.job_id] = self.service.now()


@asynccontextmanager
async def crew(
    service: SimulatedService | None = None,
    *,
    seed: int = 0,
    schedule: PollSchedule | None = None,
    submits_per_minute: int | None = None,
) -> AsyncIterator[Crew]:
    """Run drivers and a poller over a simulated service."""
    service = service or SimulatedService()
    draw = random.Random(seed).random
    host = CuttableHost()
    await host.start()
    poller = Poller(service, schedule or PollSchedule(), draw, tag=CLIENT_TAG)
    host.start_apart(poller.run)
    try:
        yield Crew(
            service,
            Shared(service, host, poller, Calls(draw, submits_per_minute=submits_per_minute)),
            host,
        )
    finally:
        await host.stop()
