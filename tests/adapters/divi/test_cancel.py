"""What becomes of the job when divi's cancellation event is set, whenever that is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from divi.backends import ExecutionResult
from divi.exceptions import ExecutionCancelledError

from qawait import QawaitError
from support.killing import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import qawait.sync
    from qawait.adapters.divi import QawaitBackend
    from qawait.emulator import Emulator

FLIP = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nx q[0];\nmeasure q[0] -> c[0];\n'
)
SOON = 20.0
"""Seconds within which anything that is awaited has long happened."""


@pytest.fixture(autouse=True)
def endless(emu: Emulator) -> None:
    """Let jobs run for long without being executed."""
    emu.script(outcome="complete", run_seconds=600, times=None)


@pytest.fixture
def event() -> threading.Event:
    """Give a test an event as divi makes one."""
    return threading.Event()


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    """Run `work()` in a thread, and collect what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - judged by the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def poll(backend: QawaitBackend, handle: Any, event: threading.Event) -> Any:
    """Wait for a job as a program does."""
    return backend.poll_job_status(
        handle, loop_until_complete=True, verbose=False, cancellation_event=event
    )


def test_set_before_the_submit(
    emu: Emulator, backend: QawaitBackend, event: threading.Event
) -> None:
    """Nothing is sent."""
    event.set()
    with pytest.raises(ExecutionCancelledError):
        backend.submit_circuits([FLIP], cancellation_event=event)
    assert emu.jobs() == []


def test_set_while_the_submit_is_in_flight(
    emu: Emulator, backend: QawaitBackend, event: threading.Event
) -> None:
    """The id is learnt, the job cancelled once, and only then is the error raised."""
    emu.route("POST /jobs").delay(0.5, when="after")
    work = lambda: backend.submit_circuits([FLIP], cancellation_event=event)  # noqa: E731
    thread, raised = in_background(work)
    until(emu.jobs, SOON)
    event.set()
    thread.join(SOON)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    assert emu.jobs()[0].id in str(raised[0])
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)]


def test_set_between_submit_and_poll(
    emu: Emulator, backend: QawaitBackend, event: threading.Event
) -> None:
    """The job is cancelled although nobody comes back for it."""
    backend.submit_circuits([FLIP], cancellation_event=event)
    event.set()
    until(lambda: not emu.live(), SOON)
    assert [job.cancels for job in emu.jobs()] == [1]


@pytest.mark.parametrize("hangs", [False, True], ids=["answered", "hanging"])
def test_set_while_polling(
    emu: Emulator, backend: QawaitBackend, event: threading.Event, *, hangs: bool
) -> None:
    """The wait ends though no status request is answered; divi's own cancel adds none."""
    asked = emu.route("GET /jobs*").hang(times=None) if hangs else None
    handle = backend.submit_circuits([FLIP], cancellation_event=event)
    thread, raised = in_background(lambda: poll(backend, handle, event))
    if asked is not None:
        until(lambda: asked.hits, SOON)
    event.set()
    thread.join(SOON)
    assert [type(error) for error in raised] == [ExecutionCancelledError]
    backend.cancel_job(handle)
    assert [job.cancels for job in emu.jobs()] == [1]


def test_a_job_that_ends_first_is_completed(
    emu: Emulator, backend: QawaitBackend, event: threading.Event
) -> None:
    """A cancel that the job outruns is no cancel: the results can be had."""
    emu.clear_scripts()
    emu.script(outcome="run", run_seconds=0.5, ignore_cancel=True, times=1)
    handle = backend.submit_circuits([FLIP], cancellation_event=event)
    until(lambda: backend.poll_job_status(handle).value == "COMPLETED", SOON)
    event.set()
    assert poll(backend, handle, event).value == "COMPLETED"
    assert [job.cancels for job in emu.jobs()] == [0]


def test_many_cancels_of_many_threads_send_one(emu: Emulator, backend: QawaitBackend) -> None:
    """While another thread polls."""
    handle = backend.submit_circuits([FLIP])
    thread, raised = in_background(
        lambda: backend.poll_job_status(handle, loop_until_complete=True, verbose=False)
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(backend.cancel_job, [handle] * 8))
    thread.join(SOON)
    assert raised[0].status.value == "CANCELLED"  # type: ignore[attr-defined]
    assert [job.cancels for job in emu.jobs()] == [1]


def test_a_finished_job_is_sent_no_cancel(emu: Emulator, backend: QawaitBackend) -> None:
    """Which divi asks for when an ensemble without merging is stopped."""
    emu.clear_scripts()
    handle = backend.submit_circuits([FLIP])
    backend.poll_job_status(handle, loop_until_complete=True)
    backend.get_job_results(handle)
    backend.cancel_job(handle)
    backend.cancel_job(ExecutionResult(job_id=handle.job_id))
    assert [job.cancels for job in emu.jobs()] == [0]


def test_a_job_that_cannot_be_followed_is_cancelled(
    emu: Emulator, backend: QawaitBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Divi drops its handle at any error, so nobody would be left to do it."""
    monkeypatch.setattr("qawait.limits.UNKNOWN_STATUS_SECONDS", 0.1)
    emu.clear_scripts()
    emu.script(status="Mystery", outcome="complete", run_seconds=600, times=1)
    handle = backend.submit_circuits([FLIP])
    with pytest.raises(QawaitError, match="Mystery"):
        backend.poll_job_status(handle, loop_until_complete=True)
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)]


def test_a_job_of_others_that_cannot_be_followed_is_left_alone(
    emu: Emulator,
    client: qawait.sync.Client,
    backend: QawaitBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is followed, not owned."""
    monkeypatch.setattr("qawait.limits.UNKNOWN_STATUS_SECONDS", 0.1)
    emu.clear_scripts()
    emu.script(status="Mystery", outcome="complete", run_seconds=600, times=1)
    job = client.submit(
        "OPENQASM 3.0; bit[1] c; c[0] = measure $0;", backend="ibm_manila", on_cancel="detach"
    )
    with pytest.raises(QawaitError, match="Mystery"):
        backend.poll_job_status(ExecutionResult(job_id=job.id), loop_until_complete=True)
    assert [job.cancels for job in emu.jobs()] == [0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_stumbles_does_not_end_the_wait(
    emu: Emulator, backend: QawaitBackend, status: int
) -> None:
    """A status query that fails is asked again."""
    emu.clear_scripts()
    harmed = emu.route("GET /jobs*").fail(status, times=2)
    handle = backend.submit_circuits([FLIP])
    assert backend.poll_job_status(handle, loop_until_complete=True).value == "COMPLETED"
    assert harmed.hits == 2


def test_closing_the_client_cancels_what_was_left(
    emu: Emulator, client: qawait.sync.Client, backend: QawaitBackend
) -> None:
    """As for any job of the client."""
    backend.submit_circuits([FLIP])
    client.close()
    assert [(job.cancels, job.live) for job in emu.jobs()] == [(1, False)]


def test_a_local_cancel_is_told_as_one(
    emu: Emulator, backend: QawaitBackend, event: threading.Event
) -> None:
    """Also if the job has ended by it before the wait has seen the event."""
    handle = backend.submit_circuits([FLIP])
    backend.cancel_job(handle)
    until(lambda: backend.poll_job_status(handle).value == "CANCELLED", SOON)
    event.set()
    with pytest.raises(ExecutionCancelledError):
        poll(backend, handle, event)
    assert [job.cancels for job in emu.jobs()] == [1]
