"""The job that a primitive gives: Qiskit's methods, qawait's promises."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from qiskit.providers import JobStatus
from qiskit.providers.exceptions import JobTimeoutError

from qawait import (
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    UnknownOutcomeError,
    UnknownStatusError,
)
from qawait.adapters.qiskit import QawaitPrimitiveJob, QawaitSampler
from support.open import bell, blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    import qawait.sync
    from qawait.emulator import Emulator

BACKEND = "ibm_manila"


@pytest.fixture
def client(emu: Emulator) -> Iterator[qawait.sync.Client]:
    """Give a test a blocking client of the emulator."""
    with blocking(emu, guardian=False) as opened:
        yield opened


def started(client: qawait.sync.Client) -> QawaitPrimitiveJob[Any]:
    """Return the job of a Bell pair."""
    return QawaitSampler(client, BACKEND, default_shots=16).run([bell()])


def test_a_job_that_has_ended_says_so(client: qawait.sync.Client) -> None:
    """Every method of the face agrees, and the service is not asked again."""
    job = started(client)
    job.wait_for_final_state()
    assert job.status() is JobStatus.DONE
    assert (job.done(), job.running(), job.cancelled(), job.in_final_state()) == (
        True,
        False,
        False,
        True,
    )


def test_the_status_is_asked_for_until_it_is_final(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """Running as long as it runs, and then no further request."""
    emu.next_job(hold="running")
    job = started(client)
    emu.wait_for(job.job_id(), "Running")
    assert job.running()
    emu.release(job.job_id())
    job.result()
    asked = len(emu.ledger("GET", job_id=job.job_id()))
    assert job.done()
    assert len(emu.ledger("GET", job_id=job.job_id())) == asked


def test_the_result_is_the_same_at_every_call_from_every_thread(
    client: qawait.sync.Client,
) -> None:
    """One object, downloaded once."""
    job = started(client)
    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(lambda _: job.result(), range(10)))
    assert all(result is results[0] for result in results)


def test_a_time_limit_is_known_to_callers_of_qiskit_and_of_python(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """It leaves the job alone, which can be waited for again."""
    emu.hold()
    job = started(client)
    for kind in (TimeoutError, JobTimeoutError):
        with pytest.raises(kind, match=re.escape(job.job_id())):
            job.result(timeout=0.01)
        with pytest.raises(kind):
            job.wait_for_final_state(timeout=0.01)
    emu.release()
    assert len(job.result()) == 1
    assert emu.cancels(job.job_id()) == 0


def test_a_callback_is_told_while_the_job_is_waited_for(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """It gets id, status and handle, and never after the end."""
    emu.hold()
    job = started(client)
    told: list[tuple[Any, ...]] = []

    def callback(*given: Any) -> None:
        told.append(given)
        if len(told) == 3:
            emu.release()

    job.wait_for_final_state(wait=0.01, callback=callback)
    assert told[:3] == [(job.job_id(), JobStatus.QUEUED, job)] * 3
    assert job.done()


def test_a_failure_says_why_every_time(emu: Emulator, client: qawait.sync.Client) -> None:
    """Reason and id are in the error of each call."""
    emu.next_job(outcome="fail", reason="no luck")
    job = started(client)
    for _ in range(2):
        with pytest.raises(JobFailedError, match="no luck") as raised:
            job.result()
        assert raised.value.job_id == job.job_id()
    assert job.status() is JobStatus.ERROR


def test_a_job_that_ran_too_long_is_over(emu: Emulator, client: qawait.sync.Client) -> None:
    """The service's odd word for it is a final state, so nobody waits for ever."""
    emu.next_job(outcome="too_long")
    job = started(client)
    with pytest.raises(JobTimedOutError):
        job.result()
    assert job.in_final_state()


def test_cancelling_often_cancels_once(emu: Emulator, client: qawait.sync.Client) -> None:
    """True as long as the job could still be cancelled, false afterwards."""
    emu.hold()
    job = started(client)
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(lambda _: job.cancel(), range(3)))
    with pytest.raises(JobCancelledError):
        job.result()
    assert job.cancelled()
    assert job.cancel() is False
    assert emu.cancels(job.job_id()) == 1


def test_a_finished_job_is_not_cancelled(emu: Emulator, client: qawait.sync.Client) -> None:
    """No request is made for it."""
    job = started(client)
    job.result()
    assert job.cancel() is False
    assert emu.cancels(job.job_id()) == 0


def test_a_cancel_that_is_not_accepted_is_an_error(
    emu: Emulator, client: qawait.sync.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither true nor false."""
    monkeypatch.setattr("qawait.limits.CANCEL_BOUND_SECONDS", 0.3)
    emu.hold()
    refused = emu.route("POST /jobs/{id}/cancel").fail(status=500, when="before", times=None)
    job = started(client)
    with pytest.raises(UnknownOutcomeError, match=re.escape(job.job_id())):
        job.cancel()
    refused.remove()


def test_an_unknown_status_is_an_error(emu: Emulator, client: qawait.sync.Client) -> None:
    """It is not taken for another one, and the job goes on."""
    emu.next_job(status="Pondering", hold="running")
    job = started(client)
    emu.wait_for(job.job_id(), "Running")
    with pytest.raises(UnknownStatusError, match="Pondering"):
        job.status()


def test_a_lost_connection_is_no_failed_job(emu: Emulator, client: qawait.sync.Client) -> None:
    """The error is about the request; the job is as it was and gives its result later."""
    emu.hold()
    job = started(client)
    lost = emu.route("GET /jobs/{id}").reset(when="before", times=None)
    with pytest.raises(UnknownOutcomeError):
        job.status()
    assert not job.job.status.is_final
    lost.remove()
    emu.release()
    assert len(job.result()) == 1


def test_showing_a_job_asks_nobody(emu: Emulator, client: qawait.sync.Client) -> None:
    """Its text has the id and what was last seen."""
    job = started(client)
    job.result()
    asked = len(emu.ledger())
    assert job.job_id() in repr(job)
    assert len(emu.ledger()) == asked
