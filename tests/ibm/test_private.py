"""What the service gives only once is on disk before it is decoded, and nowhere afterwards."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import numpy as np
import pytest
from qiskit_ibm_runtime import RuntimeEncoder

from ibm_codec.same import same
from qawait import limits
from qawait.errors import JobFailedError, ProtocolError, RejectedError, UnknownOutcomeError
from qawait.ibm.codec.stream import StreamDecoder
from support.mocked import API, JOB, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from qawait.ibm.results import Results
    from qawait.ibm.service import IBMService

pytestmark = pytest.mark.anyio

RESULTS = f"{API}/jobs/{JOB}/results"
ARRAY = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
BODY = json.dumps({"a": ARRAY}, cls=RuntimeEncoder).encode()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small body take several pages."""
    monkeypatch.setattr(limits, "SPOOL_PAGE_BYTES", 1000)


class Once:
    """Gives a result once, and says afterwards that it is gone."""

    def __init__(self, first: httpx.Response, *, gone: int = 404) -> None:
        self._first = first
        self._gone = gone
        self.asked = 0

    def __call__(self, _: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.asked += 1
        return self._first if self.asked == 1 else httpx.Response(self._gone)


class Broken(httpx.AsyncByteStream):
    """A body that breaks off."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield BODY[:2500]
        raise httpx.ReadError("reset")


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Let decoding fail for these reasons, one after the other, before it works."""
    reasons: list[Exception] = []
    finish = StreamDecoder.finish

    def finish_or_fail(decoder: StreamDecoder) -> Any:
        if reasons:
            raise reasons.pop(0)
        return finish(decoder)

    monkeypatch.setattr(StreamDecoder, "finish", finish_or_fail)
    yield reasons
    assert not reasons


async def fetched(ibm: IBMService) -> Any:
    """Return a private job's result."""
    found = await ibm.fetch(JOB, private=True)
    return None if found is None else found.value


async def test_a_private_result_that_could_not_be_decoded_is_decoded_later(
    refusals: list[Exception],
) -> None:
    """What came is kept, whatever went wrong with it, and asked for once."""
    refusals += [ProtocolError("too new"), MemoryError()]
    async with service() as (ibm, router):
        gives = Once(httpx.Response(200, content=BODY))
        router.get(RESULTS).mock(side_effect=gives)
        for reason in (ProtocolError, MemoryError):
            with pytest.raises(reason):
                await fetched(ibm)
        assert same(await fetched(ibm), {"a": ARRAY})
        assert gives.asked == 1


async def test_what_was_decoded_is_not_kept() -> None:
    """Nothing of it is left on disk, and the next call asks the service."""
    async with service() as (ibm, router):
        gives = Once(httpx.Response(200, content=BODY))
        router.get(RESULTS).mock(side_effect=gives)
        assert same(await fetched(ibm), {"a": ARRAY})
        assert _stored(ibm._results) == 0
        with pytest.raises(RejectedError):
            await fetched(ibm)


def _stored(results: Results) -> int:
    """Return the pages in use."""
    assert len(results._stored) == 0 or results._spool._pages > 0
    return results._spool._pages - len(results._spool._free)


async def test_the_file_has_no_name_and_is_its_users_only(
    state: Path, refusals: list[Exception]
) -> None:
    """While a result waits to be decoded, it can be opened by nobody."""
    refusals.append(ProtocolError("too new"))
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=BODY)
        with pytest.raises(ProtocolError):
            await fetched(ibm)
        assert _stored(ibm._results) == len(BODY) // 1000 + 1
        assert not list(state.iterdir())
        assert state.stat().st_mode & 0o777 == 0o700
        file = ibm._results._spool._file
        assert file is not None
        found = os.fstat(file._number)
        assert (found.st_mode & 0o777, found.st_nlink) == (0o600, 0)


async def test_closing_forgets_what_was_not_decoded(refusals: list[Exception]) -> None:
    """With the client, its file is gone."""
    refusals.append(ProtocolError("too new"))
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=BODY)
        with pytest.raises(ProtocolError):
            await fetched(ibm)
    assert ibm._results._spool._file is None
    assert not ibm._results._stored


@pytest.mark.parametrize("gone", [204, 404])
async def test_a_download_that_broke_off_is_reported_as_the_loss_it_is(gone: int) -> None:
    """If the service then has nothing more to give, the error says why, and how much had come."""
    async with service() as (ibm, router):
        whole = {"content-length": str(len(BODY))}
        broken = httpx.Response(200, stream=Broken(), headers=whole)
        router.get(RESULTS).mock(side_effect=Once(broken, gone=gone))
        with pytest.raises(UnknownOutcomeError):
            await fetched(ibm)
        for _ in range(2):
            with pytest.raises(
                ProtocolError, match=r"lost: .* broke off after 2500 bytes"
            ) as caught:
                await fetched(ibm)
        assert caught.value.job_id == JOB
        assert _stored(ibm._results) == 0


