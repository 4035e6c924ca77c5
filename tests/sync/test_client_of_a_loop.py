"""The blocking face of a client whose loop runs in another thread."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

import qawait
import qawait.sync
from qawait import ConfigError
from support.killing import until
from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
BACKEND = "ibm_manila"


@pytest.mark.anyio
async def test_a_worker_thread_uses_the_client_of_its_loop(emu: Emulator) -> None:
    """The face is made in the loop and used beside it; job and connections are the client's."""
    async with opened(emu, guardian=False) as client:
        face = qawait.sync.Client.of(client)

        def work() -> Any:
            return face.submit(FLIP, backend=BACKEND, shots=16).result()[0].data.c.get_counts()

        assert await anyio.to_thread.run_sync(work) == {"1": 16}


@pytest.mark.anyio
async def test_the_face_is_refused_on_the_loop_itself(emu: Emulator) -> None:
    """It would wait for what only the waiting thread can do."""
    async with opened(emu, guardian=False) as client:
        face = qawait.sync.Client.of(client)
        with pytest.raises(ConfigError, match="await the same call"):
            face.backends()


@pytest.mark.anyio
async def test_the_face_cannot_close_the_client(emu: Emulator) -> None:
    """Whoever opened the client closes it."""
    async with opened(emu, guardian=False) as client:
        face = qawait.sync.Client.of(client)
        with pytest.raises(ConfigError, match="close it there"):
            await anyio.to_thread.run_sync(face.close)
        assert await client.backends()


@pytest.mark.anyio
async def test_the_face_ends_with_the_client(emu: Emulator) -> None:
    """A thread that comes too late is told so, used before or not."""
    async with opened(emu, guardian=False) as client:
        used, unused = qawait.sync.Client.of(client), qawait.sync.Client.of(client)
        await anyio.to_thread.run_sync(used.backends)
    for face in (used, unused, qawait.sync.Client.of(client)):
        with pytest.raises(ConfigError, match="closed"):
            await anyio.to_thread.run_sync(face.backends)


@pytest.mark.anyio
async def test_a_thread_is_let_go_when_the_client_is_closed(emu: Emulator) -> None:
    """It waits for a job, and hears of its end instead of waiting for ever."""
    emu.script(outcome="complete", run_seconds=600, times=1)
    heard: list[object] = []

    async with anyio.create_task_group() as group, opened(emu, guardian=False) as client:
        job = await client.submit(FLIP, backend=BACKEND)
        face = qawait.sync.Client.of(client)

        def wait() -> None:
            try:
                heard.append(face.attach(job.id).wait())
            except qawait.QawaitError as error:
                heard.append(error)

        group.start_soon(anyio.to_thread.run_sync, wait)
        asked = partial(emu.ledger, "GET", job_id=job.id)
        await anyio.to_thread.run_sync(partial(until, lambda: bool(asked()), within=20))
    assert len(heard) == 1
    assert [seen.cancels for seen in emu.jobs()] == [1]


def test_a_loop_that_anyio_did_not_start_will_do(emu: Emulator) -> None:
    """The face may be made in it or in the thread that uses it."""

    async def main() -> None:
        async with opened(emu, guardian=False) as client:
            face = qawait.sync.Client.of(client)
            assert await asyncio.to_thread(face.backends)
            assert await asyncio.to_thread(lambda: qawait.sync.Client.of(client).backends())

    asyncio.run(main())
