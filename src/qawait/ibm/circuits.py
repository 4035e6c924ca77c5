"""Circuits: from OpenQASM, whether they run on a target, and made to run on it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.ibm.heavy import ensure_qiskit, in_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit.circuit import QuantumCircuit
    from qiskit.transpiler import Target

    from qawait.ibm.backend import Backend

__all__ = ["as_circuit", "ensure_qiskit", "fits", "is_measured", "transpile", "transpile_all"]

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_VERSION: Final = re.compile(r"\s*OPENQASM\s+(\d+)(?:\.\d+)?\s*;")
_LINE: Final = re.compile(r"(?:<input>:|L)?(\d+)(?:,|:C)\d+: ?(.*)", re.DOTALL)
_OPTIMIZATION_LEVELS: Final = range(4)
_ANYWHERE: Final = frozenset({"barrier", "store"})
"""Instructions that every backend takes on any qubits."""


def as_circuit(source: QuantumCircuit | str) -> QuantumCircuit:
    """Return the circuit itself, or the one that OpenQASM 3 or 2 text describes.

    Text without a version counts as OpenQASM 3. Files other than the standard
    libraries are never included. Reading takes about 1 ms per line.

    Raises:
        ConfigError: if the text is blank or malformed (with the line), or the
            source is neither circuit nor text.
    """
    from qiskit.circuit import QuantumCircuit

    if isinstance(source, QuantumCircuit):
        return source
    if not isinstance(source, str):
        raise ConfigError(
            f"a circuit is a QuantumCircuit or OpenQASM 3 text, not {type(source).__name__}"
        )
    text = _COMMENT.sub(" ", source)
    if not text.strip():
        raise ConfigError("the OpenQASM text is blank; it should describe a circuit")
    version = _VERSION.match(text)
    major = int(version[1]) if version else 3
    if major not in {2, 3}:
        raise ConfigError(f"OpenQASM {major} is not known; write OpenQASM 3")
    return _load(source, major)


def _load(text: str, major: int) -> QuantumCircuit:
    from qiskit import qasm2, qasm3

    try:
        if major == 3:  # noqa: PLR2004 - OpenQASM 3
            return qasm3.loads(text)
        return qasm2.loads(
            text,
            include_path=(),
            custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
            custom_classical=qasm2.LEGACY_CUSTOM_CLASSICAL,
        )
    except ImportError:
        raise
    except Exception as error:  # the importers raise whatever malformed text leads them to
        raise ConfigError(f"malformed OpenQASM {major}: {_explain(error)}") from error


def _explain(error: BaseException) -> str:
    """Return what is wrong with OpenQASM text and in which line, as far as the importer says."""
    cause = error.__cause__
    token = getattr(cause.args[0], "offendingToken", None) if cause and cause.args else None
    if token is not None:
        return f"line {token.line}: unexpected {token.text!r:.60}"
    text = str(getattr(error, "message", "") or error).strip('"')
    if found := _LINE.match(text):
        return f"line {found[1]}: {found[2]:.200}"
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return f"{text:.200}" or type(error).__name__


def is_measured(circuit: QuantumCircuit) -> bool:
    """Whether the circuit measures into a classical bit, also inside control flow."""
    from qiskit.circuit import ControlFlowOp

    if "measure" in circuit.count_ops():
        return True
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            if any(is_measured(block) for block in operation.blocks):
                return True
        elif instruction.clbits and operation.name != "barrier":
            return True
    return False


def fits(circuit: QuantumCircuit, target: Target) -> str | None:
    """Return why a circuit does not run on a target as it is, or `None` if it does.

    Every instruction, also inside control flow, must be one that the target
    supports on the qubits that it acts on; the circuit's qubit n is the
    target's qubit n.
    """
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        return f"it has {circuit.num_qubits} qubits and the backend {target.num_qubits}"
    places = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    return _misfit(circuit, target, places)


def _misfit(circuit: QuantumCircuit, target: Target, places: dict[Any, int]) -> str | None:
    from qiskit.circuit import ControlFlowOp

    for instruction in circuit.data:
        operation = instruction.operation
        qubits = tuple(places[qubit] for qubit in instruction.qubits)
        if operation.name in _ANYWHERE:
            continue
        if not target.instruction_supported(operation.name, qubits):
            return f"the backend does not support {operation.name} on qubits {list(qubits)}"
        if operation.name == "rzz" and not _is_calibrated(operation.params[0]):
            return "the backend supports rzz for angles from 0 to π/2 only"
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                inner = dict(zip(block.qubits, qubits, strict=True))
                if reason := _misfit(block, target, inner):
                    return reason
    return None


def _is_calibrated(angle: Any) -> bool:
    """Whether a fractional rzz gate takes this angle; a free parameter counts as one it takes."""
    if not isinstance(angle, int | float):
        return True
    return 0 <= angle <= math.pi / 2 + 1e-10


async def transpile(
    circuit: QuantumCircuit,
    target: Target | Backend,
    *,
    optimization_level: int = 1,
    seed: int | None = None,
) -> QuantumCircuit:
    """Return the circuit made to run on a target, as `transpile_all` does for several.

    Raises:
        ConfigError: as `transpile_all`.
    """
    done = await transpile_all([circuit], target, optimization_level=optimization_level, seed=seed)
    return done[0]


async def transpile_all(
    circuits: Sequence[QuantumCircuit],
    target: Target | Backend,
    *,
    optimization_level: int = 1,
    seed: int | None = None,
) -> list[QuantumCircuit]:
    """Return each circuit made to run on a target, in a worker thread.

    `optimization_level` is Qiskit's, 0 to 3. With a `seed` the outcome is always
    the same. A cancelled caller does not wait for the thread. The thread shares
    the interpreter lock with the event loop, which keeps running with short stalls.

    Raises:
        ConfigError: if the level is none of Qiskit's, or a circuit cannot be made
            to run on the target.
    """
    check_level(optimization_level)
    return await in_worker(_transpile, list(circuits), target, optimization_level, seed)


def target_of(where: Target | Backend) -> Target:
    """Return a backend's target, or the target itself.

    Raises:
        ConfigError: if the backend was listed without its configuration.
        ProtocolError: if its configuration is malformed.
    """
    from qawait.ibm.backend import Backend

    return where.target if isinstance(where, Backend) else where


def check_level(level: Any) -> None:
    """Make sure that `level` is one of Qiskit's optimization levels.

    Raises:
        ConfigError: if it is not.
    """
    if isinstance(level, bool) or not isinstance(level, int) or level not in _OPTIMIZATION_LEVELS:
        raise ConfigError(f"optimization_level is 0, 1, 2 or 3, or None to send as is: {level!r}")


def _transpile(
    circuits: list[QuantumCircuit], where: Target | Backend, level: int, seed: int | None
) -> list[QuantumCircuit]:
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler import generate_preset_pass_manager

    target = target_of(where)
    manager = generate_preset_pass_manager(
        optimization_level=level, target=target, seed_transpiler=seed
    )
    done = []
    for circuit in circuits:
        try:
            # one at a time: given a list, Qiskit forks, which a process with threads must not
            result = manager.run(circuit)
        except (QiskitError, ValueError) as error:
            raise _misfit_error(circuit, str(error)) from error
        if reason := fits(result, target):
            raise _misfit_error(circuit, reason)
        done.append(result)
    return done


def _misfit_error(circuit: QuantumCircuit, reason: str) -> ConfigError:
    return ConfigError(f"circuit {circuit.name!r} cannot be made to run on the backend: {reason}")
