"""Whoever is told of each job's life, so that it can be settled when this process cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qawait.jobs.driver import Driver


class Keeper(Protocol):
    """Keeps what must outlive this process: that a job was meant, is live, has ended.

    None of these calls may raise: a keeper that fails must not lose a job.
    """

    async def intend(self, driver: Driver) -> None:
        """Return once it is safe to submit: the intent will outlive this process."""
        ...

    def note(self, driver: Driver) -> None:
        """Take down where a job and its cancel are now; called at every change."""
        ...


class NoKeeper:
    """Keeps nothing: the jobs of a killed process run on."""

    async def intend(self, driver: Driver) -> None:
        """Return at once."""

    def note(self, driver: Driver) -> None:
        """Do nothing."""
