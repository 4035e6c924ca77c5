"""The backends of one instance: listed live, described from a cache with an age."""

from __future__ import annotations

import logging
import math
import re
import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import anyio

from qawait import limits
from qawait.errors import BackendPausedWarning, ConfigError, QawaitError, RejectedError
from qawait.ibm.backend import Backend
from qawait.ibm.wire.message import time_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from qawait.ibm.service import IBMService
    from qawait.jobs.calls import Calls

_log = logging.getLogger("qawait.backends")
_NOT_FOUND = 404
_MOCK = "mock"
_MOCKED = re.compile(r"^[^_]+_")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFilter:
    """Which backends are wanted: those that meet every condition given.

    `filters` is a function of a backend; it, `dynamic_circuits` and
    `use_fractional_gates` look at descriptions, which are asked for when not known.
    """

    name: str | None = None
    min_num_qubits: int | None = None
    operational: bool | None = None
    simulator: bool | None = None
    dynamic_circuits: bool | None = None
    filters: Callable[[Backend], bool] | None = None
    use_fractional_gates: bool = False
    calibration_id: str | None = None
    include_mocks: bool = False

    def __post_init__(self) -> None:
        if self.filters is not None and not callable(self.filters):
            raise ConfigError(f"filters must be a function of a backend, not {self.filters!r:.100}")
        if self.calibration_id is not None and self.name is None:
            raise ConfigError("a calibration_id is of one backend: give its name too")

    @property
    def needs_descriptions(self) -> bool:
        """Whether a listing is not enough to decide."""
        asked = (self.dynamic_circuits, self.filters, self.calibration_id)
        return self.use_fractional_gates or any(one is not None for one in asked)

    def admits_listed(self, backend: Backend) -> bool:
        """Whether a listed backend may meet the conditions."""
        return (
            self.name in (None, backend.name)
            and (self.min_num_qubits is None or backend.num_qubits >= self.min_num_qubits)
            and self.operational in (None, backend.operational)
            and self.simulator in (None, backend.simulator)
        )

    def admits_described(self, backend: Backend) -> bool:
        """Whether a described backend meets the other conditions."""
        return (
            self.dynamic_circuits in (None, backend.has_dynamic_circuits)
            and (not self.use_fractional_gates or backend.has_fractional_gates)
            and (self.filters is None or bool(self.filters(backend)))
        )


@dataclass(slots=True)
class _Known:
    """A described backend, and when description and status were asked for."""

    backend: Backend
    since: float
    status_since: float


