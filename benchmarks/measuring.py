"""What is measured of a process, from within it."""

from __future__ import annotations

import resource
import selectors
import time
from pathlib import Path
from typing import Any


class Watched(selectors.DefaultSelector):
    """A selector that keeps the longest time for which the loop did not come back to it.

    A heartbeat would cost as much as some of the peers: a thousand wake-ups a second.
    `longest` is the time by the clock, that for which other programs had the
    processor included; `busiest` is the processor time of the busiest step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: tuple[float, float] | None = None
        self.longest = self.busiest = 0.0

    def start(self) -> None:
        """Forget what was, the step under way included."""
        self.left = None
        self.longest = self.busiest = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Wait, and note how long the loop was away, or how much too late this came back."""
        if self.left is not None:
            came, used = self.left
            self.longest = max(self.longest, time.perf_counter() - came)
            self.busiest = max(self.busiest, time.thread_time() - used)
        began = time.perf_counter()
        ready = super().select(timeout)
        self.left = (time.perf_counter(), time.thread_time())
        if not ready and timeout is not None and timeout > 0:
            self.longest = max(self.longest, self.left[0] - began - timeout)
        return ready


def cpu() -> float:
    """Return the seconds of processor time used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Return the KiB of memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024
