"""Program input as the service reads it: pubs and options to the JSON of `params`."""

from __future__ import annotations

import binascii
import hashlib
import io
import json
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.codec.arrays import encode_array
from qawait.ibm.codec.inflate import compress
from qawait.ibm.heavy import ensure_qiskit, in_worker, inline_or_in_worker
from qawait.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anyio.abc import TaskGroup
    from qiskit.circuit import Parameter, QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub

_CIRCUIT: Final = b'{"__type__":"QuantumCircuit","__value__":"%b"}'


async def encode_params(
    pubs: Sequence[SamplerPub | EstimatorPub], further: Mapping[str, Any]
) -> bytes:
    """Return the JSON of a program's `params`: the pubs, then the `further` fields.

    The event loop gets a turn after every pub. A circuit that several pubs
    share, or of which they have equal copies, is compressed and kept once. Large
    circuits and arrays are encoded in worker threads, a circuit compressed while
    the next is dumped, yet the dump itself (1 µs per instruction) holds the
    interpreter lock.

    Raises:
        ConfigError: if a value has no form on the wire, or the whole exceeds
            what the service takes.
    """
    circuits = _Circuits()
    rests: list[bytes] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            for index, pub in enumerate(pubs):
                rests.append(await _encode_pub(pub, circuits, tasks, index))
                await anyio.lowlevel.checkpoint()
        except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
            failure = error
    if failure := failure or circuits.failure:
        raise failure
    parts = [b'{"pubs":']
    for pub, rest in zip(pubs, rests, strict=True):
        parts += [b"],[" if len(parts) > 1 else b"[[", circuits.text(pub.circuit), b",", rest]
    parts.append(b"]]" if pubs else b"[]")
    parts += [f",{to_json(name)}:{to_json(value)}".encode() for name, value in further.items()]
    return _joined([*parts, b"}"])


async def _encode_pub(
    pub: SamplerPub | EstimatorPub, circuits: _Circuits, tasks: TaskGroup, index: int
) -> bytes:
    """Return what follows the circuit in a pub; the circuit's own text may come later."""
    try:
        await circuits.add(pub.circuit, tasks)
        return await inline_or_in_worker(_encode_rest, pub, inline=_is_small(pub))
    except ConfigError as error:
        raise ConfigError(f"pub {index}: {error.message}") from error


def _is_small(pub: SamplerPub | EstimatorPub) -> bool:
    size = pub.parameter_values.size * pub.parameter_values.num_parameters * 8
    if (observables := getattr(pub, "observables", None)) is not None:
        size += observables.size * pub.circuit.num_qubits
    return bool(size <= limits.INLINE_BYTES)


def _encode_rest(pub: SamplerPub | EstimatorPub) -> bytes:
    """Return what follows the circuit in a pub, without the brackets."""
    array = pub.parameter_values.as_array(pub.circuit.parameters)
    if hasattr(pub, "observables"):
        fields = [pub.observables.tolist(), array, pub.precision]
    else:
        fields = [array, pub.shots]
    return to_json(fields)[1:-1].encode()


