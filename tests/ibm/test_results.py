"""A result is decoded while it comes in, however it comes and wherever it ends."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit_ibm_runtime import RuntimeDecoder, RuntimeEncoder

from ibm_codec.same import same
from qawait import limits
from qawait.errors import JobFailedError, ProtocolError, QawaitError, UnknownOutcomeError
from qawait.ibm.connection import Answer
from qawait.ibm.http1 import MalformedError, read_head
from qawait.ibm.results import Results
from qawait.ibm.service import IBMService
from qawait.ibm.transport import Transport, _received
from support.mocked import ACCOUNT, API, JOB, Tokens, first_token_is_stale, service
from support.recorded import exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from qawait.ibm.body import Sink
    from qawait.ibm.wire import Reply, Request
    from qawait.jobs.service import Fetched

SHORT = 480


@pytest.fixture(autouse=True, scope="module")
def _short_texts() -> Iterator[None]:
    """Let small arrays, too, be decoded while they come in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "STREAM_TEXT_BYTES", SHORT)
        yield


def _noise(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


RESULT = PrimitiveResult(
    [
        SamplerPubResult(DataBin(meas=BitArray(_noise(9, 99, 2), 16), shape=(9,)), {}),
        SamplerPubResult(DataBin(c=BitArray(_noise(5, 1), 8)), {}),
    ],
    {"list": [_noise(500)]},
)
BODY = json.dumps(RESULT, cls=RuntimeEncoder).encode()
AS_READ = json.loads(BODY, cls=RuntimeDecoder)


# --- the two ways there ------------------------------------------------------------------------


class Scripted(httpx.AsyncBaseTransport):
    """A user's transport that answers with these chunks."""

    def __init__(self, headers: dict[str, str], chunks: list[bytes]) -> None:
        self._headers = headers
        self._chunks = chunks
        self._tokens = Tokens()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Give a token, or the answer."""
        if "/identity/" in request.url.path:
            return self._tokens(request)
        return httpx.Response(200, headers=self._headers, stream=_Chunks(self._chunks))


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await anyio.lowlevel.checkpoint()
            yield chunk


async def over_httpx(headers: dict[str, str], chunks: list[bytes]) -> Fetched | None:
    """Fetch a result over a user's transport, which takes chunks apart itself."""
    made = Scripted(headers, chunks)
    ibm = IBMService(
        ACCOUNT,
        transport=Transport(API, transport=made),
        iam_transport=Transport(ACCOUNT.iam_url, transport=made),
    )
    try:
        return await ibm.fetch(JOB)
    finally:
        await ibm.aclose()


class _Connection:
    """What `Answer` reads a body from."""

    sent = True

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next(self._pieces, b"")


async def over_own(headers: dict[str, str], pieces: list[bytes]) -> Fetched | None:
    """Fetch a result as our own connections do once the head of its answer has come."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = read_head(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode())

    async def ask(request: Request, *, sink: Callable[[], Sink]) -> Reply:
        answer: Any = Answer(_Connection(pieces), head, b"")  # type: ignore[arg-type]
        try:
            outcome = await _received(request, answer, sink)
        except MalformedError as error:  # as `Transport` takes it
            raise ProtocolError(str(error)) from None
        if isinstance(outcome, QawaitError):
            raise outcome
        return outcome

    return await Results(ask, hide=lambda: ()).fetch(JOB, None, private=False)


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _outcome(fetch: Callable[..., Any], headers: dict[str, str], chunks: list[bytes]) -> Any:
    """Return the value, or the error's type; a body that cannot be whole is a `QawaitError`."""
    try:
        fetched = anyio.run(fetch, headers, chunks)
    except QawaitError as error:
        return type(error)
    return fetched.value if fetched is not None else None


PACKED = gzip.compress(BODY)
CODED = {"identity": BODY, "gzip": PACKED}


def _in_chunks(data: bytes, size: int) -> bytes:
    lines = [b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(data, size)]
    return b"".join([*lines, b"0\r\n\r\n"])


@given(st.sampled_from(sorted(CODED)), st.integers(1, 4000), st.integers(1, 4000), st.booleans())
def test_however_a_result_comes_its_value_is_the_real_decoders(
    coding: str,
    size: int,
    pieces: int,
    chunked: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Plain, compressed, in chunks, in any pieces, over either carrier: one value."""
    body = CODED[coding]
    headers = {} if coding == "identity" else {"content-encoding": coding}
    length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
    raw = _in_chunks(body, size) if chunked else body
    assert same(_outcome(over_own, headers | length, _parts(raw, pieces)), AS_READ)
    assert same(_outcome(over_httpx, headers | length, _parts(body, pieces)), AS_READ)


@given(st.sampled_from(sorted(CODED)), st.data(), st.booleans())
def test_a_result_that_ends_early_is_never_a_value(
    coding: str,
    draw: st.DataObject,
    chunked: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A body cut anywhere is an error, whatever announced its end."""
    headers = {} if coding == "identity" else {"content-encoding": coding}
    body = CODED[coding]
    length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
    raw = _in_chunks(body, 700) if chunked else body
    kept = draw.draw(st.integers(0, len(raw) - 1))
    assert _outcome(over_own, headers | length, _parts(raw[:kept], 512)) is ProtocolError


@pytest.mark.parametrize("coding", sorted(CODED))
@pytest.mark.parametrize("left_out", [1, 2, 9, 400, len(PACKED) - 1])
def test_a_result_whose_end_lies_is_never_a_value(coding: str, left_out: int) -> None:
    """A server that announces what it has cut, or a transport that hides it, fools nobody."""
    headers = {} if coding == "identity" else {"content-encoding": coding}
    cut = CODED[coding][:-left_out]
    lies = headers | {"content-length": str(len(cut))}
    assert _outcome(over_own, lies, _parts(cut, 300)) is ProtocolError
    assert _outcome(over_httpx, lies, _parts(cut, 300)) is ProtocolError
    hidden = headers | {"transfer-encoding": "chunked"}
    assert _outcome(over_httpx, hidden, _parts(cut, 300)) is ProtocolError


@pytest.mark.parametrize("fetch", [over_own, over_httpx])
def test_the_limits_hold_while_a_result_comes_in(
    fetch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too large, or unpacks to too much, ends at once, and takes no memory."""
    zeros = json.dumps(np.zeros(2**26, dtype=np.uint8), cls=RuntimeEncoder).encode()
    bomb = gzip.compress(b"[" + b"0," * 2**24 + b"0]")
    chunked = {"transfer-encoding": "chunked"}
    parts = {"bomb": _parts(bomb, 900), "zeros": _parts(zeros, 900)}
    if fetch is over_own:
        parts = {"bomb": _parts(_in_chunks(bomb, 900), 900), "zeros": [_in_chunks(zeros, 900)]}
    monkeypatch.setattr(limits, "EXPANSION_FREE_BYTES", 2**20)
    tracemalloc.start()
    try:
        packed = chunked | {"content-encoding": "gzip"}
        assert _outcome(fetch, packed, parts["bomb"]) is ProtocolError
        assert _outcome(fetch, chunked, parts["zeros"]) is ProtocolError
        assert tracemalloc.get_traced_memory()[1] < 2.5 * limits.GZIP_RATIO_FREE_BYTES
    finally:
        tracemalloc.stop()


# --- what it decides ---------------------------------------------------------------------------

RESULTS = f"{API}/jobs/{JOB}/results"


@pytest.mark.anyio
async def test_a_result_asked_for_with_a_stale_token_is_whole() -> None:
    """After a 401 the result goes into a decoder that has seen nothing of the refusal."""
    async with service() as (ibm, router):
        router.get(RESULTS).mock(
            side_effect=first_token_is_stale(httpx.Response(200, content=BODY))
        )
        fetched = await ibm.fetch(JOB)
    assert fetched is not None
    assert same(fetched.value, AS_READ)
    assert fetched.size >= sum(array.nbytes for array in (_noise(9, 99, 2), _noise(500)))


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"  \n"])
async def test_an_empty_body_is_no_result_yet(body: bytes) -> None:
    """As is a 204."""
    async with service() as (ibm, router):
        length = {"content-length": str(len(body))}
        router.get(RESULTS).respond(200, content=body, headers=length)
        assert await ibm.fetch(JOB) is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [b"<html>canary</html>", b"who knows", b"Traceback? no", b'"text"', b"null", b"3"]
)
async def test_what_is_neither_a_result_nor_a_traceback_is_refused(body: bytes) -> None:
    """Only JSON objects and lists are results, and only tracebacks failed jobs."""
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=body, headers={"content-type": "text/html"})
        with pytest.raises(ProtocolError):
            await ibm.fetch(JOB)


@pytest.mark.anyio
async def test_a_long_traceback_is_a_failed_job() -> None:
    """However much a program left behind, it is its text."""
    text = "Traceback (most recent call last):\n" + "  a line\n" * 20_000
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, text=text)
        with pytest.raises(JobFailedError) as caught:
            await ibm.fetch(JOB)
    assert caught.value.text == text.strip()


@pytest.mark.anyio
async def test_the_program_decides_how_a_result_is_read() -> None:
    """An executor's result is post-processed by IBM's code; any other program's is as it is."""
    found = exchange("05", "GET", "/results")
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=found.raw)
        plain, decoded = await ibm.fetch(JOB), await ibm.fetch(JOB, program="executor")
    assert plain is not None
    assert plain.value == found.received
    assert decoded is not None
    assert type(decoded.value).__name__ == "PrimitiveResult"
    assert decoded.value[0].data.meas.num_shots == 128


@pytest.mark.anyio
async def test_a_decoders_bug_is_an_error_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What our own code stumbles over is not taken for a lost answer."""

    def stumble(*_: object) -> bool:
        raise KeyError("ours")

    monkeypatch.setattr("qawait.ibm.codec.stream.StreamDecoder.feed", stumble)
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=BODY)
        with pytest.raises(ProtocolError, match="KeyError") as caught:
            await ibm.fetch(JOB)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.anyio
@pytest.mark.virtual
async def test_the_deadline_covers_the_decoding_of_what_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A result that drips ends with its call, not with its last byte."""

    class Dripping(_Chunks):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await anyio.sleep(10)
                yield b"[1,"

    monkeypatch.setattr(f"{__name__}._Chunks", Dripping)
    began = anyio.current_time()
    with pytest.raises(UnknownOutcomeError, match="no complete answer within 300 s"):
        await over_httpx({"transfer-encoding": "chunked"}, [])
    assert anyio.current_time() - began == pytest.approx(limits.FETCH_SECONDS)
