"""The job that qrisp is given: its contract, and where its own adapters break it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from qrisp.interface import (
    Job,
    JobCancelledError,
    JobFailureError,
    JobResult,
    JobStatus,
)

from qawait import (
    AuthError,
    JobFailedError,
    JobTimedOutError,
    QawaitError,
    RejectedError,
    UnknownOutcomeError,
    UnknownStatusError,
)

if TYPE_CHECKING:
    from qrisp import QuantumCircuit

    from qawait.adapters.qrisp import QawaitBackend
    from qawait.emulator import Emulator


def test_a_job_is_on_its_way_when_it_is_given(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """It has its remote id, its backend, and was never seen as INITIALIZING."""
    emu.hold()
    job = backend.run_async(flip)
    assert isinstance(job, Job)
    assert job.last_known_status is JobStatus.QUEUED
    assert job.backend is backend
    assert [seen.id for seen in emu.jobs()] == [job.job_id]


def test_the_result_is_the_same_object_for_everyone(
    backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """From five threads, at every call."""
    job = backend.run_async(flip)
    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(lambda _: job.result(), range(10)))
    assert isinstance(results[0], JobResult)
    assert all(result is results[0] for result in results)
    assert results[0].all_counts == [{"01": 16}]
    assert results[0].metadata["job_id"] == job.job_id
    assert job.last_known_status is JobStatus.DONE


def test_a_time_limit_is_pythons_and_harms_nothing(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The job goes on, and its result is had by the next call."""
    emu.hold()
    job = backend.run_async(flip)
    for _ in range(2):
        with pytest.raises(TimeoutError, match=re.escape(str(job.job_id))):
            job.result(timeout=0.01)
    assert job.last_known_status is JobStatus.QUEUED
    emu.release()
    assert job.result(timeout=60).get_counts() == {"01": 16}
    assert emu.cancels(str(job.job_id)) == 0


