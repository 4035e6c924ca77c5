"""Programs of qrisp, stopped in every way: what becomes of their jobs."""

from __future__ import annotations

import signal
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from qrisp import QuantumCircuit, QuantumFloat

from qawait import ConfigError, QawaitError
from qawait.adapters.qrisp import QawaitBackend
from support.killing import assert_settled, interrupting, program, until
from support.open import blocking, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    import qawait.sync
    from qawait.emulator import Emulator

VICTIM = Path(__file__).parents[2] / "support" / "adapter_victim.py"
BACKEND = "ibm_manila"


def measured(backend: QawaitBackend) -> Any:
    """Measure a variable."""
    number = QuantumFloat(1)
    number[:] = 1
    return number.get_measurement(backend=backend)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_program_leaves_no_job(own_emu: Emulator, number: signal.Signals) -> None:
    """One cancel, from within or by the guardian."""
    with program(own_emu, "measure", victim=VICTIM) as started:
        until(lambda: bool(own_emu.live()), within=60)
        started.stop(number)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)


def test_two_interrupts_during_the_submit_leave_no_job(own_emu: Emulator) -> None:
    """The service has accepted the job, and nobody knows its id."""
    own_emu.route("POST /jobs").delay(1.0, when="after")
    with program(own_emu, "measure", victim=VICTIM) as started:
        until(lambda: bool(own_emu.live()), within=60)
        started.stop(signal.SIGINT, times=2)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=1)


def test_an_interrupted_dispatch_leaves_no_job(own_emu: Emulator) -> None:
    """Each of its jobs is cancelled once."""
    with program(own_emu, "dispatch", 3, victim=VICTIM) as started:
        until(lambda: len(own_emu.live()) == 3, within=60)
        started.stop(signal.SIGINT)
        assert started.ends(within=20)
        assert_settled(own_emu, jobs=3)


def test_an_interrupt_does_not_wait_for_a_request_that_hangs(
    emu: Emulator, backend: QawaitBackend
) -> None:
    """The cancel goes past it, and the error says what became of the job."""
    emu.hold()
    hung = emu.route("GET /jobs*").hang(when="before", times=None)
    with (
        interrupting(lambda: bool(hung.hits and emu.live())),
        pytest.raises(KeyboardInterrupt) as stopped,
    ):
        measured(backend)
    (job,) = emu.jobs()
    assert job.cancels == 1
    assert job.id in stopped.value.__notes__[0]
    hung.remove()


@pytest.mark.filterwarnings("ignore:. circuits are sent as")
def test_an_interrupt_leaves_finished_jobs_alone(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """Of a batch's jobs only the live ones are cancelled."""
    batched = QawaitBackend(client, backend=BACKEND, max_circuits=1).batched()
    emu.script(outcome="run", hold="queued", times=1)
    batched.run([flip] * 2)

    def one_is_left() -> bool:
        return len(emu.jobs()) == 2 and len(emu.live()) == 1 and len(fetched()) == 1

    fetched = partial(emu.ledger, "GET", "/jobs/{id}/results")
    with interrupting(one_is_left), pytest.raises(KeyboardInterrupt):
        batched.dispatch()
    assert sorted(job.cancels for job in emu.jobs()) == [0, 1]


def trouble_with_the_poll(emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """Lose the connection while asking for the status."""
    job = backend.run_async(flip)
    emu.route("GET /jobs/{id}").reset(when="before", times=None)
    job.status()


def trouble_with_the_time(_: Emulator, backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """Wait no longer than allowed."""
    backend.run_async(flip).result(timeout=0.01)


def trouble_with_the_status(emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """Be told a status that nobody documented."""
    job = backend.run_async(flip)
    emu.route("GET /jobs/{id}").replace(
        f'{{"id": "{job.job_id}", "status": "Pondering", "state": {{"status": "Pondering"}}}}'
    )
    job.status()


@pytest.mark.parametrize(
    "trouble", [trouble_with_the_poll, trouble_with_the_time, trouble_with_the_status]
)
def test_an_error_that_ends_the_program_leaves_no_job(
    emu: Emulator, flip: QuantumCircuit, trouble: Callable[..., None]
) -> None:
    """Leaving the client cancels what the error left running, once."""
    emu.hold()
    with (
        pytest.raises((QawaitError, TimeoutError)),
        blocking(emu, guardian=False) as client,
    ):
        trouble(emu, QawaitBackend(client, backend=BACKEND), flip)
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)]


@pytest.mark.anyio
async def test_a_loop_is_not_blocked_by_a_program_in_a_thread(emu: Emulator) -> None:
    """It goes on while the program waits, and hears of the result."""
    emu.hold()
    async with opened(emu, guardian=False) as client:
        backend = QawaitBackend(client, backend=BACKEND)
        results: list[Any] = []

        async def work() -> None:
            results.append(await anyio.to_thread.run_sync(measured, backend))

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await anyio.to_thread.run_sync(partial(until, lambda: bool(emu.live()), within=60))
            assert not results
            emu.release()
    assert results == [{1: 1.0}]


@pytest.mark.anyio
async def test_a_program_on_the_loop_itself_is_refused(emu: Emulator) -> None:
    """It would stop the loop; nothing is sent."""
    async with opened(emu, guardian=False) as client:
        backend = QawaitBackend(client, backend=BACKEND)
        with pytest.raises(ConfigError, match="await the same call"):
            measured(backend)
    assert not emu.jobs()


@pytest.mark.anyio
async def test_a_cancelled_task_stops_the_program_in_its_thread(emu: Emulator) -> None:
    """Leaving the client cancels the live job once; the program ends and sends no other."""
    emu.hold()
    ended = threading.Event()

    def many(backend: QawaitBackend) -> None:
        try:
            for _ in range(100):
                measured(backend)
        finally:
            ended.set()

    async with anyio.create_task_group() as group:

        async def work() -> None:
            async with opened(emu, guardian=False) as client:
                backend = QawaitBackend(client, backend=BACKEND)
                await anyio.to_thread.run_sync(many, backend, abandon_on_cancel=True)

        group.start_soon(work)
        await anyio.to_thread.run_sync(partial(until, lambda: bool(emu.live()), within=60))
        group.cancel_scope.cancel()
    assert ended.wait(20)
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)]
