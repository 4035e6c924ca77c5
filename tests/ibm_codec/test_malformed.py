"""Whatever is wrong with a result, the error is a ProtocolError and nothing else happens."""

from __future__ import annotations

import base64
import builtins
import contextlib
import io
import json
import pickle
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qpy
from qiskit_ibm_runtime import RuntimeEncoder

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec import values
from qawait.ibm.codec.decode import decode_result
from support.recorded import exchange

SAMPLER = exchange("12", "GET", "/results").raw
ESTIMATOR = exchange("04", "GET", "/results").raw
ARRAY = base64.b64decode(json.loads(json.dumps(np.arange(3.0), cls=RuntimeEncoder))["__value__"])
NPY = zlib.decompress(ARRAY)


def _tagged(tag: Any, value: Any, **more: Any) -> bytes:
    return json.dumps({"__type__": tag, "__value__": value, **more}).encode()


def _packed(data: bytes) -> bytes:
    return _tagged("ndarray", base64.b64encode(zlib.compress(data)).decode())


def _refused(body: bytes, match: str | None = None) -> None:
    with pytest.raises(ProtocolError, match=match):
        decode_result(body, circuits=True)


@pytest.mark.parametrize("body", [SAMPLER, ESTIMATOR], ids=["sampler", "estimator"])
def test_a_result_cut_anywhere_is_never_a_value(body: bytes) -> None:
    """A truncated result is refused at every byte offset."""
    for length in range(len(body)):
        _refused(body[:length])


def test_an_array_cut_anywhere_is_never_a_value() -> None:
    """Compressed data that was cut, in valid JSON, is refused at every byte offset."""
    for length in range(len(ARRAY)):
        _refused(_tagged("ndarray", base64.b64encode(ARRAY[:length]).decode()))
    for length in range(len(NPY)):
        _refused(_packed(NPY[:length]))