class _Circuits:
    """The JSON of the circuits in one input, equal ones compressed once."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._texts: dict[int, bytes] = {}
        self._known: dict[bytes, bytes] = {}
        self._turn = anyio.Semaphore(1)

    def text(self, circuit: QuantumCircuit) -> bytes:
        """Return the JSON of a circuit that was added, after the tasks have ended."""
        return self._texts[id(circuit)]

    async def add(self, circuit: QuantumCircuit, tasks: TaskGroup) -> None:
        """Dump a circuit, unless it was added before, and see to its being compressed."""
        key = id(circuit)
        if key in self._texts:
            return
        if len(circuit.data) <= limits.INLINE_DUMP_INSTRUCTIONS:
            ensure_qiskit()
            self._texts[key] = self._packed(dump_circuit(circuit))
            return
        self._texts[key] = b""
        data = await in_worker(dump_circuit, circuit)
        await self._turn.acquire()  # so that no more than two dumps are in memory
        tasks.start_soon(self._compress, key, data)

    async def _compress(self, key: int, data: bytes) -> None:
        try:
            self._texts[key] = await in_thread(partial(self._packed, data))
        except Exception as error:  # noqa: BLE001 - raised by who waits for the tasks
            self.failure = error
        finally:
            self._turn.release()

    def _packed(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        if digest not in self._known:
            self._known[digest] = _CIRCUIT % compress(data)
        return self._known[digest]


def _joined(parts: list[bytes]) -> bytes:
    size = sum(map(len, parts))
    if size > limits.SUBMIT_BODY_BYTES:
        raise ConfigError(
            f"the input is {size / 2**20:.1f} MiB and the service takes "
            f"{limits.SUBMIT_BODY_BYTES / 2**20:.0f} MiB: submit it as several jobs"
        )
    return b"".join(parts)


def to_json(value: Any) -> str:
    """Return JSON in which Qiskit's values have the service's tagged form.

    Raises:
        ConfigError: if a value has no such form or is not a finite number.
    """
    try:
        return json.dumps(value, cls=_Encoder, allow_nan=False, separators=(",", ":"))
    except ConfigError:  # a ValueError too
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"this input cannot be sent: {error}") from error


class _Encoder(json.JSONEncoder):
    """A class because QPY wants one for the metadata of a circuit."""

    def default(self, o: Any) -> Any:
        for kinds, write in _writers():
            if isinstance(o, kinds):
                return write(o)
        raise ConfigError(f"a {type(o).__name__} has no form that the service reads")


def _tagged(tag: str, value: Any) -> dict[str, Any]:
    return {"__type__": tag, "__value__": value}


def _writers() -> list[tuple[Any, Callable[[Any], Any]]]:
    """Return the types that JSON lacks with the form of each, as the service documents none.

    The forms are those of `RuntimeEncoder` in qiskit-ibm-runtime 0.51.
    """
    from datetime import date

    import numpy as np
    from qiskit.circuit import Parameter, QuantumCircuit
    from qiskit.circuit.parametertable import ParameterView
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.primitives.containers.observables_array import ObservablesArray
    from qiskit.transpiler import CouplingMap

    return [
        (QuantumCircuit, lambda it: _tagged("QuantumCircuit", _circuit_value(it))),
        (np.ndarray, lambda it: _tagged("ndarray", _array_value(it))),
        (complex, lambda it: _tagged("complex", [it.real, it.imag])),
        (np.generic, lambda it: it.item()),
        (date, lambda it: _tagged("datetime", it.isoformat())),
        (set | frozenset, lambda it: _tagged("set", list(it))),
        (Parameter, lambda it: _tagged("Parameter", _parameter_value(it))),
        (ParameterView, list),
        (CouplingMap, lambda it: [list(edge) for edge in it.get_edges()]),
        (ObservablesArray, lambda it: _tagged("ObservablesArray", it.tolist())),
        (BindingsArray, lambda it: _tagged("BindingsArray", _bindings_value(it))),
    ]


def _array_value(array: Any) -> Any:
    return array.tolist() if array.dtype.hasobject else encode_array(array)


def _parameter_value(parameter: Parameter) -> str:
    name = parameter.name.encode()
    data = struct.pack("!H16s", len(name), parameter.uuid.bytes) + name
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _bindings_value(bindings: BindingsArray) -> dict[str, Any]:
    data = {json.dumps(key, cls=_Encoder): values for key, values in bindings.data.items()}
    return {"shape": bindings.shape, "data": data}


def dump_circuit(circuit: QuantumCircuit) -> bytes:
    """Return a circuit as QPY, in a version that the programs read.

    Raises:
        ConfigError: if that version cannot hold the circuit.
    """
    from qiskit import qpy
    from qiskit.exceptions import QiskitError

    version = min(limits.QPY_NEWEST_SENT, qpy.QPY_VERSION)
    with io.BytesIO() as buffer:
        try:
            qpy.dump(circuit, buffer, metadata_serializer=_Encoder, version=version)
        except ConfigError:  # its metadata
            raise
        except (QiskitError, TypeError, ValueError) as error:
            raise ConfigError(
                f"circuit {circuit.name!r} does not fit into QPY version {version}, "
                f"the newest that the service reads: {error}"
            ) from error
        return buffer.getvalue()


def _circuit_value(circuit: QuantumCircuit) -> str:
    return compress(dump_circuit(circuit)).decode("ascii")
