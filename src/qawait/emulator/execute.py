"""The worker's side: decode a job, simulate it, encode its result.

The only file of the emulator that imports qiskit, Aer and IBM's codec, and it
runs in a process of its own: `python -m qawait.emulator.execute`.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import os
import queue
import struct
import threading
import traceback
import warnings
import zlib
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from qawait.emulator import execute_noise, execute_program

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAME = struct.Struct(">II")
QPY_MAGIC = b"QISKIT"
# What IBM's sampler and estimator read; the executor program takes newer ones.
QPY_VERSIONS = range(13, 18)
DEFAULT_SHOTS = 4096
DEFAULT_PRECISION = 0.015625
# Gates of the Target that a circuit may use without the target naming their qubits.
_ALWAYS_ALLOWED = frozenset({"barrier"})

# What the service says of an estimate that nothing was done to.
_PLAIN_EXECUTION = {
    "dynamical_decoupling": {"enable": False},
    "twirling": {"enable_gates": False, "enable_measure": False},
    "resilience": {"measure_mitigation": False, "zne_mitigation": False, "pec_mitigation": False},
}

Failure = tuple[str, int, str | None]
Pending = tuple[dict[str, Any], bytes]


class JobError(Exception):
    """The job cannot run; `code` is the service's, `solution` its advice."""

    def __init__(self, reason: str, code: int, solution: str | None = None) -> None:
        super().__init__(reason)
        self.failure: Failure = (reason, code, solution)


def main() -> None:
    """Serve tasks from stdin until it closes; then end at once, even while computing."""
    # What libraries print must not end up between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(5)
    warnings.simplefilter("ignore")
    tasks: queue.SimpleQueue[Pending] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()
    _preload()
    while True:
        header, request = tasks.get()
        _answer(answers, *attempt(header, request))


def _read_tasks(tasks: queue.SimpleQueue[Pending]) -> None:
    with os.fdopen(0, "rb") as source:
        while frame := source.read(_FRAME.size):
            head, body = _FRAME.unpack(frame)
            tasks.put((json.loads(source.read(head)), source.read(body)))
        os._exit(0)


def _answer(answers: IO[bytes], failure: Failure | None, text: bytes) -> None:
    verdict = json.dumps({"failure": failure}).encode()
    answers.write(_FRAME.pack(len(verdict), len(text)) + verdict + text)
    answers.flush()


def _preload() -> None:
    import qiskit_aer  # noqa: F401 - warming up is importing
    import qiskit_ibm_runtime  # noqa: F401 - the same


def attempt(header: dict[str, Any], request: bytes) -> tuple[Failure | None, bytes]:
    """Run one job; return its failure, if it fails, and its result or traceback."""
    try:
        return None, run(header, request).encode()
    except JobError as error:
        return error.failure, traceback.format_exc().encode()
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its failure
        failure = (f"Program execution failed: {type(error).__name__}", 5203, None)
        return failure, traceback.format_exc().encode()


def run(header: dict[str, Any], request: bytes) -> str:
    """Run one job and return its result as the service would print it."""
    simulator = _simulator(header["backend"])
    if header["program"] == "executor":
        return _run_program(header, json.loads(request)["params"], simulator)
    if header["program"] == "noise-learner":
        return _learn_noise(header, request, simulator.target)
    params = _decoded(request)["params"]
    pubs = list(_pubs(params, simulator.target, header["backend"]))
    noise = _noise(simulator.target, _used_qubits(pubs)) if header["noise"] else None
    simulator.set_options(noise_model=noise)
    program = _sampler if header["program"] == "sampler" else _estimator
    return program(params, pubs, simulator, header)


def _decoded(request: bytes) -> Any:
    """Return a job's request with the values its `__type__` tags stand for."""
    from qiskit_ibm_runtime import RuntimeDecoder

    # mypy is told not to follow qiskit, so the base class is untyped to it.
    class CheckingDecoder(RuntimeDecoder):  # type: ignore[misc]
        def object_hook(self, obj: dict[str, Any]) -> Any:
            if obj.get("__type__") == "QuantumCircuit":
                _check_qpy(obj["__value__"])
            return super().object_hook(obj)

    return json.loads(request, cls=CheckingDecoder)


