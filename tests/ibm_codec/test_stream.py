"""Results that come in chunks are decoded as if they had come whole."""

from __future__ import annotations

import base64
import itertools
import json
import random
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from ibm_codec.same import same
from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.codec.decode import decode_result, feed, finish
from qawait.ibm.codec.stream import StreamDecoder
from support.recorded import exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORT = 480  # characters: room for the header of an array, and shorter than most of those below


@pytest.fixture(autouse=True, scope="module")
def _short_texts() -> Iterator[None]:
    """Let small arrays, too, be decoded while they come in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "STREAM_TEXT_BYTES", SHORT)
        yield


def _noise(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def _body(value: object) -> bytes:
    return json.dumps(value, cls=RuntimeEncoder).encode()


def _streamed(chunks: Iterable[bytes], *, circuits: bool = False) -> Any:
    decoder = StreamDecoder(circuits=circuits)
    for chunk in chunks:
        decoder.feed(chunk)
    return decoder.finish()


def _cut(body: bytes, places: Iterable[int]) -> Iterator[bytes]:
    bounds = [0, *sorted(places), len(body)]
    return (body[start:end] for start, end in itertools.pairwise(bounds))


def _singly(body: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in body]


RESULT = PrimitiveResult(
    [
        SamplerPubResult(
            DataBin(
                meas=BitArray(_noise(3, 99, 2), 16), c=BitArray(_noise(3, 9, 1), 8), shape=(3,)
            ),
            {"note": '{"__type__": "ndarray", "__value__": "eJx' + "A" * 600 + '"}'},
        ),
        SamplerPubResult(DataBin(evs=np.array([np.nan, np.inf]), shape=(2,)), {}),
    ],
    {"version": 2, "word": np.array("linear", dtype=object), "list": [_noise(500)] * 2},
)
BODY = _body(RESULT)
VALUES: dict[str, object] = {
    "result": RESULT,
    "one array": _noise(500),
    "several arrays": [_noise(600), _noise(7), _noise(30, 20)],
    "nested": {"a": [{"b": {"c": _noise(30, 30)}}]},
    "empty": [np.zeros((0, 3)), np.zeros(0), _noise(500)],
    "no dimensions": [np.array(3.5), np.array(2, dtype=object)],
    "in columns": np.asfortranarray(_noise(30, 30)),
    "big-endian": _noise(600).view(">u2"),
    "texts": np.array([f"{n}{n * n}" for n in range(100)]),
    "NaN": np.where(_noise(900) > 99, np.nan, _noise(900)),
    "compressible": np.zeros(100_000),
    "mark in a text": ['{"__type__": "ndarray", "__value__": "', _noise(600), '"}', '\\{"'],
    "mark in a key": {'{"__type__":"ndarray","__value__":"' + "A" * 600: _noise(600)},
    "half a mark at the end": [_noise(600), {"__type__": "to_json", "__value__": {}}],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
def test_byte_by_byte_and_whole_are_what_the_real_decoder_makes_of_it(value: object) -> None:
    """The smallest and the largest chunks give the real decoder's value."""
    body = _body(value)
    expected = json.loads(body, cls=RuntimeDecoder)
    assert same(_streamed([body]), expected)
    assert same(_streamed(_singly(body)), expected)


def test_the_arrays_of_these_tests_are_decoded_while_they_come_in() -> None:
    """Of the texts of the large arrays nothing is left before the end."""
    decoder = StreamDecoder()
    decoder.feed(BODY)
    assert len(decoder.skeleton) < len(BODY) - 2400


@given(st.sets(st.integers(0, len(BODY)), max_size=12))
def test_where_the_body_is_cut_changes_nothing(places: set[int]) -> None:
    """Any chunks of a result give the same value, whose arrays can be written to."""
    assert same(_streamed(_cut(BODY, places)), RESULT_AS_READ)


RESULT_AS_READ = json.loads(BODY, cls=RuntimeDecoder)


@pytest.mark.parametrize("transcript", ["03", "04", "12"])
def test_recorded_results_are_the_same_in_chunks(transcript: str) -> None:
    """Recorded results, byte by byte, are what the real decoder makes of them."""
    body = exchange(transcript, "GET", "/results").raw
    assert same(_streamed(_singly(body)), json.loads(body, cls=RuntimeDecoder))


# --- other ways to write the same --------------------------------------------------------------


