"""Things that happen at their own time, whoever may have died meanwhile."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Timeline(Generic[T]):
    """What is under way: requests on a wire, messages in a pipe, rows for a disk.

    It needs no task. Whoever looks at what these things act upon takes those that
    are due first, so to every observer each happened when it was due.
    """

    def __init__(self) -> None:
        self._coming: list[tuple[float, int, T]] = []
        self._order = itertools.count()

    def put(self, due: float, thing: T) -> None:
        """Let `thing` happen at the time `due`."""
        heapq.heappush(self._coming, (due, next(self._order), thing))

    def take(self, now: float) -> Iterator[tuple[float, T]]:
        """Yield what is due by `now`, with its time, in the order in which it happens."""
        while self._coming and self._coming[0][0] <= now:
            due, _, thing = heapq.heappop(self._coming)
            yield due, thing

    def drop(self, lost: Callable[[T], bool] = lambda _: True) -> None:
        """Let none of the things for which `lost` is true happen."""
        self._coming = [entry for entry in self._coming if not lost(entry[2])]
        heapq.heapify(self._coming)
