"""The watchdog: a task, independent of callers and drivers, that looks after all of them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import anyio

from qawait import limits
from qawait.errors import GuardianError
from qawait.jobs.mending import rescue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qawait.guard.guardian import Guardian
    from qawait.jobs.driver import Driver
    from qawait.jobs.poller import Poller

_log = logging.getLogger("qawait.watchdog")


class Watchdog:
    """Finds what went wrong without anybody noticing, and sets it right.

    A driver whose task has died or is past its deadline is set going again. A
    guardian that died is started anew and told everything. After the machine
    slept, or the loop was blocked, each job is asked for once, and no burst
    follows.
    """

    def __init__(
        self,
        *,
        drivers: Callable[[], Iterable[Driver]],
        poller: Poller,
        guardian: Guardian | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._drivers = drivers
        self._poller = poller
        self.guardian = guardian  # also set later, when the client starts one
        self._wall_clock = wall_clock

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_jobs)
            group.start_soon(self._watch_guardian)

    async def _watch_jobs(self) -> None:
        while True:
            wall, monotonic = self._wall_clock(), anyio.current_time()
            await anyio.sleep(limits.WATCH_SECONDS)
            passed = anyio.current_time() - monotonic
            self._notice_pauses(passed, self._wall_clock() - wall)
            for driver in list(self._drivers()):
                if rescue(driver):
                    _log.warning("job %s was not being driven any more; it is again", driver.name)

    def _notice_pauses(self, passed: float, wall_passed: float) -> None:
        blocked = passed - limits.WATCH_SECONDS
        if blocked > limits.BLOCKED_SECONDS:
            _log.warning("the event loop was blocked for %.1f s", blocked)
        slept = wall_passed - passed
        if abs(slept) > limits.CLOCK_JUMP_SECONDS:
            _log.info("the clock jumped by %.0f s: asking for every job once", slept)
            self._poller.refresh()

    async def _watch_guardian(self) -> None:
        """Start a guardian that died anew, and tell the new one everything."""
        pause = limits.RELAUNCH_SECONDS
        while True:
            guardian = self.guardian
            if guardian is None:
                await anyio.sleep(limits.WATCH_SECONDS)
                continue
            await guardian.wait_dead()
            if guardian.is_closed:
                return
            if await _relaunched(guardian):
                pause = limits.RELAUNCH_SECONDS
            else:
                await anyio.sleep(pause)
                pause = min(2 * pause, limits.RELAUNCH_CAP_SECONDS)


async def _relaunched(guardian: Guardian) -> bool:
    _log.warning("the guardian died; starting another")
    try:
        await guardian.relaunch()
    except GuardianError as error:
        _log.warning("%s", error.message)
        return False
    return True
