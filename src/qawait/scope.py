"""A scope owns the jobs submitted through it, as a task group owns tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from qawait.jobs.scope import OwnedJobs
from qawait.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.ibm.backend import Backend
    from qawait.jobs.driver import Driver
    from qawait.runner import JobOptions, Prepare
    from qawait.types import OnCancel


class Launcher(Protocol):
    """What a scope submits through: the client."""

    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
        own: Callable[[Driver], object] | None = None,
    ) -> Driver:
        """Prepare and submit one job; `own` is called with its driver before it is sent."""
        ...


class Scope(Runner, OwnedJobs):
    """Owns the jobs submitted through it, as a task group owns tasks."""

    def __init__(self, client: Launcher, *, max_pending: int | None, on_cancel: OnCancel) -> None:
        super().__init__(max_pending=max_pending)
        self._client = client
        self._on_cancel = on_cancel

    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
    ) -> Driver:
        """Submit through the client, and own the job."""
        options = replace(options, on_cancel=options.on_cancel or self._on_cancel)
        await self.place()
        owned: list[Driver] = []

        def own(driver: Driver) -> None:
            owned.append(driver)
            self.own(driver)

        try:
            return await self._client.launch(prepare, backend, options, delivers=delivers, own=own)
        finally:
            if not owned:
                self.give_back()