def _rewritten(value: Any, rnd: random.Random) -> str:
    """Return JSON for a value in one of the many ways to write it."""
    match value:
        case dict():
            items = list(value.items())
            if rnd.random() < 0.5:
                rnd.shuffle(items)
            parts = [f"{_text(key, rnd)}{_space(rnd)}:{_rewritten(i, rnd)}" for key, i in items]
            inner = f"{{{_space(rnd)}{(_space(rnd) + ',' + _space(rnd)).join(parts)}}}"
        case list():
            inner = f"[{','.join(_rewritten(item, rnd) for item in value)}]"
        case str():
            inner = _text(value, rnd)
        case _:
            inner = json.dumps(value)
    return _space(rnd) + inner + _space(rnd)


def _space(rnd: random.Random) -> str:
    return "".join(rnd.choices(" \t\r\n", k=rnd.choice([0, 0, 0, 1, 3])))


def _text(value: str, rnd: random.Random) -> str:
    rate = rnd.choice([0, 0, 0.01, 0.3])
    return f'"{"".join(_character(c, escaped=rnd.random() < rate) for c in value)}"'


def _character(character: str, *, escaped: bool) -> str:
    if not escaped:
        return json.dumps(character)[1:-1]
    return r"\/" if character == "/" else f"\\u{ord(character):04x}"


@given(st.integers(0, 2**32), st.sets(st.integers(0, len(BODY)), max_size=8))
def test_how_the_json_is_written_changes_nothing(seed: int, places: set[int]) -> None:
    """Space, escapes and the order of keys are as JSON allows them, in any chunks."""
    body = _rewritten(json.loads(BODY), random.Random(seed)).encode()
    assert same(_streamed(_cut(body, places)), json.loads(body, cls=RuntimeDecoder))


def test_every_slash_and_letter_may_be_escaped() -> None:
    """Base64 written with escapes only is read, byte by byte too."""
    record = json.loads(_body(_noise(600)))
    text = "".join(f"\\u{ord(c):04X}" if c != "/" else r"\/" for c in record["__value__"])
    body = b'{"__type__": "ndarray", "__value__": "%s"}' % text.encode()
    assert same(_streamed(_singly(body)), _noise(600))


def test_the_input_of_a_job_is_read_when_asked_for() -> None:
    """Circuits are refused or read as by `decode_result`."""
    body = _body([QuantumCircuit(2), _noise(600)])
    assert same(_streamed(_singly(body), circuits=True), decode_result(body, circuits=True))
    with pytest.raises(ProtocolError, match="only when asked for"):
        _streamed([body])


# --- what is wrong -----------------------------------------------------------------------------


def _outcome(chunks: Iterable[bytes]) -> Any:
    try:
        return _streamed(chunks)
    except ProtocolError:
        return ProtocolError


def _outcome_whole(body: bytes) -> Any:
    try:
        return decode_result(body)
    except ProtocolError:
        return ProtocolError


def test_a_result_cut_anywhere_is_never_a_value() -> None:
    """A truncated body is refused at every byte offset."""
    for length in range(len(BODY)):
        assert _outcome([BODY[:length]]) is ProtocolError


@given(
    st.integers(0, len(BODY) - 1),
    st.sampled_from([*b'"\\={}eA/ \n', 0, 255]),
    st.sets(st.integers(0, len(BODY)), max_size=4),
)
def test_a_changed_byte_has_the_same_outcome_in_chunks(
    place: int, byte: int, places: set[int]
) -> None:
    """Damage leads to the whole body's value or to an error, as it does undivided."""
    changed = bytearray(BODY)
    changed[place] = byte
    assert same(_outcome(_cut(bytes(changed), places)), _outcome_whole(bytes(changed)))


@given(st.integers(0, len(BODY)), st.binary(max_size=3), st.integers(0, 3))
def test_bytes_put_in_or_left_out_have_the_same_outcome_in_chunks(
    place: int, put: bytes, left_out: int
) -> None:
    """Inserted and missing bytes are judged as they are undivided."""
    changed = BODY[:place] + put + BODY[place + left_out :]
    assert same(_outcome(_cut(changed, [place])), _outcome_whole(changed))


def _tagged(text: str) -> bytes:
    return json.dumps({"__type__": "ndarray", "__value__": text}).encode()


def _npy(count: int) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


