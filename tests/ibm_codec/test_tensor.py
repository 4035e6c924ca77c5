"""Tensors of the program `executor` are read as IBM's own models read them."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from ibm_quantum_schemas.common.tensor import CompressedTensorModel
from qiskit.primitives import BitArray

from ibm_codec.same import same
from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.inflate import Budget
from qawait.ibm.codec.tensor import decode_bits, decode_tensor
from support.recorded import exchange

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "?"]
SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=21)
BITS = npst.arrays(np.bool_, npst.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=21))


def _record(array: Any) -> dict[str, Any]:
    record: dict[str, Any] = CompressedTensorModel.from_numpy(array).model_dump(mode="json")
    return record


def _bits(array: Any) -> BitArray:
    bits = decode_bits(_record(array), Budget())
    return BitArray(bits.array, bits.num_bits)


@given(st.data())
def test_any_tensor_is_what_ibms_model_makes_of_it(data: st.DataObject) -> None:
    """Tensors of every dtype and shape are equal, and can be written to."""
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    array = data.draw(npst.arrays(dtype, data.draw(SHAPES)))
    found = decode_tensor(_record(array), Budget())
    assert same(found, CompressedTensorModel.from_numpy(array).to_numpy())
    assert found.flags.writeable


@given(BITS)
def test_any_bits_are_packed_as_qiskit_packs_them(array: Any) -> None:
    """Bits in any number of axes become what Qiskit makes of a byte for each."""
    assert same(_bits(array), BitArray.from_bool_array(array, order="little"))


@pytest.mark.parametrize("bits", [1, 7, 8, 64, 127, 1001])
def test_bits_are_packed_alike_over_many_blocks(bits: int) -> None:
    """Where a block ends within a row makes no difference."""
    array = np.random.default_rng(bits).integers(0, 2, (3, 30_001, bits), dtype=np.uint8) > 0
    if bits == 1001:
        array = array[:, :2_003]
    assert same(_bits(array), BitArray.from_bool_array(array, order="little"))


@pytest.mark.parametrize("transcript", ["05", "06", "07"])
def test_recorded_tensors_are_what_ibms_model_makes_of_them(transcript: str) -> None:
    """Each tensor of a recorded result is equal; its bits have Qiskit's packing."""
    items = exchange(transcript, "GET", "/results").received["data"]
    records = [record for item in items for record in item["results"].values()]
    assert records
    for record in records:
        theirs = CompressedTensorModel(**record).to_numpy()
        assert same(decode_tensor(record, Budget()), theirs)
        bits = decode_bits(record, Budget())
        assert same(
            BitArray(bits.array, bits.num_bits), BitArray.from_bool_array(theirs, order="little")
        )


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


RECORD = {"data": _packed(bytes(25)), "shape": [2, 100], "dtype": "bool"}
WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no data": {"shape": [1], "dtype": "f64"},
    "no text": RECORD | {"data": 3},
    "unknown dtype": RECORD | {"dtype": "object"},
    "dtype of another kind": RECORD | {"dtype": 3},
    "shape of another kind": RECORD | {"shape": 3},
    "negative shape": RECORD | {"shape": [-2, -100]},
    "shape of truths": RECORD | {"shape": [True, 200]},
    "shape of texts": RECORD | {"shape": ["2", "100"]},
    "too short": RECORD | {"shape": [3, 100]},
    "too long": RECORD | {"shape": [1, 100]},
    "no base64": RECORD | {"data": "é" * 8},
    "no zlib": RECORD | {"data": "AAAA"},
    "cut": RECORD | {"data": _packed(bytes(25))[:-4]},
    "huge shape": RECORD | {"data": _packed(b""), "shape": [0, 2**70]},
    "too many dimensions": RECORD | {"shape": [2, 100] + [1] * 70},
    "nothing times a huge number": RECORD
    | {"data": _packed(b""), "shape": [0, 2**32, 2**32, 2**32]},
}


@pytest.mark.parametrize("record", WRONG.values(), ids=list(WRONG))
def test_a_tensor_with_a_fault_is_refused(record: dict[str, Any]) -> None:
    """Whatever is wrong with a tensor is a protocol error."""
    for read in (decode_tensor, decode_bits):
        with pytest.raises(ProtocolError):
            read(record, Budget())


def test_other_tensors_are_no_bits() -> None:
    """Numbers are not taken for packed bits."""
    with pytest.raises(ProtocolError, match="bits is expected"):
        decode_bits(_record(np.zeros((2, 2))), Budget())


def test_a_tensor_is_checked_against_the_limit_before_it_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a shape claims is held against the limit first."""
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 20)
    for read in (decode_tensor, decode_bits):
        with pytest.raises(ProtocolError, match="more than its limit"):
            read(RECORD | {"shape": [2**30, 2**20]}, Budget())
        with pytest.raises(ProtocolError, match="more than its limit"):
            read(RECORD, Budget())


def test_bits_take_little_more_memory_than_they_have_packed() -> None:
    """The peak is far below a byte for every bit."""
    data = np.random.default_rng(0).integers(0, 256, 2**21, dtype=np.uint8).tobytes()
    record = {"data": _packed(data), "shape": [2**24 // 128, 128], "dtype": "bool"}
    tracemalloc.start()
    try:
        bits = decode_bits(record, Budget())
        assert tracemalloc.get_traced_memory()[1] < 2 * bits.array.nbytes
    finally:
        tracemalloc.stop()
