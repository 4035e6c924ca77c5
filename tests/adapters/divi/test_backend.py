"""Submitting, polling and fetching as divi does it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from divi.backends import ExecutionResult
from qiskit.circuit import QuantumCircuit

import qawait
import qawait.sync
from qawait import CancelOutcome, ConfigError, QawaitError
from qawait.adapters.divi import QawaitBackend
from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

FLIP_FIRST = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
    "x q[0];\nmeasure q[0] -> c[0];\nmeasure q[1] -> c[1];\n"
)
IDLE = FLIP_FIRST.replace("x q[0];\n", "")


def finished(backend: QawaitBackend, circuits: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the results of a batch."""
    handle = backend.submit_circuits(circuits, **options)
    assert handle.is_async()
    assert backend.poll_job_status(handle, loop_until_complete=True).value == "COMPLETED"
    done = backend.get_job_results(handle)
    assert done.job_id == handle.job_id
    results: list[dict[str, Any]] = done.results
    return results


def flipped() -> QuantumCircuit:
    """Return a circuit that flips its first qubit of two."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


@pytest.mark.parametrize(
    ("circuits", "labels"),
    [
        ({"a": FLIP_FIRST, "b": FLIP_FIRST}, ["a", "b"]),
        ([FLIP_FIRST, FLIP_FIRST], ["0", "1"]),
        ([flipped()], ["0"]),
    ],
    ids=["mapping", "list", "circuits"],
)
def test_every_form_of_a_batch_is_sampled(
    backend: QawaitBackend, circuits: Any, labels: list[str]
) -> None:
    """One entry for each circuit, under its label, with all of the backend's shots."""
    expected = [{"label": label, "results": {"01": 500}} for label in labels]
    assert finished(backend, circuits) == expected


def test_shots_may_differ_by_circuit(emu: Emulator, backend: QawaitBackend) -> None:
    """All in one job."""
    found = finished(backend, {"a": FLIP_FIRST, "b": IDLE}, shot_groups=[[0, 1, 7], [1, 2, 9]])
    assert [entry["results"] for entry in found] == [{"01": 7}, {"00": 9}]
    assert len(emu.jobs()) == 1


def test_expectation_values_are_estimated(emu: Emulator, backend: QawaitBackend) -> None:
    """Each circuit's terms are those of its group; the first letter is the first qubit."""
    found = finished(
        backend,
        {"a": FLIP_FIRST, "b": IDLE},
        ham_ops="ZI;IZ|ZZ",
        circuit_ham_map=[[0, 1], [1, 2]],
    )
    assert found[0]["results"] == {"ZI": pytest.approx(-1.0), "IZ": pytest.approx(1.0)}
    assert found[1]["results"] == {"ZZ": pytest.approx(1.0)}
    assert [job.program for job in emu.jobs()] == ["estimator"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ham_ops": "ZI", "shot_groups": [[0, 1, 5]]}, ValueError),
        ({"ham_ops": "ZZZ"}, ValueError),
        ({"shot_groups": [[0, 2, 5]]}, ValueError),
        ({"shots": 7}, TypeError),
    ],
)
def test_options_that_make_no_sense_send_nothing(
    emu: Emulator, backend: QawaitBackend, options: dict[str, Any], error: type[Exception]
) -> None:
    """They are refused as divi's own backends do."""
    with pytest.raises(error):
        backend.submit_circuits([FLIP_FIRST], **options)
    assert emu.jobs() == []


@pytest.mark.parametrize("given", [FLIP_FIRST, ["not a circuit"], {}, [3]])
def test_what_is_no_batch_is_refused(emu: Emulator, backend: QawaitBackend, given: Any) -> None:
    """A single text is no batch either."""
    with pytest.raises((TypeError, ValueError)):
        backend.submit_circuits(given)
    assert emu.jobs() == []


def test_a_bad_number_of_shots_is_refused(client: qawait.sync.Client) -> None:
    """As by every runner of divi's."""
    with pytest.raises(ValueError, match="positive"):
        QawaitBackend(client, backend="ibm_manila", shots=0)


def test_what_is_no_client_is_refused() -> None:
    """As one that has not been awaited."""
    with pytest.raises(ConfigError, match="not Opening"):
        QawaitBackend(qawait.local(), backend="ibm_manila")  # type: ignore[arg-type]


def test_tags_go_on_every_job(emu: Emulator, client: qawait.sync.Client) -> None:
    """They find the jobs of one program again."""
    backend = QawaitBackend(client, backend="ibm_manila", tags=["vqe"])
    backend.submit_circuits([FLIP_FIRST])
    assert "vqe" in emu.jobs()[0].tags


def test_one_look_returns_the_status(emu: Emulator, backend: QawaitBackend) -> None:
    """Whatever it is, without waiting and without raising."""
    emu.script(outcome="fail", queue_seconds=0.5, times=1)
    handle = backend.submit_circuits([FLIP_FIRST])
    seen = {backend.poll_job_status(handle).value}
    while "FAILED" not in seen:
        seen.add(backend.poll_job_status(handle).value)
    assert seen <= {"PENDING", "RUNNING", "FAILED"}


