"""An asyncio event loop on virtual time, deterministic and without I/O."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import FileDescriptorLike


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs asyncio code in no time: the clock jumps to the next timer when all is idle.

    With a `seed`, the callbacks that are ready at the same moment run in an order
    drawn from it, and the same seed gives the same order again. Without one they
    run in asyncio's own order.

    Raises:
        RuntimeError: every task waits for something that nothing will bring.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._virtual = 0.0
        self._random = None if seed is None else random.Random(seed)  # noqa: S311 - not a secret
        super().__init__(_NoSelector(self))

    def time(self) -> float:
        """Return the virtual time in seconds since the loop was made."""
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Move the clock as an idle loop would, or as a suspended machine does."""
        self._virtual += max(0.0, seconds)

    def _run_once(self) -> None:
        if self._random is not None:
            ready: deque[Any] = self._ready  # type: ignore[has-type]
            shuffled = list(ready)
            self._random.shuffle(shuffled)
            self._ready = deque(shuffled)
        super()._run_once()  # type: ignore[misc]


class _NoSelector(selectors.BaseSelector):
    """Never asks the kernel; an idle loop's time-out becomes a step of its clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[number] = key
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self._loop.advance(timeout)
        return []
