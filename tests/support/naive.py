"""Clients as one would write them at first, each with the flaw that qawait is there to avoid."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from qawait.errors import QawaitError, UnknownOutcomeError
from qawait.types import SubmitRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.guard.journal import Row
    from qawait.guard.recovery import Policy
    from qawait.testing import SimulatedService
    from qawait.testing.simulation import Surroundings
    from qawait.testing.simulation.plan import Shape
    from qawait.types import OnCancel, Snapshot

JOB_PROMISES = ("an orphan", "two live jobs", "a second cancel")
"""How the violations begin that are about remote jobs, and not about notes and bounds."""


class NaiveSubmit:
    """One submit: no more than its tag."""

    def __init__(self, service: SimulatedService, tag: str, on_cancel: OnCancel) -> None:
        self.tag = tag
        self.on_cancel = on_cancel
        self.submitted: float | None = None
        self.got_id: float | None = None
        self.ended: float | None = None
        self.job_id = ""
        self.service = service

    async def result(self) -> Any:
        """Do nothing: only `run` waits."""

    async def poll(self) -> Any:
        """Do nothing."""

    async def fetch(self) -> Any:
        """Do nothing."""

    async def cancel(self) -> Any:
        """Do nothing."""

    async def post(self) -> None:
        """Submit."""
        request = SubmitRequest(program="sampler", backend="sim", params={}, tag=self.tag)
        self.job_id = await self.service.submit(request)

    async def end(self) -> None:
        """Wait for the end of the job."""
        while not (await self.seen()).is_final:  # noqa: ASYNC110 - polling is what it is
            await anyio.sleep(0.5)

    async def seen(self) -> Snapshot:
        """Ask for the job's status until the service tells."""
        while True:
            try:
                return await self.service.status(self.job_id)
            except QawaitError:
                await anyio.sleep(0.5)


class ExceptClient:
    """Cancels the remote job in `except CancelledError`."""

    def __init__(self, around: Surroundings) -> None:
        self._service = around.service

    async def open(self) -> None:
        """Do nothing."""

    def submit(self, tag: str, on_cancel: OnCancel) -> NaiveSubmit:
        """Return a submit that `run` makes."""
        return NaiveSubmit(self._service, tag, on_cancel)

    async def run(self, submits: Sequence[NaiveSubmit], _: Shape) -> object:
        """Submit and wait, one job after the other."""
        for submit in submits:
            await self.live(submit)
        return None

    async def live(self, submit: NaiveSubmit) -> None:
        """Run one job, and cancel it if the caller is cancelled."""
        try:
            await submit.post()
            await submit.end()
        except asyncio.CancelledError:
            await self.clean_up(submit)
            raise

    async def clean_up(self, submit: NaiveSubmit) -> None:
        """Cancel the remote job, if its id is known."""
        if submit.job_id and submit.on_cancel == "cancel":
            await self._service.cancel(submit.job_id)

    async def recover(self, rows: Sequence[Row], policy: Policy) -> None:
        """Do nothing."""

    async def leave(self) -> None:
        """Do nothing."""


class FinallyClient(ExceptClient):
    """Cancels the remote job in `finally`, unless it has ended."""

    async def live(self, submit: NaiveSubmit) -> None:
        """Run one job, and cancel it if it was left before its end."""
        is_over = False
        try:
            await submit.post()
            await submit.end()
            is_over = True
        finally:
            if not is_over:
                await self.clean_up(submit)


class ShieldClient(ExceptClient):
    """Cancels the remote job in `except CancelledError`, within a shield."""

    async def clean_up(self, submit: NaiveSubmit) -> None:
        """Cancel the remote job, out of reach of scopes."""
        with anyio.CancelScope(shield=True):
            await super().clean_up(submit)


class RetryClient(ExceptClient):
    """Posts a submit again when its answer was lost."""

    async def live(self, submit: NaiveSubmit) -> None:
        """Submit until there is an answer, and wait."""
        while not submit.job_id:
            try:
                await submit.post()
            except UnknownOutcomeError:
                continue
        await submit.end()
