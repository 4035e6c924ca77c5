"""The callers in a simulation: how they wait, how they are stopped, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from qawait.testing.simulation.clients import SimulatedSubmit
    from qawait.testing.simulation.plan import Shape, Stop

_FOREVER = 10_000.0


class SiblingError(Exception):
    """What the failing sibling of a waiter raises."""


@dataclass(eq=False)
class Waiter:
    """One task of a simulated program that waits for jobs, or does something to one.

    `first_stop` is when it was first cancelled, by whatever means; `raised` is
    what came out of qawait, and `ended` when.
    """

    what: str
    client: str
    submits: Sequence[SimulatedSubmit]
    work: Callable[[], Awaitable[object]]
    shape: Shape = "plain"
    limit: float = 0.0
    started: float | None = None
    ended: float | None = None
    first_stop: float | None = None
    message: str | None = None
    raised: BaseException | None = None
    is_dead: bool = False
    task: asyncio.Task[Any] | None = None
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _sibling: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its process was killed."""
        return self.is_dead or self.task is None or self.task.done()

    async def main(self) -> None:
        """Wait, in the waiter's own shape."""
        try:
            with self._scope:
                await self._shaped()
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - it is kept in `raised`
            return

    async def _shaped(self) -> None:
        match self.shape:
            case "wait_for":
                await self._limited()
            case "sibling":
                async with asyncio.TaskGroup() as group:
                    failing = group.create_task(self._fail())
                    await self._work()
                    failing.cancel()
            case _:
                await self._work()

    async def _limited(self) -> None:
        limit = self.limit or _FOREVER
        if self.limit:
            asyncio.get_running_loop().call_later(limit, self._note_stop)
        await asyncio.wait_for(self._work(), limit)

    async def _fail(self) -> None:
        await self._sibling.wait()
        raise SiblingError

    async def _work(self) -> None:
        self.started = anyio.current_time()
        try:
            await self.work()
        except BaseException as raised:
            self.raised = raised
            raise
        finally:
            self.ended = anyio.current_time()

    async def stop(self, how: Stop, again: float) -> None:
        """Cancel it; what is done twice is done again after so many seconds."""
        if self.task is None or self.is_over:
            return
        is_first = self.first_stop is None
        self._note_stop()
        match how:
            case "once" | "twice":
                if is_first and self.shape not in ("wait_for", "sibling") and not self.limit:
                    self.message = "first"
                self.task.cancel("first" if is_first else "again")
            case "scope" | "both":
                self._scope.cancel()
            case "sibling" if self.shape == "sibling":
                self._sibling.set()
            case "sibling":
                self.task.cancel()
        if how in ("twice", "both"):
            await anyio.sleep(again)
            self.task.cancel("again")

    def _note_stop(self) -> None:
        if self.first_stop is None and self.ended is None:
            self.first_stop = asyncio.get_running_loop().time()
