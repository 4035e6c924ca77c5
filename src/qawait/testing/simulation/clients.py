"""The client in a simulation: qawait's own drivers, poller, host, callers and watchdog."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from anyio import current_time

from qawait import limits
from qawait.errors import QawaitError
from qawait.guard import recovery
from qawait.guard.keeper import Guard
from qawait.guard.owner import Owner
from qawait.guard.watchdog import Watchdog
from qawait.jobs import caller
from qawait.jobs.calls import Calls
from qawait.jobs.completed import AsCompleted
from qawait.jobs.driver import Driver
from qawait.jobs.host import TaskHost
from qawait.jobs.job import Job
from qawait.jobs.poller import Poller
from qawait.jobs.schedule import PollSchedule
from qawait.jobs.scope import OwnedJobs
from qawait.jobs.shared import Shared
from qawait.jobs.waiting import outlast
from qawait.types import SubmitRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qawait.guard.journal import Row
    from qawait.guard.recovery import Policy
    from qawait.testing.service import SimulatedService
    from qawait.testing.simulation.keeping import SimulatedGuardian, SimulatedJournal
    from qawait.testing.simulation.plan import Setting, Shape
    from qawait.types import OnCancel, Snapshot


class SimulatedSubmit(Protocol):
    """One submit of a simulated client, and what can be done with its job."""

    tag: str
    on_cancel: OnCancel
    submitted: float | None
    """When the submit began."""
    got_id: float | None
    """When the job's id was known."""
    ended: float | None
    """When the client learned that the job has ended, or that there is none."""

    async def result(self) -> Any:
        """Wait for the job's result."""
        ...

    async def poll(self) -> Any:
        """Ask for the job's status."""
        ...

    async def fetch(self) -> Any:
        """Ask for the result of a job that has ended."""
        ...

    async def cancel(self) -> Any:
        """Cancel the job."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a simulated client is given."""

    name: str
    service: SimulatedService
    journal: SimulatedJournal
    guardian: SimulatedGuardian
    setting: Setting


class SimulatedClient(Protocol):
    """A design of a client that can be put to the test."""

    async def open(self) -> None:
        """Make it ready."""
        ...

    def submit(self, tag: str, on_cancel: OnCancel) -> SimulatedSubmit:
        """Return a submit that `run` is going to make."""
        ...

    async def run(self, submits: Sequence[Any], shape: Shape) -> object:
        """Submit, wait for the end of each job, and return what came of them."""
        ...

    async def recover(self, rows: Sequence[Row], policy: Policy) -> None:
        """Settle what dead clients left behind."""
        ...

    async def leave(self) -> None:
        """Apply the policy of what is still live, and close."""
        ...


Design: TypeAlias = "Callable[[Surroundings], SimulatedClient]"
"""Makes a client, which is not open yet, for a world."""


class QawaitSubmit:
    """One submit of qawait's: a driver, and the callers' side of it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.tag = driver.tag or ""
        self.on_cancel = driver.on_cancel
        self.submitted: float | None = None
        self.got_id: float | None = None
        self.ended: float | None = None
        self._job: Job[Any] = Job(driver)
        driver.on_end(self._take_time)

    def _take_time(self, _: Driver) -> None:
        self.ended = current_time()

    async def identified(self) -> None:
        """Submit, and wait for the job's id."""
        self.submitted = current_time()
        self.driver.submit()
        await caller.wait_identified(self.driver)
        self.got_id = current_time()

    async def result(self) -> Any:
        """Wait for the job's result."""
        return await self._job.result()

    async def poll(self) -> Any:
        """Ask for the job's status, once there is an id."""
        return await self._job.poll() if self.driver.job_id else None

    async def fetch(self) -> Any:
        """Ask for the result of a job that has ended."""
        return await self._job.fetch() if self.driver.job_id else None

    async def cancel(self) -> Any:
        """Cancel the job."""
        return await self._job.cancel()


class QawaitClient:
    """All of a client of qawait's but its HTTP, its disk and its guardian process."""

    def __init__(self, around: Surroundings) -> None:
        seed = f"{around.name} {around.setting.seed}"
        draw = random.Random(seed).random  # noqa: S311 - jitter is no secret
        self._around = around
        self._guard = Guard(
            url="",
            instance="",
            owner=Owner(around.name, 0, "", "", -1),
            journal=cast("Any", around.journal),
            guardian=cast("Any", around.guardian),
            wall_clock=current_time,
        )
        around.guardian.replay = self._guard.replay
        self._host = TaskHost()
        self._poller = Poller(around.service, PollSchedule(), draw, tag=around.name)
        self._calls = Calls(draw)
        self._shared = Shared(
            around.service, self._host, self._poller, self._calls, self._guard, current_time
        )
        self._owned: set[Driver] = set()

    async def open(self) -> None:
        """Make it ready."""
        await self._host.start()
        self._host.start_soon(self._poller.run)
        if self._around.setting.watchdog:
            watchdog = Watchdog(
                drivers=lambda: self._owned,
                poller=self._poller,
                guardian=cast("Any", self._around.guardian),
                wall_clock=current_time,
            )
            self._host.start_soon(watchdog.run)

    def submit(self, tag: str, on_cancel: OnCancel) -> QawaitSubmit:
        """Return a submit that `run` is going to make."""
        request = SubmitRequest(
            program="sampler", backend="sim", params={}, tag=tag, tags=(self._around.name,)
        )
        return QawaitSubmit(Driver(self._shared, request, on_cancel=on_cancel))

    async def run(self, submits: Sequence[QawaitSubmit], shape: Shape) -> object:
        """Submit, wait for the end of each job, and return what came of them."""
        if shape == "owned":
            async with OwnedJobs(max_pending=1 + len(submits) % 2) as scope:
                for submit in submits:
                    await scope.place()
                    self._own(submit)
                    scope.own(submit.driver)
                    await submit.identified()
            return None
        for submit in submits:
            self._own(submit)
            await submit.identified()
        if shape == "as_completed":
            first, *others = [Job[Any](submit.driver) for submit in submits]
            iteration = AsCompleted([first])
            for job in others:
                iteration.add(job)
            return [job.status async for job in iteration]
        return [await submit.result() for submit in submits]

    def _own(self, submit: QawaitSubmit) -> None:
        self._owned.add(submit.driver)
        submit.driver.on_end(self._owned.discard)

    async def recover(self, rows: Sequence[Row], policy: Policy) -> None:
        """Settle what dead clients left behind, as far as the service answers."""
        for row in rows:
            try:
                jobs = await recovery.settle(
                    row,
                    policy,
                    service=self._around.service,
                    calls=self._calls,
                    take=self._take,
                )
            except QawaitError:
                continue
            if all(left.outcome in recovery.SETTLED for left in jobs):
                self._around.journal.settle(row.tag, jobs[0].job_id, jobs[0].outcome)

    def _take(self, seen: Snapshot, row: Row) -> None:
        driver = Driver(self._shared, None, on_cancel=cast("OnCancel", row.on_cancel))
        driver.attach(seen, is_cancelled=recovery.was_accepted(row))
        if row.on_cancel == "cancel":
            self._owned.add(driver)
            driver.on_end(self._owned.discard)

    async def leave(self) -> None:
        """Apply the policy of what is still live, and close, as a client does."""
        absorbed = await caller.leave(self._owned, None)
        later = await outlast(
            self._host.stop, lambda: self._host.is_stopped, seconds=limits.LEAVE_SECONDS
        )
        if (absorbed or later) is not None:
            raise cast("BaseException", absorbed or later)
