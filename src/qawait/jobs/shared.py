"""What all drivers of one client have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qawait.jobs.fetching import KeptResults
from qawait.jobs.keeper import NoKeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.jobs.calls import Calls
    from qawait.jobs.driver import Driver
    from qawait.jobs.host import TaskHost
    from qawait.jobs.keeper import Keeper
    from qawait.jobs.poller import Poller
    from qawait.jobs.service import Service


@dataclass(slots=True)
class Shared:
    """The service and the helpers that a client's drivers work with."""

    service: Service
    host: TaskHost
    poller: Poller
    calls: Calls
    keeper: Keeper = field(default_factory=NoKeeper)
    wall_clock: Callable[[], float] = time.time
    results: KeptResults = field(default_factory=KeptResults)
    live: set[Driver] = field(default_factory=set, init=False)  # those that somebody waits for

    def __post_init__(self) -> None:
        self.host.when_stopped(self._let_go)

    def _let_go(self) -> None:
        for driver in tuple(self.live):
            driver.let_go()
