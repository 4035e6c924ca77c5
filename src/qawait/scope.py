"""A scope owns the jobs submitted through it, as a task group owns tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qawait.jobs.scope import OwnedJobs
from qawait.runner import Runner, budgets_of

if TYPE_CHECKING:
    from qawait.ibm.backend import Backend
    from qawait.jobs.budget import Budget
    from qawait.jobs.driver import Driver
    from qawait.launching import Launcher
    from qawait.runner import JobOptions, Prepare
    from qawait.types import OnCancel


class Scope(Runner, OwnedJobs):
    """Owns the jobs submitted through it, as a task group owns tasks."""

    def __init__(
        self,
        client: Launcher,
        *,
        max_pending: int | None,
        on_cancel: OnCancel,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(max_pending=max_pending)
        self._budgets = budgets_of(budget)
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
        options = replace(
            options,
            on_cancel=options.on_cancel or self._on_cancel,
            budgets=(*options.budgets, *self._budgets),
        )
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
