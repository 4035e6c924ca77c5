"""What a client can be asked about its instance: backends, and the account's other instances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from qawait.errors import ConfigError
from qawait.ibm.backends import BackendFilter, Backends

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from qawait.ibm.backend import Backend
    from qawait.ibm.instances import Instance
    from qawait.ibm.service import IBMService
    from qawait.jobs.calls import Calls


class Browser(ABC):
    """The part of a client that only looks."""

    def __init__(self, service: IBMService, calls: Calls) -> None:
        self._service = service
        self._calls = calls
        self._backends = Backends(service, calls)

    @abstractmethod
    def _check_usable(self) -> None:
        """Refuse to work for a client that is closed, or for another loop."""

    @property
    def active_instance(self) -> str:
        """The CRN of the instance that this client works on."""
        return self._service.instance

    async def instances(self) -> list[Instance]:
        """Return the instances that the account's API key can use.

        Each may be given as `instance=` to another `connect`, by CRN or by name.

        Raises:
            QawaitError: the search or the catalog cannot be asked.
        """
        self._check_usable()
        return await self._calls.retrying(self._service.instances)

    async def backend(
        self,
        name: str,
        *,
        instance: str | None = None,
        use_fractional_gates: bool = False,
        calibration_id: str | None = None,
        calibrated_before: datetime | None = None,
        max_age: float | None = None,
    ) -> Backend:
        """Return a backend with its target and properties.

        The description is at most an hour old, status and queue length a minute;
        `max_age`, in seconds, bounds both, and 0 asks now. With
        `use_fractional_gates` the target has them. With `calibrated_before`, such
        as a job's `created`, target and properties are those of that time.

        Raises:
            ConfigError: the instance has no backend of this name, or it has no
                fractional gates although they are wanted; or of two calibrations
                only one can be had.
        """
        self._check_usable()
        self._check_instance(instance)
        if calibrated_before is not None:
            if calibration_id is not None:
                raise ConfigError("give calibrated_before or calibration_id, not both")
            return await self._backends.calibrated(
                name, calibrated_before, use_fractional_gates=use_fractional_gates
            )
        return await self._backends.get(
            name,
            max_age=max_age,
            use_fractional_gates=use_fractional_gates,
            calibration_id=calibration_id,
        )

    async def backends(  # noqa: PLR0913 - one name for each condition
        self,
        name: str | None = None,
        *,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        operational: bool | None = None,
        simulator: bool | None = None,
        dynamic_circuits: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        use_fractional_gates: bool = False,
        calibration_id: str | None = None,
        include_mocks: bool = False,
    ) -> list[Backend]:
        """Return the instance's backends that meet every condition given, as they are now.

        With `dynamic_circuits`, `filters`, `use_fractional_gates` (those that have
        them) or `calibration_id` each is described too; without, a listing is all
        that is asked for.

        Raises:
            ConfigError: a condition makes no sense.
        """
        self._check_usable()
        self._check_instance(instance)
        which = BackendFilter(
            name=name,
            min_num_qubits=min_num_qubits,
            operational=operational,
            simulator=simulator,
            dynamic_circuits=dynamic_circuits,
            filters=filters,
            use_fractional_gates=use_fractional_gates,
            calibration_id=calibration_id,
            include_mocks=include_mocks,
        )
        return await self._backends.all(which)

    async def least_busy(
        self,
        *,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        simulator: bool | None = None,
        dynamic_circuits: bool | None = None,
        filters: Callable[[Backend], bool] | None = None,
        use_fractional_gates: bool = False,
    ) -> Backend:
        """Return the backend with the shortest queue of those that run jobs now.

        Raises:
            ConfigError: there is none.
        """
        self._check_usable()
        self._check_instance(instance)
        which = BackendFilter(
            min_num_qubits=min_num_qubits,
            operational=True,
            simulator=simulator,
            dynamic_circuits=dynamic_circuits,
            filters=filters,
            use_fractional_gates=use_fractional_gates,
        )
        return await self._backends.least_busy(which)

    def _check_instance(self, wanted: str | None) -> None:
        if wanted not in (None, self.active_instance):
            raise ConfigError(
                "a client works on one instance: open another with "
                f"qawait.connect(instance={wanted!r:.200})"
            )