@pytest.mark.parametrize(
    ("outcome", "name", "status"),
    [("fail", "FAILED", "FAILED"), ("too_long", "TIMED_OUT", "FAILED")],
)
def test_a_job_that_ends_badly_raises_divis_error(
    emu: Emulator, backend: QawaitBackend, outcome: str, name: str, status: str
) -> None:
    """With its id, its status, and what the service said; older releases know fewer words."""
    emu.script(outcome=outcome, times=1)
    handle = backend.submit_circuits([FLIP_FIRST])
    with pytest.raises(Exception, match=handle.job_id) as raised:
        backend.poll_job_status(handle, loop_until_complete=True)
    assert raised.value.job_id == handle.job_id  # type: ignore[attr-defined]
    assert raised.value.status.value in (name, status)  # type: ignore[attr-defined]
    assert isinstance(raised.value.__cause__, QawaitError)
    assert [job.cancels for job in emu.jobs()] == [0]


def test_a_job_cancelled_elsewhere_is_no_local_cancel(
    emu: Emulator, client: qawait.sync.Client, backend: QawaitBackend
) -> None:
    """The error is the one for the service's own cancels."""
    emu.script(outcome="complete", run_seconds=60, times=1)
    handle = backend.submit_circuits([FLIP_FIRST])
    client.attach(handle.job_id).cancel()
    with pytest.raises(Exception, match=handle.job_id) as raised:
        backend.poll_job_status(handle, loop_until_complete=True)
    assert raised.value.status.value == "CANCELLED"  # type: ignore[attr-defined]


def test_progress_is_told_in_the_calling_thread(emu: Emulator, backend: QawaitBackend) -> None:
    """From 1 on, while the job waits or runs; a callback that fails harms nobody."""
    emu.script(outcome="complete", queue_seconds=0.3, run_seconds=0.3, times=1)
    handle = backend.submit_circuits([FLIP_FIRST])
    told: list[tuple[int, str]] = []

    def tell(attempt: int, status: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((attempt, status))
        raise LookupError

    backend.poll_job_status(handle, loop_until_complete=True, progress_callback=tell)
    assert [attempt for attempt, _ in told] == list(range(1, len(told) + 1))
    assert told
    assert {status for _, status in told} <= {"PENDING", "RUNNING"}


def test_an_unknown_status_is_shown_as_it_is(emu: Emulator, backend: QawaitBackend) -> None:
    """It does not end the wait."""
    emu.script(status="Calibrating", status_seconds=0.5, run_seconds=1.0, times=1)
    told: list[str] = []
    handle = backend.submit_circuits([FLIP_FIRST])
    backend.poll_job_status(
        handle, loop_until_complete=True, progress_callback=lambda _, word: told.append(word)
    )
    assert "Calibrating" in told


def test_a_handle_from_elsewhere_is_followed(
    emu: Emulator, client: qawait.sync.Client, backend: QawaitBackend
) -> None:
    """Its circuits are not known here, so they are labelled by position."""
    job = client.submit([flipped(), flipped()], backend="ibm_manila", shots=8)
    handle = ExecutionResult(job_id=job.id)
    fresh = QawaitBackend(client, backend="ibm_manila", shots=8)
    assert fresh.poll_job_status(handle, loop_until_complete=True).value == "COMPLETED"
    found = fresh.get_job_results(handle).results
    assert found == [{"label": label, "results": {"01": 8}} for label in ("0", "1")]
    assert backend.cancel_job(handle) is CancelOutcome.ALREADY_FINAL
    assert [job.cancels for job in emu.jobs()] == [0]


def test_cancelling_what_does_not_exist_changes_nothing(backend: QawaitBackend) -> None:
    """As does cancelling what has ended."""
    assert backend.cancel_job(ExecutionResult(job_id="no-such-job")) is None


def test_a_handle_without_a_job_is_refused(backend: QawaitBackend) -> None:
    """It never was one of a submitted job."""
    with pytest.raises(ValueError, match="no job_id"):
        backend.poll_job_status(ExecutionResult(results=[]))


def test_results_of_a_job_that_runs_are_refused(emu: Emulator, backend: QawaitBackend) -> None:
    """The error says to wait."""
    emu.script(outcome="complete", run_seconds=60, times=1)
    handle = backend.submit_circuits([FLIP_FIRST])
    with pytest.raises(ConfigError, match="no result yet"):
        backend.get_job_results(handle)


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_thread_with_a_loop_is_sent_to_arun(emu: Emulator) -> None:
    """It would stand still; nothing is sent."""
    async with opened(emu) as client:
        backend = QawaitBackend(client, backend="ibm_manila")
        with pytest.raises(ConfigError, match=r"await qawait.adapters.divi.arun"):
            backend.submit_circuits([FLIP_FIRST])
    assert emu.jobs() == []