def test_a_time_limit_does_not_matter_once_the_job_has_ended(
    backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """What is there is returned at once."""
    job = backend.run_async(flip)
    result = job.result()
    assert job.result(timeout=0) is result


def test_a_failure_has_its_cause_every_time(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Also in the second call, and with the job's id."""
    emu.next_job(outcome="fail", reason="no luck")
    job = backend.run_async(flip)
    for _ in range(3):
        with pytest.raises(JobFailureError, match="no luck") as raised:
            job.result()
        assert isinstance(raised.value.__cause__, JobFailedError)
        assert str(job.job_id) in str(raised.value)
    assert job.status() is JobStatus.ERROR


def test_a_job_that_ran_too_long_has_failed(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The service's odd word for it is final: nobody waits for ever."""
    emu.next_job(outcome="too_long")
    job = backend.run_async(flip)
    with pytest.raises(JobFailureError) as raised:
        job.result()
    assert isinstance(raised.value.__cause__, JobTimedOutError)
    assert job.in_final_state()


def test_a_cancelled_job_says_so(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Whoever cancelled it."""
    emu.hold()
    job = backend.run_async(flip)
    backend.retrieve_job(str(job.job_id)).cancel()
    with pytest.raises(JobCancelledError, match=re.escape(str(job.job_id))):
        job.result()
    assert job.cancelled()


def test_a_lost_connection_is_no_failed_job(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Neither asking nor fetching ends the job or spoils a later call."""
    job = backend.run_async(flip)
    job.job.wait()
    lost = emu.route("GET /jobs/{id}/results").reset(when="before", times=None)
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError):
            job.result()
        assert job.last_known_status is JobStatus.DONE
    lost.remove()
    assert job.result().get_counts() == {"01": 16}


def test_a_result_that_cannot_be_read_is_an_error_every_time(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The second call does not return `None`."""
    job = backend.run_async(flip)
    job.job.wait()
    emu.route("GET /jobs/{id}/results").replace("{", times=None)
    for _ in range(2):
        with pytest.raises(QawaitError):
            job.result()


def test_a_refused_key_is_not_taken_for_a_running_job(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The status is an error, and the job as it was."""
    emu.hold()
    job = backend.run_async(flip)
    refused = emu.route("GET /jobs/{id}").fail(status=401, when="before", times=None)
    with pytest.raises(AuthError):
        job.status()
    assert job.last_known_status is JobStatus.QUEUED
    refused.remove()
    assert job.status() is JobStatus.QUEUED


def test_an_unknown_status_is_not_taken_for_running(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """It is an error that has the service's word."""
    emu.next_job(status="Pondering", hold="running")
    job = backend.run_async(flip)
    emu.wait_for(str(job.job_id), "Running")
    with pytest.raises(UnknownStatusError, match="Pondering"):
        job.status()


def test_the_status_is_asked_for_until_it_is_final(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """`refresh` is the same; nothing is asked about a job that has ended."""
    emu.next_job(hold="running")
    job = backend.run_async(flip)
    emu.wait_for(str(job.job_id), "Running")
    assert job.running()
    assert job.refresh() is JobStatus.RUNNING
    emu.release(str(job.job_id))
    job.result()
    asked = len(emu.ledger())
    assert job.status() is job.refresh() is JobStatus.DONE
    assert job.done()
    assert len(emu.ledger()) == asked


def test_cancelling_often_cancels_once(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """True while the job could be cancelled, false once it has ended."""
    emu.hold()
    job = backend.run_async(flip)
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(lambda _: job.cancel(), range(3)))
    with pytest.raises(JobCancelledError):
        job.result()
    assert job.cancel() is False
    assert emu.cancels(str(job.job_id)) == 1


def test_a_finished_job_is_not_cancelled(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """False, without a request."""
    job = backend.run_async(flip)
    job.result()
    assert job.cancel() is False
    assert emu.cancels(str(job.job_id)) == 0


def test_a_cancel_that_comes_too_late_is_false(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The job had ended although nobody here knew."""
    job = backend.run_async(flip)
    emu.wait_for(str(job.job_id), "Completed")
    assert job.cancel() is False
    assert job.result().get_counts() == {"01": 16}


def test_a_refused_cancel_is_not_taken_for_a_finished_job(
    emu: Emulator,
    backend: QawaitBackend,
    flip: QuantumCircuit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is neither true nor false, and the job is waited for as before."""
    monkeypatch.setattr("qawait.limits.CANCEL_BOUND_SECONDS", 0.3)
    emu.hold()
    job = backend.run_async(flip)
    refused = emu.route("POST /jobs/{id}/cancel").fail(status=403, when="before", times=None)
    with pytest.raises(UnknownOutcomeError, match=re.escape(str(job.job_id))):
        job.cancel()
    assert job.last_known_status is JobStatus.QUEUED
    refused.remove()


def test_a_server_may_finish_a_job_whose_cancel_it_accepted(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """True means accepted; the result is there all the same."""
    emu.next_job(ignore_cancel=True, hold="queued")
    job = backend.run_async(flip)
    assert job.cancel() is True
    emu.release(str(job.job_id))
    emu.wait_for(str(job.job_id), "Completed")
    assert job.status() is JobStatus.DONE
    assert job.result().get_counts() == {"01": 16}


def test_showing_a_job_asks_nobody(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Its text has the id and what was last seen."""
    emu.hold()
    job = backend.run_async(flip)
    emu.clear_ledger()
    assert repr(job) == f"QawaitJob(job_id={job.job_id!r}, status=QUEUED)"
    assert not emu.ledger("GET", "/jobs/{id}")


def test_a_job_that_the_service_lost_has_failed(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Status and error agree, and the cause is the service's answer."""
    emu.hold()
    job = backend.run_async(flip)
    emu.route("GET /jobs/{id}").fail(status=404, when="before", times=None)
    emu.route("GET /jobs").replace('{"jobs": [], "count": 0}', times=None)
    with pytest.raises(JobFailureError) as raised:
        job.result()
    assert isinstance(raised.value.__cause__, RejectedError)
    assert job.status() is JobStatus.ERROR


def test_a_retrieved_job_gives_its_result(backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """By its id alone, ended or not."""
    job_id = str(backend.run_async(flip).job_id)
    assert backend.retrieve_job(job_id).result().get_counts() == {"01": 16}


def test_a_job_of_nobody_cannot_be_retrieved(backend: QawaitBackend) -> None:
    """It is a `LookupError`, as qrisp documents it."""
    with pytest.raises(LookupError, match="no-such-job"):
        backend.retrieve_job("no-such-job")


def test_a_retrieved_job_is_left_alone_by_who_stops_waiting(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Cancelling it is possible, and done once."""
    emu.hold()
    job = backend.retrieve_job(str(backend.run_async(flip).job_id))
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    assert emu.cancels(str(job.job_id)) == 0
    assert job.cancel() is True


def test_a_thread_that_waits_hears_of_a_cancel_in_another(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Waiting ends with the error, not with the thread."""
    emu.hold()
    job = backend.run_async(flip)
    heard: list[Any] = []

    def wait() -> None:
        try:
            job.result()
        except JobCancelledError as error:
            heard.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert job.cancel() is True
    waiting.join(20)
    assert len(heard) == 1