@given(st.integers(0, len(SAMPLER) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_value_or_a_protocol_error(place: int, byte: int) -> None:
    """No other error gets out, whichever byte of a recorded result changes."""
    changed = bytearray(SAMPLER)
    changed[place] = byte
    _value_or_protocol_error(bytes(changed))


def _value_or_protocol_error(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_result(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
TAGS = [
    *values._FROM_DATA,
    *values._FROM_RECORD,
    *values._FROM_VALUE,
]
KEYS = st.sampled_from(
    [
        "array",
        "num_bits",
        "shape",
        "fields",
        "data",
        "metadata",
        "pub_results",
        "start",
        "stop",
        "data_slices",
        "spans",
        "paulis",
        "num_qubits",
        "settings",
    ]
)


@given(st.sampled_from(TAGS), JSON | st.dictionaries(KEYS, JSON))
def test_a_known_tag_with_any_value_gives_a_value_or_a_protocol_error(tag: str, value: Any) -> None:
    """No constructor's error gets out, whatever a tag is given."""
    _value_or_protocol_error(_tagged(tag, value))
    _value_or_protocol_error(_tagged(tag, value, __module__=value, __class__="Operator"))


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_protocol_error(body: bytes) -> None:
    """No parser's error gets out, whatever the body is."""
    _value_or_protocol_error(body)


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_without_its_value_is_refused(tag: str) -> None:
    """A missing key is a protocol error."""
    _refused(json.dumps({"__type__": tag}).encode(), tag)


@pytest.mark.parametrize(
    "tag", ["Result", "NoiseModel", "spmatrix", "x" * 500, "", None, 3, [], {}]
)
def test_an_unknown_tag_is_named(tag: Any) -> None:
    """A type that is not in the closed set is refused by name, quoted in part."""
    _refused(_tagged(tag, {}), "unknown type")
    with pytest.raises(ProtocolError) as caught:
        decode_result(_tagged(tag, {}))
    assert repr(tag)[:50] in str(caught.value)
    assert len(str(caught.value)) < 150


MALFORMED = {
    "empty": b"",
    "null byte": b"\0",
    "not UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "html": b"<html>502</html>",
    "traceback": exchange("09", "GET", "/results").raw,
    "nested lists": b"[" * 200_000,
    "nested objects": b'{"a":' * 100_000,
    "nested sets": b'{"__type__":"set","__value__":[' * 50_000,
    "duplicate key": b'{"a": 1, "a": 2}',
    "huge integer": b"9" * 5000,
    "base64 with a gap": _tagged("ndarray", "eJyb\n7A=="),
    "base64 beyond its padding": _tagged("ndarray", base64.b64encode(ARRAY).decode() + "eJyb"),
    "not zlib": _tagged("ndarray", base64.b64encode(b"no").decode()),
    "two streams": _tagged("ndarray", base64.b64encode(ARRAY + ARRAY).decode()),
    "wrong checksum": _tagged("ndarray", base64.b64encode(ARRAY[:-1] + b"\0").decode()),
    "not npy": _packed(b"PK\x03\x04" + bytes(200)),
    "npy version 9": _packed(NPY[:6] + b"\x09" + NPY[7:]),
    "npy with a rest": _packed(NPY + b"\0"),
    "npy header too long": _packed(NPY[:6] + b"\x02\x00" + struct.pack("<I", 2**31) + NPY[10:]),
    "unhashable in a set": _tagged("set", [[1]]),
    "array without an array": _tagged("BitArray", {"array": [1], "num_bits": 1}),
    "bits that do not fit": _tagged("BitArray", {"array": 5, "num_bits": 1}),
    "data under a hidden name": _tagged("DataBin", {"shape": [], "fields": {"__class__": 1}}),
    "data under a reserved name": _tagged("DataBin", {"shape": [], "fields": {"shape": 1}}),
    "data of another shape": _tagged("DataBin", {"shape": "x", "fields": {}}),
    "pub result without data": _tagged("PubResult", {"data": {}, "metadata": {}}),
    "pub result with more": _tagged("PubResult", {"data": {}, "x": 1}),
    "result without a list": _tagged("PrimitiveResult", {"pub_results": {}}),
    "result of numbers": _tagged("PrimitiveResult", {"pub_results": [1]}),
    "time": _tagged("datetime", "yesterday"),
    "span without times": _tagged(
        "DoubleSliceSpan", {"start": 1, "stop": 2, "data_slices": {"0": [[1], 0, 1, 0, 1]}}
    ),
    "spans of numbers": _tagged("ExecutionSpans", {"spans": [1]}),
    "parameter cut": _tagged("Parameter", base64.b64encode(b"\0\5" + bytes(16) + b"ab").decode()),
    "list that does not stack": _tagged("ndarray", [[1], [2, 3]]),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed_results_are_protocol_errors(body: bytes) -> None:
    """Each way of being malformed has the same kind of error."""
    _refused(body)


@pytest.mark.parametrize(
    "dtype", ["|O", "|O8", "|V8", "[('a', '<f8')]", "<f3", "<x8", "__import__('os')", "|S0"]
)
def test_object_and_odd_dtypes_are_refused(dtype: str) -> None:
    """Neither pickles nor anything that would have to be evaluated gets in."""
    descr = dtype if dtype.startswith(("[", "_")) else repr(dtype)
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
    body = pickle.dumps([1]) + bytes(16)
    _refused(_packed(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body))


@pytest.mark.parametrize("shape", ["(-1,)", "(1e3,)", "(1,) * 3", "None", f"({'9' * 18},)"])
def test_odd_shapes_are_refused(shape: str) -> None:
    """A shape is a tuple of counts whose product is what follows."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    _refused(_packed(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(24)))


def test_an_array_of_nothing_times_something_huge_is_refused() -> None:
    """A shape whose product is 0 but whose extent no array can have is malformed."""
    extents = f"(0, {'9' * 18}, {'9' * 18})"
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {extents}, }}\n".encode()
    _refused(_packed(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header))


# --- code named by the data --------------------------------------------------------------------

HOSTILE = [
    _tagged("settings", {"command": "x"}, __module__="os", __class__="system"),
    _tagged("settings", {}, __module__="qiskit.quantum_info.operators.evil", __class__="Evil"),
    _tagged("settings", {}, __module__="qiskit.quantum_info.operatorsevil", __class__="__import__"),
    _tagged("settings", {}, __module__=["qiskit"], __class__=["Operator"]),
    _tagged("_json", {}, __module__="subprocess", __class__="Popen"),
    _tagged("_json", {}, __module__="qiskit_ibm_runtime.results.noise_learner", __class__="os"),
    _tagged("module", "antigravity", __module__="antigravity"),
    _tagged("antigravity.Evil", {}, __class__="Evil"),
    _tagged("Result", {"backend_name": "x"}),
]


@pytest.mark.parametrize("body", HOSTILE)
def test_nothing_is_imported_because_a_result_says_so(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that names modules, as CVE-2024-29032 did, is refused without any import."""
    before = set(sys.modules)
    asked: list[str] = []
    original = builtins.__import__

    def watch(name: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watch)
    monkeypatch.setattr("importlib.import_module", watch)
    _refused(body)
    monkeypatch.undo()
    assert not {"os", "subprocess", "antigravity"} & {name.split(".")[0] for name in asked}
    assert not {name for name in set(sys.modules) - before if not name.startswith("encodings")}


def test_an_old_circuit_whose_loading_could_execute_code_is_refused() -> None:
    """QPY below version 13 (CVE-2025-2000) is never loaded."""
    data = bytearray(_qpy(QuantumCircuit(1)))
    data[6] = 12
    _refused(_circuit(bytes(data)), "QPY version 12")


def test_a_circuit_newer_than_the_installed_qiskit_is_refused() -> None:
    """The error says which versions can be read."""
    data = bytearray(_qpy(QuantumCircuit(1)))
    data[6] = 200
    _refused(_circuit(bytes(data)), "QPY version 200")


def _qpy(circuit: QuantumCircuit) -> bytes:
    with io.BytesIO() as buffer:
        qpy.dump(circuit, buffer)
        return buffer.getvalue()


def _circuit(data: bytes) -> bytes:
    return _tagged("QuantumCircuit", base64.b64encode(zlib.compress(data)).decode())


def test_a_circuit_that_claims_billions_of_qubits_is_refused() -> None:
    """A few header bytes cannot make qiskit allocate."""
    data = bytearray(_qpy(QuantumCircuit(1)))
    place = data.index(struct.pack("!II", 1, 0))
    data[place : place + 4] = b"\xff" * 4
    _refused(_circuit(bytes(data)), "claims 4294967295 bits")


def test_a_circuit_cut_anywhere_is_refused() -> None:
    """Truncated QPY is a protocol error at every byte offset."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    data = _qpy(circuit)
    for length in range(len(data)):
        _refused(_circuit(data[:length]))


def test_a_panic_of_the_reader_is_a_protocol_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A panic in Rust code, which is no Exception, does not get out."""

    class PanicException(BaseException):
        pass

    def panic(_: object) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr(qpy, "load", panic)
    _refused(_circuit(_qpy(QuantumCircuit(1))), "index out of bounds")


# --- bombs -------------------------------------------------------------------------------------


def test_an_array_is_checked_against_the_limit_before_it_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a header claims is held against the limit first."""
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 1000)
    monkeypatch.setattr(limits, "EXPANSION_RATIO", 1)
    body = json.dumps(np.zeros(200), cls=RuntimeEncoder).encode()
    _refused(body, "more than its limit")


def test_many_small_arrays_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for a result as a whole."""
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 1000)
    monkeypatch.setattr(limits, "EXPANSION_RATIO", 0)
    decode_result(json.dumps([np.zeros(60)] * 2, cls=RuntimeEncoder).encode())
    _refused(json.dumps([np.zeros(60)] * 3, cls=RuntimeEncoder).encode(), "more than its limit")


def test_a_list_of_texts_cannot_multiply_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long text among many short ones would make each as long in an array."""
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 10**6)
    _refused(_tagged("ndarray", ["x" * 20_000] + [""] * 10_000), "more than its limit")


def test_a_body_beyond_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a result is bounded as transferred, too."""
    monkeypatch.setattr(limits, "RESULT_BODY_BYTES", 10)
    _refused(SAMPLER, "larger than its limit")


BOMB = """
import base64, json, resource, struct, zlib
import numpy
from qawait.errors import ProtocolError
from qawait.ibm.codec.decode import decode_result
def bomb(start, size):
    packer = zlib.compressobj(9)
    parts = [packer.compress(start)]
    parts += [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    text = base64.b64encode(b"".join(parts) + packer.flush()).decode()
    return json.dumps({"__type__": "ndarray", "__value__": text}).encode()
def npy(count):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},), }}\\n".encode()
    return b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(header)) + header
bombs = [bomb(npy(2**29), 2**29), bomb(npy(3), 2**29), bomb(b"", 2**29)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for body in bombs:
    try:
        decode_result(body)
    except ProtocolError:
        continue
    raise SystemExit("a bomb went off")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_decompression_bomb_takes_no_memory() -> None:
    """Half a megabyte that stands for half a gigabyte is refused within 32 MiB."""
    done = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 32
