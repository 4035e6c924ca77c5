"""A backend as the service describes it: an immutable value, without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.target import build_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.transpiler import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One quantum computer or simulator of the service.

    `status` is the service's word: `online`, `paused` or `offline`;
    `operational` is whether it takes jobs now. `queue_length` counts jobs
    waiting. `basis_gates` and `coupling_map` are empty for a backend that was
    listed without its configuration.
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
    properties: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    _built: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_wire(
        cls,
        device: Mapping[str, Any] | None = None,
        *,
        configuration: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        status: Mapping[str, Any] | None = None,
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
                properties=properties or None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"a backend's description is malformed: {type(error).__name__}: {error}"
            ) from error

    @property
    def target(self) -> Target:
        """What the transpiler must know of the backend; built on first use (up to 20 ms).

        Fractional gates (rx, rzz) are left out: they exclude control flow.

        Raises:
            ConfigError: if the backend was listed without its configuration.
            ProtocolError: if the configuration is malformed.
        """
        if self.configuration is None:
            raise ConfigError(
                f"backend {self.name} was listed without its configuration: ask for it by name"
            )
        if "target" not in self._built:
            self._built["target"] = build_target(self.configuration, self.properties)
        return self._built["target"]

    def __str__(self) -> str:
        return self.name


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
