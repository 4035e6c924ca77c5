"""The process that reads and transpiles circuits: what it is sent may be hostile.

It is started with `python -m qawait.gateway.reading`, has no credentials, a limit
on its memory, and is killed when it takes too long. Nothing of a circuit is ever
executed. Requests and answers are a length in eight bytes and then as much JSON;
an answer's `params` follow it in the same way.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.backend import Backend
from qawait.ibm.circuits import as_circuit
from qawait.ibm.heavy import ensure_qiskit
from qawait.ibm.primitives import prepare_sampler

if TYPE_CHECKING:
    from qiskit.circuit import QuantumCircuit

LENGTH: Final = struct.Struct(">Q")
_WIDTH: Final = 100


def main() -> None:
    """Answer requests until there are no more."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    ensure_qiskit()
    limit_memory()
    reader = Reader()
    _send(sink, {"ready": True}, b"")
    while (request := _receive(source)) is not None:
        _send(sink, *reader.answered(request))


def limit_memory() -> None:
    """Bound what this process may take beside what it has now."""
    if sys.platform == "win32":
        return
    import resource

    with open("/proc/self/statm") as statm:  # noqa: PTH123 - a pseudo file
        has = int(statm.read().split()[0]) * resource.getpagesize()
    most = has + limits.READER_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Reader:
    """Reads circuits, and remembers the backends that it was told of."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}

    def answered(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request, and the bytes that follow it."""
        try:
            return self._answer(request)
        except ConfigError as error:
            return {"wrong": error.message}, b""
        except MemoryError:
            return {"wrong": "the circuit takes more memory than it may"}, b""
        except RecursionError:
            return {"wrong": "the circuit nests too deeply"}, b""
        except Exception as error:  # noqa: BLE001 - what hostile text can lead a library to
            return {"wrong": f"the circuit cannot be read: {type(error).__name__}"}, b""

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        circuit = as_circuit(request["code"])
        size = checked_size(circuit, request["qubits"], request["instructions"])
        if request.get("draws"):
            return {"circuit": size, "drawing": drawing(circuit)}, b""
        if "backend" not in request:
            return {"circuit": size}, b""
        target = self._backend(request["backend"]).target
        program = anyio.run(lambda: prepare_sampler(circuit, shots=request["shots"], target=target))
        return {"circuit": size, "program": program.name}, program.params

    def _backend(self, told: dict[str, Any]) -> Backend:
        backend = self._backends.get(told["key"])
        if backend is None:
            backend = Backend.from_wire(
                configuration=told["configuration"], properties=told["properties"]
            )
            self._backends[told["key"]] = backend
        return backend


def checked_size(circuit: QuantumCircuit, qubits: int, instructions: int) -> dict[str, int]:
    """Return how large a circuit is, with its gates' definitions written out.

    Raises:
        ConfigError: it has more qubits or instructions than it may.
    """
    if circuit.num_qubits > qubits:
        raise ConfigError(f"the circuit has {circuit.num_qubits} qubits; up to {qubits} are taken")
    written_out = expanded(circuit, {})
    if written_out > instructions:
        raise ConfigError(
            f"the circuit has {written_out} instructions when its gates are written out; "
            f"up to {instructions} are taken"
        )
    return {
        "qubits": circuit.num_qubits,
        "clbits": circuit.num_clbits,
        "instructions": len(circuit.data),
        "depth": circuit.depth(),
    }


def expanded(circuit: QuantumCircuit, known: dict[tuple[str, int], int]) -> int:
    """Return how many instructions a circuit has once its gates' definitions are written out.

    Each definition is looked at once, so a few lines that mean millions of gates
    are found out as quickly as they are written.
    """
    from qiskit.circuit import ControlFlowOp

    total = 0
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            total += _repeats(operation) * sum(expanded(each, known) for each in operation.blocks)
            continue
        key = (operation.name, operation.num_qubits)
        if key not in known:
            known[key] = 1
            definition = getattr(operation, "definition", None)
            known[key] = 1 if definition is None else max(1, expanded(definition, known))
        total += known[key]
    return total


def _repeats(operation: Any) -> int:
    """Return how often a loop's body may be written out."""
    if operation.name != "for_loop":
        return 1
    return max(1, len(operation.params[0]))


def drawing(circuit: QuantumCircuit) -> str:
    """Return a circuit as text, within bounds."""
    if len(circuit.data) > limits.GATEWAY_DRAWING_INSTRUCTIONS:
        return f"{len(circuit.data)} instructions are too many to draw."
    drawn = circuit.draw("text", fold=_WIDTH)
    drawn.encoding = "utf-8"  # else that of this process's output
    text = str(drawn)
    if len(text) > limits.GATEWAY_DRAWING_BYTES:
        return (
            f"{circuit.num_qubits} qubits and {len(circuit.data)} instructions: too wide to draw."
        )
    return text


def _receive(source: BinaryIO) -> dict[str, Any] | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    request: dict[str, Any] = json.loads(source.read(LENGTH.unpack(head)[0]))
    return request


def _send(sink: BinaryIO, answer: dict[str, Any], params: bytes) -> None:
    body = json.dumps(answer).encode()
    sink.write(LENGTH.pack(len(body)) + body + LENGTH.pack(len(params)) + params)
    sink.flush()


if __name__ == "__main__":
    main()
