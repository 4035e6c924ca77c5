"""What happened in a simulation, and what of it must not have happened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from qawait.testing.simulation import invariants

if TYPE_CHECKING:
    from qawait.testing.service import SimulatedService
    from qawait.testing.simulation.waiters import Waiter


class Trace:
    """The record of a simulation: its events, the service's ledger, waiters and findings."""

    def __init__(self, service: SimulatedService) -> None:
        self.service = service
        self.waiters: list[Waiter] = []
        self.killed: dict[str, float] = {}
        self.detached: set[str] = set()
        self.over = 0.0
        self._findings: list[str] = []
        self._notes: list[str] = []
        self._leavings: list[tuple[str, float, float]] = []

    def note(self, what: str) -> None:
        """Take down what is done to the world."""
        self._notes.append(f"{_now():.6f} {what}")

    def found(self, what: str) -> None:
        """Take down what must not have happened."""
        self._findings.append(what)

    def left(self, client: str, began: float, ended: float) -> None:
        """Take down that a client was left."""
        self._leavings.append((client, began, ended))

    def ended_before(self, moment: float) -> bool:
        """Return whether a client had been killed, or was being left, by then."""
        ends = [*self.killed.values(), *(began for _, began, _ in self._leavings)]
        return any(end <= moment for end in ends)

    def check_waits(self, now: float) -> None:
        """Find the waits that should have ended by now."""
        self._findings += [
            f"{waiter.what} of {_tags(waiter)} still waits at {now:.3f}"
            for waiter in self.waiters
            if not waiter.is_over
        ]

    def lines(self) -> list[str]:
        """Return what happened, one line an event; the same for the same plan."""
        waiters = [
            f"{waiter.what} {_tags(waiter)} {waiter.started} {waiter.first_stop} {waiter.ended} "
            f"{type(waiter.raised).__name__}"
            for waiter in self.waiters
        ]
        return [*self._notes, *map(str, self.service.ledger), *waiters]

    def violations(self) -> list[str]:
        """Return which promises were broken, and how."""
        return [*self._findings, *invariants.broken(self), *self._late_leavings()]

    def _late_leavings(self) -> list[str]:
        bound = invariants.LEAVE_BOUND
        return [
            f"leaving {client} took {ended - began:.3f} s"
            for client, began, ended in self._leavings
            if ended - began > bound
        ]


def _tags(waiter: Waiter) -> str:
    return "+".join(submit.tag for submit in waiter.submits)


def _now() -> float:
    return asyncio.get_running_loop().time()