TEXT = _packed(_npy(600) + _noise(600).tobytes())
ENDS = TEXT.rstrip("=")
WRONG = {
    "too few items": _packed(_npy(601) + _noise(600).tobytes()),
    "too many items": _packed(_npy(599) + _noise(600).tobytes()),
    "no items": _packed(_npy(600)) + "A" * SHORT,
    "text after the padding": f"{TEXT[: len(ENDS) // 4 * 4 - 2]}=={TEXT}",
    "data after the end": ENDS + "AAAA" * 20,
    "wrong checksum": ENDS[:-4] + "AAAA",
    "no checksum": ENDS[:-8],
    "half a byte": ENDS[: len(ENDS) // 4 * 4] + "A",
    "foreign character": ENDS[:700] + "é" + ENDS[700:],
    "line break": ENDS[:700] + "\n" + ENDS[700:],
    "two texts": ENDS + ENDS,
}


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_an_array_with_a_fault_is_refused(text: str) -> None:
    """Whatever is wrong with an array, in any chunks, is a protocol error."""
    body = _tagged(text)
    for chunks in ([body], _singly(body), _cut(body, [len(body) - 3])):
        assert _outcome(chunks) is ProtocolError


def test_an_escape_that_json_does_not_have_is_refused() -> None:
    """A backslash before anything else is a protocol error."""
    body = _tagged(TEXT)
    for escape in (rb"\q", rb"\u00g0", rb"\\", rb"\"", rb"\u0141"):
        changed = body[:-60] + escape + body[-60:]
        assert _outcome(_singly(changed)) is ProtocolError


def test_a_body_beyond_the_limit_is_refused_when_it_passes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What exceeds the limit is not waited for."""
    monkeypatch.setattr(limits, "RESULT_BODY_BYTES", 100)
    decoder = StreamDecoder()
    decoder.feed(bytes(100))
    with pytest.raises(ProtocolError, match="larger than its limit"):
        decoder.feed(b"x")


def test_an_array_may_be_as_large_as_the_whole_body_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What counts is the body's size, not what of it has come when the array begins."""
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 0)
    monkeypatch.setattr(limits, "EXPANSION_RATIO", 1)
    body = _body([_noise(2000), _noise(3)])
    assert same(_streamed(_singly(body)), decode_result(body))
    zeros = _body(np.zeros(2000))
    assert _outcome(_singly(zeros)) is _outcome_whole(zeros) is ProtocolError


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A quarter of a megabyte that stands for a quarter of a gigabyte takes no memory."""
    packer = zlib.compressobj(9)
    data = [packer.compress(_npy(2**40))] + [packer.compress(bytes(2**20)) for _ in range(256)]
    body = _tagged(base64.b64encode(b"".join(data) + packer.flush()).decode())
    tracemalloc.start()
    try:
        assert _outcome(_cut(body, range(0, len(body), 2**16))) is ProtocolError
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


# --- what it takes -----------------------------------------------------------------------------


def test_a_large_array_takes_little_more_than_itself() -> None:
    """The peak is well below what base64 text and array would take together."""
    array = _noise(2**22)
    body = _body(array)
    tracemalloc.start()
    try:
        value = _streamed(body[at : at + 2**16] for at in range(0, len(body), 2**16))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert same(value, array)
    assert peak < 1.5 * array.nbytes


def test_text_that_expands_is_worked_on_step_by_step() -> None:
    """A small chunk that stands for many megabytes takes as many steps."""
    array = np.zeros(2**24, dtype=np.uint8)
    decoder = StreamDecoder()
    steps = 1
    work_left = decoder.feed(_body(array))
    while work_left:
        steps += 1
        work_left = decoder.feed(b"")
    assert steps >= array.nbytes / (2 * limits.STREAM_STEP_BYTES)
    assert same(decoder.finish(), array)


def test_what_is_no_result_is_kept_as_it_is() -> None:
    """A traceback in place of a result can be read, however it was cut."""
    body = exchange("09", "GET", "/results").raw
    decoder = StreamDecoder()
    for byte in _singly(body):
        decoder.feed(byte)
    assert decoder.skeleton == body


def test_no_text_of_a_large_array_is_kept() -> None:
    """What is kept of a body is its JSON without the arrays."""
    body = _body([_noise(5000)] * 3)
    decoder = StreamDecoder()
    for chunk in _cut(body, [7000, 9000]):
        decoder.feed(chunk)
    assert len(decoder.skeleton) < 500


@pytest.mark.anyio
@pytest.mark.parametrize("array", [_noise(2**20), np.zeros(2**23, np.uint8)], ids=["long", "short"])
async def test_other_tasks_run_while_a_large_result_is_decoded(array: Any) -> None:
    """The event loop gets a turn after every step, however short the text of an array."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        decoder = StreamDecoder()
        await feed(decoder, _body(array))
        assert same(await finish(decoder), array)
        tasks.cancel_scope.cancel()
    assert turns >= array.nbytes // (2 * limits.STREAM_STEP_BYTES)