async def test_a_service_that_gives_it_again_after_all_loses_nothing() -> None:
    """The download is tried again, whatever became of the first."""
    async with service() as (ibm, router):
        router.get(RESULTS).mock(
            side_effect=[httpx.ReadError("reset"), httpx.Response(200, content=BODY)]
        )
        with pytest.raises(UnknownOutcomeError):
            await fetched(ibm)
        assert same(await fetched(ibm), {"a": ARRAY})


async def test_a_private_failed_jobs_text_is_kept() -> None:
    """A traceback in place of a result is told at every call."""
    async with service() as (ibm, router):
        gives = Once(httpx.Response(200, text="Traceback: boom"))
        router.get(RESULTS).mock(side_effect=gives)
        for _ in range(2):
            with pytest.raises(JobFailedError, match="failed"):
                await fetched(ibm)
        assert gives.asked == 1


async def test_a_folder_that_cannot_be_written_loses_nothing(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The result stays in memory until it is decoded, and a log says so."""
    state.parent.mkdir(exist_ok=True)
    state.write_text("not a folder")
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=BODY)
        assert same(await fetched(ibm), {"a": ARRAY})
    assert "cannot be spooled" in caplog.text


async def test_two_callers_at_once_read_one_body(refusals: list[Exception]) -> None:
    """The pages that one has done with stay until the other has, too."""
    refusals.append(ProtocolError("too new"))
    async with service() as (ibm, router):
        router.get(RESULTS).respond(200, content=BODY)
        with pytest.raises(ProtocolError):
            await fetched(ibm)
        found: list[Any] = []

        async def read() -> None:
            found.append(await fetched(ibm))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
        assert same(found, [{"a": ARRAY}] * 2)
        assert _stored(ibm._results) == 0


# --- cancelled at every point ------------------------------------------------------------------


@pytest.mark.parametrize("private", [False, True])
async def test_a_fetch_that_is_cancelled_anywhere_can_be_repeated(
    private: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one gives the result, or says that a private one's only download was cut short."""
    monkeypatch.setattr("qawait.ibm.spool.in_thread", _at_the_next_turn)
    outcomes: list[str] = []
    while not outcomes or outcomes[-1] != "not cancelled":
        outcomes.append(await _outcome_after_cancel(len(outcomes), private=private))
        assert len(outcomes) < 500
    assert set(outcomes[:-1]) == ({"again", "lost", "spooled"} if private else {"again"})


async def _at_the_next_turn(function: Callable[[], Any]) -> Any:
    await anyio.lowlevel.checkpoint()
    return function()


async def _outcome_after_cancel(turns: int, *, private: bool) -> str:
    async with service() as (ibm, router):
        route = router.get(RESULTS).respond(200, content=BODY)
        if private:
            route.mock(side_effect=Once(httpx.Response(200, content=BODY)))
        if await _fetched_within(ibm, turns, private=private):
            return "not cancelled"
        asked = route.call_count
        try:
            found = await ibm.fetch(JOB, private=private)
        except ProtocolError as error:
            return "lost" if "lost" in error.message else "wrong"
        assert found is not None
        assert same(found.value, {"a": ARRAY})
        return "spooled" if asked and route.call_count == asked else "again"


async def _fetched_within(ibm: IBMService, turns: int, *, private: bool) -> bool:
    """Whether a fetch ends before it is cancelled after so many turns of the loop."""
    done = False
    async with anyio.create_task_group() as group:

        async def fetch() -> None:
            nonlocal done
            await ibm.fetch(JOB, private=private)
            done = True
            group.cancel_scope.cancel()

        group.start_soon(fetch)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return done


# --- on disk by choice -------------------------------------------------------------------------


async def test_what_is_kept_on_disk_is_not_downloaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many of the last used results as there is room for are decoded anew from there."""
    async with service() as (ibm, router):
        monkeypatch.setattr(ibm._results, "_disk_bytes", 2 * len(BODY))
        routes = {
            name: router.get(f"{API}/jobs/{name}/results").respond(200, content=BODY)
            for name in "abc"
        }
        for name in "abbacaac":
            found = await ibm.fetch(name)
            assert found is not None
            assert same(found.value, {"a": ARRAY})
        assert [routes[name].call_count for name in "abc"] == [1, 1, 1]
        await ibm.fetch("b")
        assert routes["b"].call_count == 2
        assert _stored(ibm._results) <= 2 * (len(BODY) // 1000 + 1)


async def test_small_results_and_faulty_ones_are_not_kept_on_disk(
    monkeypatch: pytest.MonkeyPatch, refusals: list[Exception]
) -> None:
    """A result below a page, or one that cannot be decoded, is asked for again."""
    async with service() as (ibm, router):
        monkeypatch.setattr(ibm._results, "_disk_bytes", 10**6)
        small = router.get(f"{API}/jobs/small/results").respond(200, content=b'{"a": 1}')
        for _ in range(2):
            await ibm.fetch("small")
        assert small.call_count == 2
        large = router.get(f"{API}/jobs/large/results").respond(200, content=BODY)
        refusals.append(ProtocolError("damaged"))
        with pytest.raises(ProtocolError):
            await ibm.fetch("large")
        await ibm.fetch("large")
        assert large.call_count == 2
