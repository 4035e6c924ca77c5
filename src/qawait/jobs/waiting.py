"""How a caller waits: for a change, and through repeated cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Signal:
    """Wakes everyone who waits for the next change; costs nothing while nobody does."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        """Wake everyone who waits now."""
        if self._event is not None:
            self._event.set()
            self._event = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody has waited since the last `set`."""
        return self._event is not None

    async def wait(self) -> None:
        """Return after the next `set`."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once `reached()` is true, looking again after every `set`."""
        while not reached():
            await self.wait()


def is_urgent(error: BaseException | None) -> bool:
    """Whether whoever pressed Ctrl-C is not to be kept waiting.

    On asyncio the first Ctrl-C cancels the main task, and only the second raises
    `KeyboardInterrupt`; on trio the first one does.
    """
    on_asyncio = anyio.get_cancelled_exc_class() is asyncio.CancelledError
    return on_asyncio and isinstance(error, KeyboardInterrupt)


async def outlast(
    wait: Callable[[], Awaitable[object]], reached: Callable[[], bool], *, seconds: float
) -> BaseException | None:
    """Await `wait()` until `reached()` or at most `seconds`, whatever cancels the caller.

    Scope cancellations are kept off by a shield, which also stops anyio from
    delivering them over and over, and take effect afterwards. Native
    `Task.cancel()` calls pierce a shield, so they are absorbed here; the first
    one is returned, for a caller that has no earlier cancellation to raise again.
    `uncancel` is not called: this code cancelled nobody.
    """
    first: BaseException | None = None
    deadline = anyio.current_time() + seconds
    while not reached() and anyio.current_time() < deadline:
        try:
            with anyio.CancelScope(shield=True, deadline=deadline):
                await wait()
        except anyio.get_cancelled_exc_class() as stopped:
            first = first or stopped
    return first
