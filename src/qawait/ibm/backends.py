"""The backends of one instance: listed live, described from a cache with an age."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import anyio

from qawait import limits
from qawait.errors import ConfigError, RejectedError
from qawait.ibm.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from qawait.ibm.service import IBMService
    from qawait.jobs.calls import Calls

_NOT_FOUND = 404
_MOCK = "mock_"


@dataclass(frozen=True, slots=True)
class _Described:
    backend: Backend
    since: float


class Backends:
    """Finds backends; a description is asked for again only when it has grown old."""

    def __init__(self, service: IBMService, calls: Calls) -> None:
        self._service = service
        self._calls = calls
        self._described: dict[str, _Described] = {}

    async def get(self, name: str | Backend) -> Backend:
        """Return a backend with its description.

        Raises:
            ConfigError: the name is blank, or no backend of the instance has it.
        """
        if isinstance(name, Backend) and name.configuration is not None:
            return name
        wanted = _checked(name)
        known = self._described.get(wanted)
        if known is None or anyio.current_time() - known.since > limits.BACKEND_SECONDS:
            known = _Described(await self._describe(wanted), anyio.current_time())
            self._described[wanted] = known
        return known.backend

    async def mock_of(self, backend: Backend) -> Backend:
        """Return the mock of a backend, to which the jobs of dry runs are sent.

        Raises:
            ConfigError: the instance has none.
        """
        name = f"{_MOCK}{backend.name.partition('_')[2]}"
        if backend.name.startswith(_MOCK):
            return backend
        try:
            return await self.get(name)
        except ConfigError as error:
            raise ConfigError(
                f"this instance has no backend {name!r}, which a dry run is sent to: leave out "
                "dry_run, or use qawait.local() to try a job out"
            ) from error

    async def all(
        self, *, min_num_qubits: int | None, operational: bool | None, simulator: bool | None
    ) -> list[Backend]:
        """Return the backends that meet every condition given, without descriptions."""
        devices = await self._calls.retrying(self._service.backends)
        listed = [Backend.from_wire(device) for device in devices]
        return [
            backend
            for backend in listed
            if (min_num_qubits is None or backend.num_qubits >= min_num_qubits)
            and operational in (None, backend.operational)
            and simulator in (None, backend.simulator)
        ]

    async def least_busy(self, *, min_num_qubits: int | None, simulator: bool | None) -> Backend:
        """Return the backend with the shortest queue of those that take jobs now.

        Raises:
            ConfigError: there is none.
        """
        able = await self.all(min_num_qubits=min_num_qubits, operational=True, simulator=simulator)
        if not able:
            raise ConfigError("no backend that takes jobs now meets these conditions")
        chosen = min(able, key=lambda backend: backend.queue_length or 0)
        return await self.get(chosen.name)

    async def _describe(self, name: str) -> Backend:
        answers: dict[str, Mapping[str, Any]] = {}

        async def ask(what: str, call: Callable[[str], Awaitable[Any]]) -> None:
            answers[what] = await self._calls.retrying(lambda: call(name))

        service = self._service
        try:
            await ask("configuration", service.backend_configuration)
        except RejectedError as error:
            if error.status != _NOT_FOUND:
                raise
            raise await self._unknown(name) from None
        await ask("status", service.backend_status)
        await ask("properties", service.backend_properties)
        return Backend.from_wire(**answers)

    async def _unknown(self, name: str) -> ConfigError:
        devices = await self._calls.retrying(self._service.backends)
        names = sorted(Backend.from_wire(device).name for device in devices)
        near = get_close_matches(name, names, n=1)
        hint = f": did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
        return ConfigError(f"this instance has no backend {name!r}{hint}")


def _checked(given: object) -> str:
    name = str(given)
    if not (isinstance(given, str) or hasattr(given, "num_qubits")):
        raise ConfigError(f'backend must be a name, such as "ibm_fez", not {given!r:.100}')
    if not name.strip():
        raise ConfigError('backend is blank: name one, such as backend="ibm_fez"')
    return name.strip()
