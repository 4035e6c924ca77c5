"""Program input as the service reads it: pubs and options to the JSON of `params`."""

from __future__ import annotations

import binascii
import io
import json
import struct
from typing import TYPE_CHECKING, Any

import anyio.lowlevel

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.codec.arrays import compress, encode_array
from qawait.ibm.heavy import inline_or_in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qiskit.circuit import Parameter, QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub


async def encode_params(
    pubs: Sequence[SamplerPub | EstimatorPub], further: Mapping[str, Any]
) -> bytes:
    """Return the JSON of a program's `params`: the pubs, then the `further` fields.

    The event loop gets a turn after every pub. A circuit that several pubs
    share is encoded once. Large circuits and arrays are dumped and compressed
    in a worker thread, yet the dump itself (1 µs per instruction) holds the
    interpreter lock.

    Raises:
        ConfigError: if a value has no form on the wire, or the whole exceeds
            what the service takes.
    """
    circuits: dict[int, str] = {}
    encoded = []
    for index, pub in enumerate(pubs):
        encoded.append(await _encode_pub(pub, circuits, index))
        await anyio.lowlevel.checkpoint()
    fields = [f'"pubs":[{",".join(encoded)}]']
    fields += [f"{to_json(name)}:{to_json(value)}" for name, value in further.items()]
    body = f"{{{','.join(fields)}}}".encode()
    if len(body) > limits.SUBMIT_BODY_BYTES:
        raise ConfigError(
            f"the input is {len(body) / 2**20:.1f} MiB and the service takes "
            f"{limits.SUBMIT_BODY_BYTES / 2**20:.0f} MiB: submit it as several jobs"
        )
    return body


async def _encode_pub(pub: SamplerPub | EstimatorPub, circuits: dict[int, str], index: int) -> str:
    circuit = pub.circuit
    try:
        if id(circuit) not in circuits:
            inline = len(circuit.data) <= limits.INLINE_INSTRUCTIONS
            circuits[id(circuit)] = await inline_or_in_worker(to_json, circuit, inline=inline)
        values = pub.parameter_values
        small = values.size * values.num_parameters * 8 <= limits.INLINE_BYTES
        rest = await inline_or_in_worker(_encode_rest, pub, inline=small)
    except ConfigError as error:
        raise ConfigError(f"pub {index}: {error.message}") from error
    return f"[{circuits[id(circuit)]},{rest}]"


def _encode_rest(pub: SamplerPub | EstimatorPub) -> str:
    """Return what follows the circuit in a pub, without the brackets."""
    array = pub.parameter_values.as_array(pub.circuit.parameters)
    if hasattr(pub, "observables"):
        fields = [pub.observables.tolist(), array, pub.precision]
    else:
        fields = [array, pub.shots]
    return to_json(fields)[1:-1]


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
        (QuantumCircuit, lambda it: _tagged("QuantumCircuit", dump_circuit(it))),
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


def dump_circuit(circuit: QuantumCircuit) -> str:
    """Return a circuit as base64 of zlib of QPY, in a version that the programs read.

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
        return compress(buffer.getbuffer())