def _check_qpy(encoded: str) -> None:
    # Enough of it to see the version, which is the seventh byte.
    start = zlib.decompressobj().decompress(base64.b64decode(encoded[:256]), 16)
    version = start[len(QPY_MAGIC)] if start.startswith(QPY_MAGIC) else None
    if version not in QPY_VERSIONS:
        raise JobError(
            f"QPY version {version} is not supported.",
            7002,
            f"Use a version from {QPY_VERSIONS.start} to {QPY_VERSIONS.stop - 1}.",
        )


def _run_program(header: dict[str, Any], params: dict[str, Any], simulator: Any) -> str:
    program = execute_program.decode(params)
    circuits = [[item.circuit] for item in program.items]
    for (circuit,) in circuits:
        _check_isa(circuit, simulator.target, header["backend"])
    noise = _noise(simulator.target, _used_qubits(circuits)) if header["noise"] else None
    simulator.set_options(noise_model=noise)
    return execute_program.run(program, params, simulator, header["seed"])


def _learn_noise(header: dict[str, Any], request: bytes, target: Any) -> str:
    params = json.loads(request)["params"]
    if "schema_version" in params:
        return execute_noise.of_layers(params)
    params = _decoded(request)["params"]
    for circuit in params["circuits"]:
        _check_isa(circuit, target, header["backend"])
    return execute_noise.of_circuits(params, header["backend"])


@functools.cache
def _device(name: str) -> Any:
    """Return IBM's fake device of that name, read from its snapshot."""
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

    from .backends import snapshot_folder

    snapshot = name.partition("_")[2]
    named = {
        "dirname": str(snapshot_folder() / snapshot),
        "conf_filename": f"conf_{snapshot}.json",
        "props_filename": f"props_{snapshot}.json",
        "backend_name": name,
    }
    return type("SnapshotBackend", (FakeBackendV2,), named)()


@functools.cache
def _simulator(name: str) -> Any:
    """Return a simulator with the device's target and no noise of its own."""
    from qiskit_aer import AerSimulator

    return AerSimulator(target=_device(name).target)


def _used_qubits(pubs: list[list[Any]]) -> set[int]:
    return {
        circuit.find_bit(qubit).index
        for circuit, *_ in pubs
        for instruction in circuit.data
        for qubit in instruction.qubits
    }


def _noise(target: Any, used: set[int]) -> Any:
    """Return the device's gate and readout noise on some qubits.

    That of all qubits of a large device would take seconds to make, and again
    to hand to the simulator.
    """
    from qiskit_aer.noise import NoiseModel
    from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors

    part = _part(target, used)
    noise = NoiseModel(basis_gates=list(target.operation_names))
    for name, qubits, error in basic_device_gate_errors(target=part):
        noise.add_quantum_error(error, name, qubits)
    for qubits, error in basic_device_readout_errors(target=part):
        noise.add_readout_error(error, qubits)
    return noise


def _part(target: Any, used: set[int]) -> Any:
    from qiskit.transpiler import Target

    part = Target(
        num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties
    )
    for name in target.operation_names:
        places = target[name].items()
        kept = {
            qubits: properties
            for qubits, properties in places
            if qubits is not None and used.issuperset(qubits)
        }
        if kept:
            part.add_instruction(target.operation_from_name(name), kept, name=name)
    return part


def _sampler(
    params: dict[str, Any], pubs: list[list[Any]], simulator: Any, header: dict[str, Any]
) -> str:
    from qiskit.primitives import BackendSamplerV2
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    options = params.get("options") or {}
    shots = params.get("shots") or options.get("default_shots") or DEFAULT_SHOTS
    seed = _seed(options, header)
    sampler = BackendSamplerV2(backend=simulator, options={"seed_simulator": seed})
    start = datetime.now(UTC)
    result = sampler.run([SamplerPub.coerce(tuple(pub), shots) for pub in pubs]).result()
    if params.get("support_qiskit"):
        return _tagged(result, {"execution": {"execution_spans": _spans(result, start)}})
    return json.dumps({"results": [{"data": _samples(pub.data), "metadata": {}} for pub in result]})


