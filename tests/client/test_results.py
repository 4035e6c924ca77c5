"""Results on their way to the caller: cut, private, kept or not."""

from __future__ import annotations

import gc
import json
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit_ibm_runtime import RuntimeEncoder

import qawait
from ibm_codec.same import same
from qawait import ConfigError, ProtocolError
from support.cutting import Cut, cutting_proxy
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qawait import Client, Job
    from qawait.emulator import Emulator
    from support.cutting import CuttingProxy

pytestmark = pytest.mark.anyio

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
SHOTS = np.random.default_rng(3).integers(0, 256, (60_000, 2), dtype=np.uint8)
RESULT = PrimitiveResult([SamplerPubResult(DataBin(meas=BitArray(SHOTS, 16)))], {"version": 2})


@pytest.fixture(autouse=True)
def scripted(emu: Emulator) -> None:
    """Let every job end at once with the same result."""
    text = json.dumps(RESULT, cls=RuntimeEncoder)
    emu.script(outcome="complete", times=None, result=text)


async def submitted(client: Client, *, private: bool = False) -> Job[Any]:
    """Submit a job that ends at once."""
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila", private=private)


def downloads(emu: Emulator, job: Job[Any]) -> int:
    """Return how often a job's result was asked for."""
    return len(emu.ledger("GET", "/jobs/{id}/results", job_id=job.id))


@asynccontextmanager
async def cutting(emu: Emulator) -> AsyncIterator[tuple[Client, CuttingProxy]]:
    """Give a client behind a proxy that cuts results."""
    async with (
        cutting_proxy(emu.port, (b"GET ", b"/results HTTP")) as proxy,
        opened(emu, url=f"{proxy.origin}/experimental/api/v1") as client,
    ):
        yield client, proxy


async def test_a_download_that_is_cut_anywhere_is_repeated(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much of a result came before its connection broke, the caller gets it whole."""
    monkeypatch.setattr("qawait.limits.RETRY_BASE_SECONDS", 0.01)
    async with cutting(emu) as (client, proxy):
        whole = proxy.cut
        assert same(await (await submitted(client)).result(), RESULT)
        length = whole.answer_bytes
        assert length > 100_000
        for after in (0, 9, 100, 400, length // 3, length // 2, length - 9, length - 1):
            cut = proxy.cut = Cut(after=after, side="answer", reset=after % 2 == 1)
            job = await submitted(client)
            assert same(await job.result(), RESULT)
            assert cut.done
            assert downloads(emu, job) == 2


async def test_a_private_jobs_only_download_that_is_cut_is_a_loss_that_is_told(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error does not blame the job, and says what has become of the result."""
    monkeypatch.setattr("qawait.limits.RETRY_BASE_SECONDS", 0.01)
    async with cutting(emu) as (client, proxy):
        proxy.cut = Cut(after=50_000, side="answer")
        job = await submitted(client, private=True)
        with pytest.raises(ProtocolError, match="is lost: the service gives it only once"):
            await job.result()


async def test_a_private_jobs_result_is_read_once_and_given_at_every_call(emu: Emulator) -> None:
    """With no room in the cache, by any handle, it is the same object."""
    async with opened(emu, results=qawait.ResultCache(memory_bytes=0)) as client:
        job = await submitted(client, private=True)
        first = await job
        assert same(first, RESULT)
        assert await job.fetch() is first
        assert await (await client.attach(job.id)).result() is first
        held = weakref.ref(first)
        del first
        gc.collect()
        assert await job is held()
        assert downloads(emu, job) == 1


async def test_an_attached_private_job_says_that_its_result_was_read_before(emu: Emulator) -> None:
    """Whoever comes too late learns so from the service's own words."""
    async with opened(emu) as client:
        job = await submitted(client, private=True)
        await job
    async with opened(emu) as client:
        with pytest.raises(qawait.RejectedError, match="only once"):
            await (await client.attach(job.id)).result()


@pytest.mark.parametrize("private", [False, True])
async def test_a_result_on_disk_is_decoded_anew(
    emu: Emulator,
    private: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What there is no room for in memory is not downloaded again."""
    monkeypatch.setattr("qawait.limits.SPOOL_PAGE_BYTES", 10_000)
    cache = qawait.ResultCache(memory_bytes=0, disk_bytes=10**7)
    async with opened(emu, results=cache) as client:
        job = await submitted(client, private=private)
        for _ in range(2):
            assert same(await job, RESULT)
            gc.collect()
        assert downloads(emu, job) == 1


async def test_a_callers_cancellation_leaves_the_download_to_the_others(emu: Emulator) -> None:
    """The download is the client's: whoever waits on, or asks next, gets its result."""
    emu.route("GET /jobs/{id}/results").delay(0.3)
    async with opened(emu) as client:
        job = await submitted(client, private=True)
        await job.wait()
        with anyio.move_on_after(0.1) as given_up:
            await job.result()
        assert given_up.cancelled_caught
        assert same(await job.result(), RESULT)
        assert downloads(emu, job) == 1


@pytest.mark.parametrize("cache", ["disk", 3, {"memory_bytes": 3}])
def test_a_cache_that_is_none_is_refused(cache: Any) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match="ResultCache"):
        qawait.local(results=cache)


@pytest.mark.parametrize("size", [-1, 1.5, True, "1", None])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    """Sizes are whole numbers of bytes from 0 on."""
    for name in ("memory_bytes", "disk_bytes"):
        with pytest.raises(ConfigError, match=name):
            qawait.ResultCache(**{name: size})
