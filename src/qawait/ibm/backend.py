"""A backend as the service describes it: an immutable value, without I/O."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.heavy import preload
from qawait.ibm.target import FRACTIONAL, build_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.transpiler import Target
    from qiskit_ibm_runtime.models import BackendProperties


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One quantum computer or simulator of the service.

    `status` is the service's word: `online`, `paused` or `offline`;
    `operational` is whether it runs jobs now. `queue_length` counts jobs
    waiting. `basis_gates` and `coupling_map` are empty for a backend that was
    listed without its configuration. `calibration` is what the service says of
    its last calibration, as it stands. With `use_fractional_gates` the target has
    them, and circuits sent to this backend may use them.
    """

    name: str
    num_qubits: int
    status: str
    operational: bool
    queue_length: int | None = None
    simulator: bool = False
    processor: str | None = None
    basis_gates: tuple[str, ...] = ()
    coupling_map: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    configuration: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    calibration: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    calibration_id: str | None = field(default=None, repr=False)
    use_fractional_gates: bool = field(default=False, repr=False)
    _built: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_wire(
        cls,
        device: Mapping[str, Any] | None = None,
        *,
        configuration: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        status: Mapping[str, Any] | None = None,
        calibration_id: str | None = None,
    ) -> Backend:
        """Return the backend that decoded answers describe.

        `device` is a record of `GET /backends`; the others are what
        `/backends/{name}/…` answers. Device or configuration must be given, and
        `status`, being newer, goes before the device's.

        Raises:
            ProtocolError: if a description is malformed.
        """
        try:
            return cls(
                **_identity(device or {}, configuration or {}),
                **_availability(device or {}, status),
                **_gates(configuration),
                configuration=configuration,
                calibration=properties or None,
                calibration_id=calibration_id,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"a backend's description is malformed: {type(error).__name__}: {error}"
            ) from error

    @property
    def target(self) -> Target:
        """What the transpiler must know of the backend; built on first use (up to 20 ms).

        Fractional gates (rx, rzz) are left out without `use_fractional_gates`.

        Raises:
            ConfigError: if the backend was listed without its configuration.
            ProtocolError: if the configuration is malformed.
        """
        if self.configuration is None:
            raise ConfigError(
                f"backend {self.name} was listed without its configuration: ask for it by name"
            )
        key = f"target {self.use_fractional_gates}"
        if key not in self._built:
            self._built[key] = build_target(
                self.configuration, self.calibration, fractional_gates=self.use_fractional_gates
            )
        return self._built[key]

    @property
    def properties(self) -> BackendProperties | None:
        """How well the backend does, as qiskit-ibm-runtime's object; `None` if nobody knows.

        Errors, durations and times of each qubit and gate. Made on first use, which
        imports qiskit-ibm-runtime (1 s).

        Raises:
            ProtocolError: if the service's description is malformed.
        """
        if self.calibration is None:
            return None
        if "properties" not in self._built:
            self._built["properties"] = _properties(self.calibration)
        return self._built["properties"]

    @property
    def has_fractional_gates(self) -> bool:
        """Whether it has any, in its configuration."""
        return not FRACTIONAL.isdisjoint(self.basis_gates)

    @property
    def has_dynamic_circuits(self) -> bool:
        """Whether it runs circuits with control flow, by its configuration."""
        features = (self.configuration or {}).get("supported_features") or ()
        return "dynamic_circuits" in features

    def with_status(self, newer: Mapping[str, Any] | Backend) -> Backend:
        """Return the same backend with a newer status: a decoded answer, or a listed backend.

        Raises:
            ProtocolError: if the answer is malformed.
        """
        if isinstance(newer, Backend):
            return self._changed(**{name: getattr(newer, name) for name in _AVAILABILITY})
        try:
            changes = _availability({}, newer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"the status of {self.name} is malformed: {error}") from error
        return self._changed(**changes)

    def with_fractional_gates(self, *, use: bool = True) -> Backend:
        """Return the same backend, to be used with fractional gates or without."""
        return self._changed(use_fractional_gates=use)

    def _changed(self, **changes: Any) -> Backend:
        changed = replace(self, **changes)
        object.__setattr__(changed, "_built", self._built)  # 20 ms each
        return changed

    def __str__(self) -> str:
        return self.name


_AVAILABILITY: Final = ("status", "operational", "queue_length")


def _properties(calibration: Mapping[str, Any]) -> BackendProperties:
    preload()
    from qiskit_ibm_runtime.utils.backend_decoder import properties_from_server_data

    try:
        return properties_from_server_data(deepcopy(dict(calibration)), use_fractional_gates=None)
    except Exception as error:  # whatever a malformed description makes it stumble over
        what = f"{type(error).__name__}: {error!s:.200}"
        raise ProtocolError(f"the properties of a backend are malformed: {what}") from error


def _identity(device: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    simulator = configuration.get("simulator", device.get("is_simulator", False))
    processor = device.get("processor_type") or configuration.get("processor_type")
    return {
        "name": _text(device.get("name") or configuration["backend_name"]),
        "num_qubits": int(configuration["n_qubits"] if configuration else device["qubits"]),
        "simulator": bool(simulator),
        "processor": _processor(processor),
    }


def _processor(kind: Any) -> str | None:
    """Return e.g. `Heron r2`; the service gives a family and a revision, or just a word."""
    if not kind or isinstance(kind, str):
        return kind or None
    revision = kind.get("revision")
    return f"{kind['family']} r{revision}" if revision else str(kind["family"])


def _availability(device: Mapping[str, Any], status: Mapping[str, Any] | None) -> dict[str, Any]:
    queue = device.get("queue_length")
    word = _text(device.get("status", {}).get("name", "online"))
    if status:
        queue = status.get("length_queue", queue)
        word = _status_word(up=bool(status["state"]), word=_text(status.get("status", "active")))
    return {
        "status": word,
        "operational": word == "online",
        "queue_length": None if queue is None else int(queue),
    }


def _status_word(*, up: bool, word: str) -> str:
    """Return the word that a listing would use: a backend is up and `active`, or up and not."""
    if not up:
        return "offline"
    return "online" if word in {"active", "online"} else "paused"


def _gates(configuration: Mapping[str, Any] | None) -> dict[str, Any]:
    if configuration is None:
        return {}
    edges = configuration.get("coupling_map") or ()
    return {
        "basis_gates": tuple(_text(name) for name in configuration["basis_gates"]),
        "coupling_map": tuple((int(first), int(second)) for first, second in edges),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not text")
    return value