def _estimator(
    params: dict[str, Any], pubs: list[list[Any]], simulator: Any, header: dict[str, Any]
) -> str:
    from qiskit.primitives import BackendEstimatorV2
    from qiskit.primitives.containers.estimator_pub import EstimatorPub

    options = params.get("options") or {}
    precision = params.get("precision") or options.get("default_precision")
    precision = precision or _precision_of(options)
    seed = options.get("seed_estimator") or _seed(options, header)
    estimator = BackendEstimatorV2(backend=simulator, options={"seed_simulator": seed})
    result = estimator.run([EstimatorPub.coerce(tuple(pub), precision) for pub in pubs]).result()
    for pub in result:
        pub.metadata.update(resilience={}, num_randomizations=1)
    if params.get("support_qiskit"):
        return _tagged(result, _PLAIN_EXECUTION)
    return json.dumps({"results": [_expectations(pub) for pub in result]})


def _precision_of(options: dict[str, Any]) -> float:
    shots = options.get("default_shots")
    return float(shots**-0.5) if shots else DEFAULT_PRECISION


def _seed(options: dict[str, Any], header: dict[str, Any]) -> int | None:
    chosen = (options.get("simulator") or {}).get("seed_simulator")
    return header["seed"] if chosen is None else int(chosen)


def _pubs(params: dict[str, Any], target: Any, backend: str) -> Iterator[list[Any]]:
    for pub in params["pubs"]:
        circuit, *rest = pub if isinstance(pub, list | tuple) else [pub]
        if isinstance(circuit, str):
            circuit = _from_qasm(circuit)
        _check_isa(circuit, target, backend)
        yield [circuit, *rest]


def _from_qasm(text: str) -> Any:
    from qiskit import qasm3

    try:
        return qasm3.loads(text)
    except Exception as error:
        why = str(error) or type(error).__name__
        raise JobError(f"The OpenQASM 3 program cannot be read: {why}", 7002) from error


def _check_isa(circuit: Any, target: Any, backend: str) -> None:
    if circuit.num_qubits > target.num_qubits:
        raise JobError(
            f"The circuit has {circuit.num_qubits} qubits, {backend} has {target.num_qubits}.",
            7001,
            "Transpile the circuit for the backend.",
        )
    indices = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    _check_block(circuit, indices, target, backend)


def _check_block(circuit: Any, indices: dict[Any, int], target: Any, backend: str) -> None:
    for instruction in circuit.data:
        qubits = tuple(indices[qubit] for qubit in instruction.qubits)
        name = instruction.operation.name
        if not (name in _ALWAYS_ALLOWED or _supported(instruction, target, qubits)):
            raise JobError(
                f"The instruction {name} on qubits {qubits} is not supported by {backend}.",
                7001,
                "Transpile the circuit for the backend.",
            )
        for block in getattr(instruction.operation, "blocks", ()):
            _check_block(block, dict(zip(block.qubits, qubits, strict=True)), target, backend)


def _supported(instruction: Any, target: Any, qubits: tuple[int, ...]) -> bool:
    name = instruction.operation.name
    if getattr(instruction.operation, "blocks", ()) or name not in target.operation_names:
        return name in target.operation_names
    return bool(target.instruction_supported(name, qubits))


def _spans(result: Any, start: datetime) -> Any:
    """Return when the shots were taken: all at once, as far as the emulator goes."""
    from qiskit_ibm_runtime.execution_span import DoubleSliceSpan, ExecutionSpans

    slices = {}
    for index, pub in enumerate(result):
        shape, shots = pub.data.shape, pub.metadata.pop("shots")
        slices[index] = ((*shape, shots), slice(0, math.prod(shape)), slice(0, shots))
    return ExecutionSpans([DoubleSliceSpan(start, datetime.now(UTC), slices)])


def _tagged(result: Any, metadata: dict[str, Any]) -> str:
    from qiskit_ibm_runtime import RuntimeEncoder

    result.metadata.update(metadata, version=2)
    return json.dumps(result, cls=RuntimeEncoder)


def _samples(data: Any) -> dict[str, Any]:
    return {name: {"samples": _hex(bits)} for name, bits in data.items()}


def _hex(bits: Any) -> Any:
    if bits.ndim:
        return [_hex(row) for row in bits]
    width = bits.num_bits
    return [hex(int(shot, 2)) if width else "0x0" for shot in bits.get_bitstrings()]


def _expectations(pub: Any) -> dict[str, Any]:
    data = {name: value.tolist() for name, value in pub.data.items()}
    known = ("shots", "target_precision", "circuit_metadata")
    return {"data": data, "metadata": {key: pub.metadata.get(key) for key in known}}


if __name__ == "__main__":
    main()
