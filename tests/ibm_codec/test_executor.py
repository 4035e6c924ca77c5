"""Results of the program `executor`, in any chunks, are what IBM's own models make of them."""

from __future__ import annotations

import base64
import itertools
import json
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibm_quantum_schemas.common.tensor import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel
from qiskit.primitives import BitArray

from ibm_codec.same import same
from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.decode import feed, finish
from qawait.ibm.codec.executor import ExecutorDecoder, ExecutorResult
from qawait.ibm.codec.tensor import PackedBits
from support.recorded import exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture(autouse=True, scope="module")
def _short_texts() -> Iterator[None]:
    """Let small tensors, too, be decoded while they come in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "STREAM_TEXT_BYTES", 60)
        yield


def _noise(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def _tensor(array: Any) -> dict[str, Any]:
    record: dict[str, Any] = CompressedTensorModel.from_numpy(array).model_dump(mode="json")
    return record


def _body(passthrough: Any = None, **results: Any) -> bytes:
    tensors = {name: _tensor(array) for name, array in results.items()}
    timing = {"scheduler_timing": None, "stretch_values": None}
    value = {
        "schema_version": "v2.0",
        "data": [{"results": tensors, "metadata": timing}],
        "metadata": {"chunk_timing": []},
        "passthrough_data": passthrough,
        "semantic_role": "sampler_v2",
    }
    return json.dumps(value).encode()


def _decoded(chunks: Iterable[bytes]) -> Any:
    decoder = ExecutorDecoder()
    for chunk in chunks:
        decoder.feed(chunk)
    return decoder.finish()


def _cut(body: bytes, places: Iterable[int]) -> Iterator[bytes]:
    bounds = [0, *sorted(places), len(body)]
    return (body[start:end] for start, end in itertools.pairwise(bounds))


def _is_theirs(found: ExecutorResult, body: bytes) -> bool:
    model = QuantumProgramResultModel.model_validate_json(body)
    assert len(found.items) == len(model.data)
    return all(
        list(ours.results) == list(theirs.results)
        and all(
            _equal(ours.results[name], theirs.results[name].to_numpy()) for name in ours.results
        )
        for ours, theirs in zip(found.items, model.data, strict=True)
    )


def _equal(ours: Any, theirs: Any) -> bool:
    if not isinstance(ours, PackedBits):
        return same(ours, theirs)
    packed = BitArray.from_bool_array(theirs, order="little")
    return same(BitArray(ours.array, ours.num_bits), packed)


BITS = _noise(3, 40, 21) > 127
BODY = _body(
    {"post_processor": {"version": "v0.1"}, "tree": [_tensor(_noise(2, 99)), {"data": "A" * 99}]},
    meas=BITS,
    small=BITS[0, :2],
    values=_noise(200).astype(float),
    flips=BITS[0],
)


@pytest.mark.parametrize("transcript", ["05", "06", "07"])
def test_recorded_results_are_what_ibms_models_make_of_them(transcript: str) -> None:
    """Recorded results, byte by byte and whole, have equal bits and arrays."""
    body = exchange(transcript, "GET", "/results").raw
    for chunks in ([body], _cut(body, range(1, len(body)))):
        found = _decoded(chunks)
        assert _is_theirs(found, body)
        assert found.semantic_role == json.loads(body)["semantic_role"]


@given(st.sets(st.integers(0, len(BODY)), max_size=12))
def test_where_the_body_is_cut_changes_nothing(places: set[int]) -> None:
    """Any chunks of a result give the same arrays, and what was passed through."""
    found = _decoded(_cut(BODY, places))
    assert _is_theirs(found, BODY)
    assert found.metadata == {"chunk_timing": []}
    assert found.items[0].metadata == {"scheduler_timing": None, "stretch_values": None}
    assert found.passthrough_data["post_processor"] == {"version": "v0.1"}
    assert same(found.passthrough_data["tree"], [_noise(2, 99), {"data": "A" * 99}])


def test_a_result_cut_anywhere_is_never_a_value() -> None:
    """A truncated body is refused at every byte offset."""
    for length in range(len(BODY)):
        with pytest.raises(ProtocolError):
            _decoded([BODY[:length]])


@given(
    st.integers(0, len(BODY) - 1), st.sampled_from([*b'"\\={}eA/ \n', 0, 255]), st.integers(0, 99)
)
def test_damage_is_a_value_or_a_protocol_error(place: int, byte: int, step: int) -> None:
    """No damage leads to another exception, or to a text of ours in the value."""
    changed = bytearray(BODY)
    changed[place] = byte
    try:
        found = _decoded(_cut(bytes(changed), range(1, len(BODY), step + 1)))
    except ProtocolError:
        return
    assert isinstance(found, ExecutorResult | dict)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


LARGE = _packed(_noise(300).tobytes())
WRONG = {
    "not a tensor": b'{"schema_version":"v2.0","data":[],"metadata":{"data":"%s"}}'
    % LARGE.encode(),
    "another version": _body(meas=BITS).replace(b"v2.0", b"v9.9"),
    "no version": _body(meas=BITS).replace(b"schema_version", b"version"),
    "no metadata": _body().replace(b'"metadata"', b'"meta"'),
    "no results": _body().replace(b'"results"', b'"result"'),
    "a list": b'[{"data":"%s","shape":[300],"dtype":"u8"}]' % LARGE.encode(),
    "shape too large": _body(meas=BITS).replace(b"[3, 40, 21]", b"[3, 41, 21]"),
    "shape too small": _body(meas=BITS).replace(b"[3, 40, 21]", b"[3, 39, 21]"),
    "another dtype": _body(meas=BITS).replace(b'"bool"', b'"list"'),
    "twice": _body(meas=BITS).replace(b'"shape"', b'"dtype": "u8", "shape"'),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=list(WRONG))
def test_a_result_with_a_fault_is_refused(body: bytes) -> None:
    """Whatever is wrong with a result is a protocol error."""
    with pytest.raises(ProtocolError):
        _decoded([body])


def test_another_version_without_compressed_tensors_stays_json() -> None:
    """An older version's result is given as it is."""
    value = {"schema_version": "v1.1", "data": [{"results": {"a": {"data": "A" * 99}}}]}
    assert _decoded([json.dumps(value).encode()]) == value


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A quarter of a megabyte that stands for a quarter of a gigabyte takes no memory."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(2**20)) for _ in range(300)) + packer.flush()
    body = b'{"a":{"data":"%s"' % base64.b64encode(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "EXPANSION_FREE_BYTES", 2**20)
        patch.setattr(limits, "EXPANSION_RATIO", 3)
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="more than its limit"):
                _decoded(_cut(body, range(0, len(body), 2**16)))
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


def test_bits_take_little_more_memory_than_they_have_packed() -> None:
    """No text is kept, and there is at no time a byte for every bit."""
    body = _body(meas=_noise(2**18, 127) > 127)
    tracemalloc.start()
    try:
        found = _decoded(body[at : at + 2**16] for at in range(0, len(body), 2**16))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * found.items[0].results["meas"].array.nbytes


@pytest.mark.anyio
async def test_the_loop_is_left_to_others_for_what_takes_long() -> None:
    """Large tensors are put in order off the loop, small ones on it."""
    for count, is_quick in ((10, True), (2**17, False)):
        decoder = ExecutorDecoder()
        body = _body(meas=_noise(count, 8) > 127)
        await feed(decoder, body)
        assert decoder.is_quick is is_quick
        assert _is_theirs(await finish(decoder), body)
