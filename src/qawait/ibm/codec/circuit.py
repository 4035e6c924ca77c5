"""Circuits and parameters from the wire, checked before Qiskit reads them."""

from __future__ import annotations

import binascii
import io
import struct
from typing import TYPE_CHECKING, Final

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.inflate import inflate

if TYPE_CHECKING:
    from qiskit.circuit import Parameter, QuantumCircuit

    from qawait.ibm.codec.inflate import Budget

# The QPY format, as qiskit.qpy documents it: the file's header and the type of its programs,
# the table of offsets (version 16 and later) and the header of the first circuit.
_FILE_HEADER: Final = struct.Struct("!6sBBBBQcc")
_OFFSET_TABLE_SINCE: Final = 16
_CIRCUIT_HEADER: Final = struct.Struct("!H1cHIIQIQI")


def load_circuit(text: str, budget: Budget) -> QuantumCircuit:
    """Return the circuit behind a base64 text of zlib of QPY.

    Versions below 13, whose loading could execute code, are refused, as are
    headers that claim more qubits than a circuit may have.

    Raises:
        ProtocolError: if the text is malformed, too large, too old or newer than
            the installed qiskit reads.
    """
    from qiskit import qpy

    data = inflate(text, budget)
    _check_header(data, newest=qpy.QPY_VERSION)
    try:
        circuits = qpy.load(io.BytesIO(data))
    except BaseException as error:
        # qiskit's reader is written in Rust, whose panics are no Exceptions
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ProtocolError(f"malformed circuit: {error!s:.200}") from error
        raise
    return circuits[0]


def _check_header(data: bytes, *, newest: int) -> None:
    try:
        preface, version, *_, programs, _, kind = _FILE_HEADER.unpack_from(data)
        start = _FILE_HEADER.size + (8 if version >= _OFFSET_TABLE_SINCE else 0)
        _, _, _, qubits, clbits, *_ = _CIRCUIT_HEADER.unpack_from(data, start)
    except struct.error as error:
        raise ProtocolError("a circuit is truncated") from error
    if (preface, programs, kind) != (b"QISKIT", 1, b"q"):
        raise ProtocolError("a circuit is not in the QPY format")
    if not limits.QPY_OLDEST_READ <= version <= newest:
        raise ProtocolError(
            f"a circuit has QPY version {version}; the installed qiskit reads "
            f"{limits.QPY_OLDEST_READ} to {newest}"
        )
    if max(qubits, clbits) > limits.CIRCUIT_BITS:
        raise ProtocolError(f"a circuit claims {max(qubits, clbits)} bits")


def load_parameter(text: str) -> Parameter:
    """Return the parameter behind a base64 text, with the identity it was sent with.

    Raises:
        ProtocolError: if the text is malformed.
    """
    import uuid

    from qiskit.circuit import Parameter

    try:
        data = binascii.a2b_base64(text, strict_mode=True)
        length, identity = struct.unpack_from("!H16s", data)
        name = data[18:].decode()
    except (ValueError, struct.error) as error:
        raise ProtocolError(f"malformed parameter: {error}") from error
    if length != len(data) - 18:
        raise ProtocolError("a parameter is truncated")
    return Parameter(name, uuid=uuid.UUID(bytes=identity))