class Backends:
    """Finds backends; description and status are asked for again only when they have grown old."""

    def __init__(self, service: IBMService, calls: Calls) -> None:
        self._service = service
        self._calls = calls
        self._known: dict[tuple[str, str | None], _Known] = {}
        self._mocks: frozenset[str] = frozenset()

    async def get(
        self,
        name: str | Backend,
        *,
        max_age: float | None = None,
        use_fractional_gates: bool = False,
        calibration_id: str | None = None,
    ) -> Backend:
        """Return a backend with its description and its status, neither older than `max_age`.

        Raises:
            ConfigError: the name is blank, no backend of the instance has it, or
                it has no fractional gates although they are wanted.
        """
        asked = anyio.current_time()
        known = await self._described(_checked(name), calibration_id, _seconds(max_age))
        oldest = limits.BACKEND_STATUS_SECONDS if max_age is None else max_age
        if asked - known.status_since > oldest:
            await self._refresh(known)
        return _with_gates(known.backend, fractional=use_fractional_gates)

    async def calibrated(
        self, name: str, before: datetime, *, use_fractional_gates: bool = False
    ) -> Backend:
        """Return a backend with the properties that it had at a time; nothing is kept of it.

        Raises:
            ConfigError: as for `get`, or it is no time.
        """
        time_text(before)  # a wrong one is refused before anything is asked
        described = await self._describe(_checked(name), None, before)
        return _with_gates(described, fractional=use_fractional_gates)

    async def ready(self, given: str | Backend | None) -> Backend:
        """Return the backend for a job, if it takes jobs.

        A status that cannot be had is no reason to send nothing.

        Raises:
            ConfigError: it is offline, or there is none of this name.
        """
        name = _checked(given)
        wanted = given if isinstance(given, Backend) else None
        calibration_id = wanted.calibration_id if wanted else None
        known = await self._described(name, calibration_id, limits.BACKEND_SECONDS)
        if anyio.current_time() - known.status_since > limits.BACKEND_STATUS_SECONDS:
            try:
                await self._refresh(known)
            except QawaitError as error:
                _log.debug("no status of %s: %s", name, type(error).__name__)
        _check_open(known.backend)
        if wanted is not None and wanted.configuration is not None:
            return wanted
        fractional = wanted.use_fractional_gates if wanted else False
        return known.backend.with_fractional_gates(use=fractional)

    async def all(self, which: BackendFilter) -> list[Backend]:
        """Return the backends that meet every condition, described if that was needed."""
        devices = await self._calls.retrying(
            lambda: self._service.backends(include_mocks=which.include_mocks)
        )
        real = [one for one in devices if which.include_mocks or one.get("class") != _MOCK]
        listed = [Backend.from_wire(device) for device in real]
        self._note(listed)
        able = [backend for backend in listed if which.admits_listed(backend)]
        if which.needs_descriptions:
            names = [backend.name for backend in able]
            found = await self._described_all(names, which.calibration_id)
            able = [one.with_fractional_gates(use=which.use_fractional_gates) for one in found]
        return [backend for backend in able if which.admits_described(backend)]

    def _note(self, listed: Sequence[Backend]) -> None:
        """Take over what a listing says of backends that are known."""
        newest = {backend.name: backend for backend in listed}
        for (name, _), known in self._known.items():
            if name in newest:
                known.backend = known.backend.with_status(newest[name])
                known.status_since = anyio.current_time()

    async def least_busy(self, which: BackendFilter) -> Backend:
        """Return the backend with the shortest queue of those wanted, described.

        Raises:
            ConfigError: there is none.
        """
        able = await self.all(which)
        if not able:
            raise ConfigError("no backend that takes jobs now meets these conditions")
        chosen = min(able, key=lambda backend: backend.queue_length or 0)
        return await self.get(chosen.name, use_fractional_gates=which.use_fractional_gates)

    async def mock_of(self, backend: Backend) -> str:
        """Return the name of the mock that plays a backend: a dry run on it costs nothing.

        Raises:
            ConfigError: the instance has no such mock.
        """
        name = _MOCKED.sub("mock_", backend.name, count=1)
        if name not in self._mocks:
            devices = await self._calls.retrying(lambda: self._service.backends(include_mocks=True))
            self._mocks = frozenset(str(device["name"]) for device in devices)
        if name not in self._mocks:
            raise ConfigError(f"{backend.name} has no mock for a dry run: there is no {name}")
        return name

    async def _described(self, name: str, calibration_id: str | None, oldest: float) -> _Known:
        key = (name, calibration_id)
        known = self._known.get(key)
        if known is None or anyio.current_time() - known.since > oldest:
            backend = await self._describe(name, calibration_id)
            known = self._known[key] = _Known(backend, since := anyio.current_time(), since)
        return known

    async def _described_all(
        self, names: Sequence[str], calibration_id: str | None
    ) -> list[Backend]:
        """Describe several at the same time; their order stays."""
        found: dict[str, Backend | QawaitError] = {}
        few = anyio.CapacityLimiter(limits.BACKENDS_IN_FLIGHT)

        async def describe(name: str) -> None:
            async with few:
                try:
                    known = await self._described(name, calibration_id, limits.BACKEND_SECONDS)
                    found[name] = known.backend
                except QawaitError as error:
                    found[name] = error

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(describe, name)
        described = [found[name] for name in names]
        for one in described:
            if isinstance(one, QawaitError):
                raise one
        return [one for one in described if isinstance(one, Backend)]

    async def _refresh(self, known: _Known) -> None:
        name = known.backend.name
        status = await self._calls.retrying(lambda: self._service.backend_status(name))
        known.backend, known.status_since = known.backend.with_status(status), anyio.current_time()

    async def _describe(
        self, name: str, calibration_id: str | None, before: datetime | None = None
    ) -> Backend:
        answers: dict[str, Mapping[str, Any]] = {}

        async def ask(what: str, call: Callable[[], Awaitable[Any]]) -> None:
            answers[what] = await self._calls.retrying(call)

        service, which = self._service, {"calibration_id": calibration_id}
        try:
            await ask("configuration", lambda: service.backend_configuration(name, **which))
        except RejectedError as error:
            if error.status != _NOT_FOUND:
                raise
            raise await self._unknown(name) from None
        await ask("status", lambda: service.backend_status(name))
        await ask("properties", lambda: service.backend_properties(name, before=before, **which))
        return Backend.from_wire(**answers, calibration_id=calibration_id)

    async def _unknown(self, name: str) -> ConfigError:
        devices = await self._calls.retrying(self._service.backends)
        names = sorted(Backend.from_wire(device).name for device in devices)
        near = get_close_matches(name, names, n=1)
        hint = f": did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
        return ConfigError(f"this instance has no backend {name!r}{hint}")


def _with_gates(backend: Backend, *, fractional: bool) -> Backend:
    if fractional and not backend.has_fractional_gates:
        raise ConfigError(f"backend {backend.name} has no fractional gates")
    return backend.with_fractional_gates(use=fractional)


def _check_open(backend: Backend) -> None:
    """Say that a backend does not run jobs now, before one is sent to it."""
    if backend.status == "offline":
        raise ConfigError(
            f"backend {backend.name} is offline, so the job was not sent: client.least_busy() "
            "finds one that takes jobs"
        )
    if not backend.operational:
        warnings.warn(
            f"backend {backend.name} is {backend.status}: jobs wait until it goes on",
            BackendPausedWarning,
            stacklevel=2,
        )


def _seconds(max_age: object) -> float:
    if max_age is None:
        return limits.BACKEND_SECONDS
    if isinstance(max_age, bool) or not isinstance(max_age, int | float) or not max_age >= 0:
        raise ConfigError(f"max_age must be seconds, 0 or more, not {max_age!r:.100}")
    return math.inf if math.isinf(max_age) else max_age


def _checked(given: object) -> str:
    name = str(given)
    if not (isinstance(given, str) or hasattr(given, "num_qubits")):
        raise ConfigError(f'backend must be a name, such as "ibm_fez", not {given!r:.100}')
    if not name.strip():
        raise ConfigError('backend is blank: name one, such as backend="ibm_fez"')
    return name.strip()
