"""The devices: IBM's published snapshots, served under their real names."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError

from .answers import dump

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def snapshot_folder() -> Path:
    """Return where IBM's snapshots are, found without importing their package."""
    spec = importlib.util.find_spec("qiskit_ibm_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the emulator's backends come with qiskit-ibm-runtime: install it")
    return Path(spec.submodule_search_locations[0]) / "fake_provider" / "backends"


class Device:
    """One backend: its snapshot's configuration and properties, under its served name.

    A mock is listed only when it is asked for, and takes the jobs of dry runs.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.snapshot = name.partition("_")[2]
        self._configuration = self._read("conf")

    def _read(self, kind: str) -> dict[str, Any]:
        path = snapshot_folder() / self.snapshot / f"{kind}_{self.snapshot}.json"
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(f"there is no snapshot of a backend {self.name}") from error
        return {**content, "backend_name": self.name}

    @functools.cached_property
    def configuration(self) -> bytes:
        """The configuration, as JSON."""
        return dump({"online_date": "2024-01-01T00:00:00+00:00", **self._configuration})

    @functools.cached_property
    def properties(self) -> bytes:
        """The calibration data, as JSON."""
        return dump(self._read("props"))

    @property
    def version(self) -> str:
        """The version of the backend the snapshot was taken of."""
        return str(self._configuration["backend_version"])

    def listed(self, state: str, queue_length: int) -> dict[str, Any]:
        """Return the device as the list of backends shows it."""
        qubits = self._configuration["n_qubits"]
        reason = "available" if state == "online" else state
        kind = {"class": "mock"} if is_mock(self.name) else {}
        return {
            "name": self.name,
            **kind,
            "status": {"name": state, "reason": reason},
            "is_simulator": False,
            "qubits": qubits,
            "queue_length": queue_length,
            "clops": {"type": "hardware", "value": self._speed()},
            "processor_type": self._processor(),
            "performance_metrics": {},
            "physical_qubits": qubits,
        }

    def _speed(self) -> int:
        known = [self._configuration.get(key) for key in ("clops_h", "clops_v", "clops")]
        return next((speed for speed in known if isinstance(speed, int)), 0)

    def _processor(self) -> dict[str, str]:
        known = self._configuration.get("processor_type") or {}
        family, revision = known.get("family", "unknown"), known.get("revision", "1")
        return {"family": str(family), "revision": str(revision)}

    def status(self, state: str, queue_length: int) -> dict[str, Any]:
        """Return the device's status: up or not, and how many jobs wait."""
        word = "active" if state == "online" else state
        return {
            "state": state != "offline",
            "status": word,
            "message": "" if state == "online" else state,
            "length_queue": queue_length,
            "backend_version": self.version,
        }


_MOCK = "mock_"


def is_mock(name: str) -> bool:
    """Tell whether a backend only plays another one, for dry runs."""
    return name.startswith(_MOCK)


def real(name: str) -> str:
    """Return the backend that a mock plays; any other is itself."""
    return f"ibm_{name.removeprefix(_MOCK)}" if is_mock(name) else name


def load_mocks(names: tuple[str, ...]) -> Mapping[str, Device]:
    """Return the mocks of the named devices, under the names that IBM gives them."""
    mocks = [name.replace("ibm_", _MOCK, 1) for name in names]
    return {name: Device(name) for name in mocks}


def load_devices(names: tuple[str, ...]) -> Mapping[str, Device]:
    """Return the named devices; raise `ConfigError` for one without a snapshot."""
    return {name: Device(name) for name in names}
