"""Bodies are whole and bounded, however they are cut, chunked and compressed."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.ibm.body import BodyReader

LIMIT = 64 * 2**20


def read(
    chunks: list[bytes], *, status: int = 200, limit: int = LIMIT, **headers: Any
) -> bytes | str:
    """Return the body that these chunks make, or what is wrong with it."""
    raw = sum(map(len, chunks))
    named = {"content-length": str(raw)}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    reader = BodyReader(status, named, max_bytes=limit)
    fault = reader.start()
    for chunk in chunks:
        fault = fault or fed(reader, chunk)
    fault = fault or reader.finish()
    return fault or reader.take()


def fed(reader: BodyReader, chunk: bytes) -> str | None:
    """Return what is wrong with a chunk; without a sink there is nothing to wait for."""
    try:
        reader.feed(chunk).send(None)
    except StopIteration as done:
        fault: str | None = done.value
        return fault
    raise AssertionError("it waits for something")


def chunked(data: bytes, size: int) -> list[bytes]:
    """Return data in pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.binary(max_size=5_000), st.integers(1, 700), st.booleans())
def test_any_body_in_any_chunks_comes_back(data: bytes, size: int, packed: bool) -> None:  # noqa: FBT001 - a parameter
    """Plain or compressed, the bytes that were sent are the bytes that come."""
    raw = gzip.compress(data) if packed else data
    coding: dict[str, Any] = {"content_encoding": "gzip"} if packed else {}
    assert read(chunked(raw, size), **coding) == data


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_cut_of_a_gzip_body_is_a_fault(data: bytes, draw: st.DataObject) -> None:
    """A compressed body that ends early is never a value, even if its length agrees."""
    raw = gzip.compress(data)
    cut = draw.draw(st.integers(0, len(raw) - 1))
    assert isinstance(read([raw[:cut]], content_encoding="gzip"), str)


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ([b"abc"], {"content_length": "4"}),
        ([b"abc"], {"content_length": "2"}),
        ([b"abc"], {"content_length": "-3"}),
        ([b"abc"], {"content_length": "3, 3"}),
        ([b"abc"], {"content_length": "x"}),
        ([b"abc"], {"content_encoding": "br"}),
        ([b"abc"], {"content_encoding": "deflate"}),
        ([b"abc"], {"content_encoding": "gzip, gzip"}),
        ([b"abc"], {"content_encoding": "gzip"}),
        ([b""], {"content_encoding": "gzip"}),
        ([zlib.compress(b"abc")], {"content_encoding": "gzip"}),
        ([gzip.compress(b"abc") * 2], {"content_encoding": "gzip"}),
        ([gzip.compress(b"abc"), b"x"], {"content_encoding": "gzip"}),
    ],
)
def test_a_body_that_is_not_what_it_says_is_a_fault(
    chunks: list[bytes], headers: dict[str, Any]
) -> None:
    """Wrong lengths and encodings, and what follows the end, are faults."""
    assert isinstance(read(chunks, **headers), str)


def test_no_length_is_a_fault_of_a_value_and_none_of_a_refusal() -> None:
    """A value needs an end that can be seen; of a refusal the status counts."""
    for status, fault in ((200, True), (204, False), (404, False), (503, False)):
        assert (BodyReader(status, {}, max_bytes=1).start() is not None) == fault
    chunks = {"transfer-encoding": "chunked"}
    assert BodyReader(200, chunks, max_bytes=1).start() is None


def test_the_limit_holds_before_during_and_after_unpacking() -> None:
    """An announced, a received and an unpacked size above the limit are faults."""
    assert isinstance(BodyReader(200, {"content-length": "11"}, max_bytes=10).start(), str)
    assert isinstance(read([b"x" * 11], limit=10), str)
    packed = gzip.compress(b"x" * 1_000)
    assert isinstance(read([packed], limit=999, content_encoding="gzip"), str)
    assert read([packed], limit=1_000, content_encoding="x-gzip") == b"x" * 1_000


def test_a_bomb_is_given_up_early() -> None:
    """256 MiB of zeros in 260 KB stop at the ratio, far below the limit."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    named = {"content-length": str(len(bomb)), "content-encoding": "gzip"}
    reader = BodyReader(200, named, max_bytes=2**30)
    faults = (fed(reader, chunk) for chunk in chunked(bomb, 2**14))
    assert "times its size" in next(fault for fault in faults if fault)
    assert len(reader.take()) <= limits.GZIP_RATIO_FREE_BYTES


def test_a_million_equal_samples_are_no_bomb() -> None:
    """A result of one million equal shots compresses beyond the ratio and is taken."""
    samples = b'{"samples":[' + b'"0x0",' * 1_000_000 + b'"0x0"]}'
    packed = gzip.compress(samples, 9)
    assert len(samples) > limits.GZIP_RATIO * len(packed)
    assert read(chunked(packed, 1_000), content_encoding="gzip") == samples
