"""The transpiler's view of a backend, from the service's description of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ProtocolError
from qawait.ibm.heavy import ensure_qiskit, preload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.transpiler import Target

    Sites = dict[tuple[int, ...], Any]

_NOT_UNITARY: Final = frozenset({"measure", "delay", "reset"})
FRACTIONAL: Final = frozenset({"rx", "rzz"})
"""IBM's fractional gates: turned by any angle, in one pulse."""
_RZZ_ANGLES: Final = (0.0, math.pi / 2)
_TIMING: Final = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")
_PARTS: Final = {"ms": 1e3, "us": 1e6, "µs": 1e6, "ns": 1e9}
_MULTIPLES: Final = {"kHz": 1e3, "MHz": 1e6, "GHz": 1e9}


def build_target(
    configuration: Mapping[str, Any],
    properties: Mapping[str, Any] | None = None,
    *,
    fractional_gates: bool = False,
) -> Target:
    """Return the target of a backend from its configuration and, if known, its properties.

    Properties bring errors and durations, and take out what is not operational.
    Fractional gates (rx, rzz) are left out unless asked for, as by the real client;
    with them the transpiler needs qiskit-ibm-runtime, which folds rzz's angles.

    Raises:
        ProtocolError: if a description is malformed.
    """
    if fractional_gates:
        preload()
    ensure_qiskit()
    left_out = frozenset() if fractional_gates else FRACTIONAL
    try:
        return _Builder(configuration, properties or {}, left_out).build()
    except ProtocolError:
        raise
    except Exception as error:  # whatever a malformed description makes qiskit stumble over
        what = f"{type(error).__name__}: {error!s:.200}"
        raise ProtocolError(f"the description of a backend is malformed: {what}") from error


class _Builder:
    """One target in the making."""

    def __init__(
        self,
        configuration: Mapping[str, Any],
        properties: Mapping[str, Any],
        left_out: frozenset[str],
    ) -> None:
        self._configuration = configuration
        self._left_out = left_out
        self._num_qubits = int(configuration["n_qubits"])
        self._gates = {gate["name"]: gate for gate in configuration["gates"]}
        self._qubits = [_values(entries) for entries in properties.get("qubits", ())]
        self._gate_values = _gate_values(properties)

    def build(self) -> Target:
        from qiskit.circuit import get_control_flow_name_mapping
        from qiskit.transpiler import Target

        target = Target(
            num_qubits=self._num_qubits,
            dt=self._dt(),
            qubit_properties=self._qubit_properties(),
            **self._timing(),
        )
        flows = get_control_flow_name_mapping()
        for name in self._names():
            if name in flows:
                target.add_instruction(flows[name], name=name)
            elif (operation := self._operation(name)) is not None:
                bounds = {"angle_bounds": [_RZZ_ANGLES]} if name == "rzz" else {}
                target.add_instruction(operation, self._sites(name), name=name, **bounds)
        return target

    def _names(self) -> list[str]:
        """Return what the backend supports and is not left out, without repeats."""
        from qiskit.circuit import CONTROL_FLOW_OP_NAMES

        configuration = self._configuration
        supported = configuration.get("supported_instructions") or sorted(_NOT_UNITARY)
        known = _NOT_UNITARY | CONTROL_FLOW_OP_NAMES
        signed = [entry["name"] for entry in configuration.get("instruction_signatures", ())]
        names = [*configuration["basis_gates"], *(n for n in supported if n in known), *signed]
        return [name for name in dict.fromkeys(names) if name not in self._left_out]

    def _operation(self, name: str) -> Any:
        """Return Qiskit's own instruction of that name, or an opaque one as described."""
        from qiskit.circuit import Gate, Instruction, Parameter
        from qiskit.circuit.library import get_standard_gate_name_mapping

        for entry in self._configuration.get("instruction_signatures", ()):
            if entry["name"] == name:
                free = [Parameter(parameter) for parameter in entry.get("parameters", ())]
                return Instruction(name, entry["num_qubits"], entry["num_clbits"], free)
        if (standard := get_standard_gate_name_mapping().get(name)) is not None:
            return standard
        gate = self._gates.get(name)
        if not gate or not gate.get("coupling_map"):
            return None
        free = [Parameter(parameter) for parameter in gate.get("parameters", ())]
        return Gate(name, len(gate["coupling_map"][0]), free)

    def _sites(self, name: str) -> Sites | None:
        """Return the qubits that an instruction works on; `None` stands for any."""
        from qiskit.transpiler import InstructionProperties

        measured = self._gate_values.get(name, {})
        if name == "measure" and self._qubits:
            measured = {(index,): values for index, values in enumerate(self._qubits)}
        listed = self._gates.get(name, {}).get("coupling_map") or ()
        sites = [tuple(site) for site in listed] or list(measured)
        if not sites and name in _NOT_UNITARY:
            sites = [(index,) for index in range(self._num_qubits)]
        if not sites:
            return None
        found: Sites = {}
        for site in dict.fromkeys(sites):
            values = measured.get(site, {})
            if not self._works(site, values):
                continue
            prefix = "readout" if name == "measure" else "gate"
            error, duration = values.get(f"{prefix}_error"), values.get(f"{prefix}_length")
            found[site] = InstructionProperties(duration, error) if values else None
        return found

    def _works(self, site: tuple[int, ...], values: dict[str, float]) -> bool:
        if any(not 0 <= qubit < self._num_qubits for qubit in site):
            raise ProtocolError(f"a backend names qubits {list(site)}, which it does not have")
        broken = any(
            self._qubits[qubit].get("operational", 1) == 0
            for qubit in site
            if qubit < len(self._qubits)
        )
        return not broken and values.get("operational", 1) != 0

    def _dt(self) -> float | None:
        """Return the length of a time step in seconds; the service gives nanoseconds."""
        dt = self._configuration.get("dt")
        return None if dt is None else float(dt) * 1e-9

    def _timing(self) -> dict[str, int]:
        timing = self._configuration.get("timing_constraints") or {}
        return {name: int(timing[name]) for name in _TIMING if name in timing}

    def _qubit_properties(self) -> list[Any] | None:
        from qiskit.transpiler import QubitProperties

        if len(self._qubits) != self._num_qubits:
            return None
        return [
            QubitProperties(
                t1=values.get("T1"), t2=values.get("T2"), frequency=values.get("frequency")
            )
            for values in self._qubits
        ]


def _gate_values(properties: Mapping[str, Any]) -> dict[str, dict[tuple[int, ...], Any]]:
    found: dict[str, dict[tuple[int, ...], Any]] = {}
    for gate in properties.get("gates", ()):
        site = tuple(gate["qubits"])
        found.setdefault(gate["gate"], {})[site] = _values(gate["parameters"])
    return found


def _values(entries: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["name"]: _in_si(entry["value"], entry.get("unit", "")) for entry in entries}


def _in_si(value: float, unit: str) -> float:
    """Return a value in seconds or hertz; one in any other unit as it is."""
    # dividing by 1e9 and multiplying by 1e-9 differ in the last digit; the real client divides
    return value / _PARTS[unit] if unit in _PARTS else value * _MULTIPLES.get(unit, 1)
