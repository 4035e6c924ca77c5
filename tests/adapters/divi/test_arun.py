"""Awaiting divi's programs, and cancelling them as anything else that is awaited."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from qawait import ConfigError
from qawait.adapters.divi import QawaitBackend, arun
from support.divi_programs import APART, MERGED, Several, vqe
from support.killing import until
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from divi.qprog import BatchConfig

    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio
SOON = 20.0


async def reached(look: Callable[[], object]) -> None:
    """Return once `look()` is true, with the loop free meanwhile."""
    await anyio.to_thread.run_sync(partial(until, look, within=SOON))


async def stopped(emu: Emulator, program: Any, jobs: int, **options: Any) -> None:
    """Await a program whose jobs go on for ever, and cancel that once they all run."""
    emu.script(outcome="complete", run_seconds=600, times=None)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(arun, program, **options))
        await reached(lambda: len(emu.jobs()) == jobs)
        group.cancel_scope.cancel()


def assert_cancelled(emu: Emulator, jobs: int) -> None:
    """Check that each job got one cancel, and none was made later."""
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)] * jobs


async def test_a_program_is_awaited(emu: Emulator) -> None:
    """It runs beside the loop, which goes on, and is what the call returns."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with opened(emu, guardian=False) as client, anyio.create_task_group() as group:
        group.start_soon(tick)
        program = vqe(QawaitBackend(client, backend="ibm_manila", shots=500), iterations=4)
        assert await arun(program) is program
        group.cancel_scope.cancel()
    assert program.total_circuit_count > 0
    assert ticks > 100


async def test_a_cancelled_program_leaves_no_job(emu: Emulator) -> None:
    """Its job is cancelled once, it submits no other, and it can be run again."""
    async with opened(emu, guardian=False) as client:
        backend = QawaitBackend(client, backend="ibm_manila", shots=500)
        program = vqe(backend, iterations=2)
        await stopped(emu, program, 1)
        assert_cancelled(emu, 1)
        assert program.backend is backend
        emu.clear_scripts()
        await arun(vqe(backend, iterations=2))
    assert all(job.cancels <= 1 for job in emu.jobs())


async def test_a_hanging_service_does_not_delay_the_cancel(emu: Emulator) -> None:
    """The request that hangs is given up."""
    emu.route("GET /jobs*").hang(times=None)
    async with opened(emu, guardian=False) as client:
        program = vqe(QawaitBackend(client, backend="ibm_manila", shots=500))
        await stopped(emu, program, 1)
        assert_cancelled(emu, 1)


async def test_a_hanging_download_does_not_delay_the_cancel(emu: Emulator) -> None:
    """The job has ended, so nothing is cancelled but the wait."""
    fetched = emu.route("GET /jobs/{id}/results").hang(times=None)
    async with opened(emu, guardian=False) as client:
        program = vqe(QawaitBackend(client, backend="ibm_manila", shots=500))
        async with anyio.create_task_group() as group:
            group.start_soon(arun, program)
            await reached(lambda: fetched.hits)
            group.cancel_scope.cancel()
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(0, False)]


@pytest.mark.parametrize(("how", "jobs"), [(MERGED, 1), (APART, 3)], ids=["merged", "apart"])
async def test_a_cancelled_ensemble_leaves_no_job(
    emu: Emulator, how: BatchConfig, jobs: int
) -> None:
    """Whichever threads it has submitted them from."""
    async with opened(emu, guardian=False) as client:
        ensemble = Several(QawaitBackend(client, backend="ibm_manila", shots=500), 3)
        ensemble.create_programs()
        await stopped(emu, ensemble, jobs, batch_config=how)
        assert_cancelled(emu, jobs)


async def test_another_program_on_the_same_backend_goes_on(emu: Emulator) -> None:
    """A cancel is of one program, not of the backend that it shares."""
    async with opened(emu, guardian=False) as client:
        backend = QawaitBackend(client, backend="ibm_manila", shots=500)
        other = vqe(backend, iterations=2)
        async with anyio.create_task_group() as group:
            emu.hold()
            group.start_soon(arun, other)
            await reached(emu.jobs)
            await stopped(emu, vqe(backend), 2)
            emu.clear_scripts()
            emu.release()
    assert other.total_circuit_count > 0
    assert sum(job.cancels for job in emu.jobs()) == 1


async def test_a_program_that_fails_raises_its_error(emu: Emulator) -> None:
    """As `run()` would have."""
    emu.script(outcome="fail", times=None)
    async with opened(emu, guardian=False) as client:
        with pytest.raises(Exception, match="job") as raised:
            await arun(vqe(QawaitBackend(client, backend="ibm_manila")))
    assert raised.value.status.value == "FAILED"  # type: ignore[attr-defined]


async def test_a_program_on_another_backend_is_refused() -> None:
    """It could not be stopped."""
    from divi.backends import QiskitSimulator

    with pytest.raises(ConfigError, match="needs a program on a QawaitBackend"):
        await arun(vqe(QiskitSimulator(), iterations=1))
