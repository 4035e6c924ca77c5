"""The service itself: everything the routes share."""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, Any

from .answers import RefusalError
from .backends import Device, load_devices
from .clock import Calendar
from .faults import Faults
from .instances import Instance, described, first
from .ledger import Ledger
from .schedule import Scheduler
from .scripts import Scripts
from .sessions import Sessions
from .settings import Settings, changed
from .store import JobIds, JobStore
from .workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .auth import Tokens


class Service:
    """The emulated service of one account: its instances, jobs, devices and faults."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._initial = settings
        self.settings = settings
        self.tokens = tokens
        self.devices: Mapping[str, Device] = load_devices(settings.backends)
        self.calendar = Calendar()
        self.ids = JobIds()
        self.store = JobStore()
        self.instances = {settings.instance: first(settings)}
        self.scripts = Scripts()
        self.faults = Faults()
        self.ledger = Ledger(settings.ledger_length, settings.token.reveal())
        self.workers = Workers(settings.workers)
        self.scheduler = Scheduler(self.store, self.workers, settings)
        self.sessions = Sessions(self.store, self.scheduler)
        self.submits: collections.deque[float] = collections.deque()
        self.submitted = 0

    async def open(self) -> None:
        """Get a worker ready, if jobs are to be executed."""
        if self.settings.execute:
            await self.workers.warm()

    async def close(self) -> None:
        """Let go of whatever hangs and end the workers."""
        self.faults.clear()
        self.sessions.clear()
        self.scheduler.reset()
        await self.workers.close()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings; the new ones count for all that happens from now on."""
        self._use(changed(self.settings, changes))

    def _use(self, settings: Settings) -> None:
        self.settings = self.scheduler.settings = settings
        self.scheduler.admit_all()

    def reset(self) -> None:
        """Be as at the start: no jobs, faults, scripts, holds or entries; first settings."""
        self.faults.clear()
        self.scripts.clear()
        self.scheduler.reset()
        for memory in (self.store, self.ledger, self.sessions, self.submits):
            memory.clear()
        self.instances = {self._initial.instance: first(self._initial)}
        self.submitted = 0
        self._use(self._initial)

    def add_instance(self, asked: Mapping[str, Any]) -> Instance:
        """Give the account one instance more."""
        instance = described(asked)
        self.instances[instance.crn] = instance
        return instance

    def device(self, backend: str, instance: Instance) -> Device:
        """Return a backend that an instance may use; refuse any other."""
        device = self.devices.get(backend)
        if device is None or not instance.has(backend):
            raise RefusalError(404, 1216, f"Backend not found. Backend: {backend}")
        return device

    def state_of(self, backend: str) -> str:
        """Return whether a backend is online, paused or offline."""
        return self.settings.backend_states.get(backend, "online")

    def submits_in_last_minute(self) -> int:
        """Return how many jobs were accepted within the last 60 s."""
        while self.submits and self.submits[0] < time.monotonic() - 60:
            self.submits.popleft()
        return len(self.submits)
