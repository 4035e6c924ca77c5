"""The backend that qrisp is given: circuits, shots, options and what it tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sympy
from qrisp import QuantumCircuit
from qrisp.interface import Backend, JobFailureError, MeasurementResult

from qawait import ConfigError, JobFailedError
from qawait.adapters.qrisp import QawaitBackend, QawaitJob

if TYPE_CHECKING:
    import qawait.sync
    from qawait.emulator import Emulator


def test_circuits_come_alone_in_a_list_or_in_a_tuple(
    backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """One dictionary for each, in their order."""
    none = QuantumCircuit(1, 1)
    none.measure(0, 0)
    assert isinstance(backend, Backend)
    assert isinstance(backend.run_async(flip), QawaitJob)
    for given in ([flip, none], (flip, none)):
        assert backend.run_async(given).result().all_counts == [{"01": 16}, {"0": 16}]


def test_each_circuit_has_its_own_shots(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """In one job, and not the most of them for all."""
    result = backend.run_async([flip, flip], shots=[5, 9]).result()
    assert result.all_counts == [{"01": 5}, {"01": 9}]
    assert len(emu.jobs()) == 1


def test_shots_come_from_the_option_when_none_are_given(
    backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """As it is at that time."""
    assert backend.run_async(flip).result().get_counts() == {"01": 16}
    backend.update_options(shots=7)
    assert backend.run_async(flip).result().get_counts() == {"01": 7}


@pytest.mark.parametrize(
    ("shots", "kind"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError), ([1, 2], ValueError)],
)
def test_wrong_shots_are_refused_before_anything_is_sent(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit, shots: Any, kind: type[Exception]
) -> None:
    """By the kinds of error that qrisp documents."""
    for call in (backend.run_async, backend.run):
        with pytest.raises(kind):
            call(flip, shots)
    assert not emu.jobs()


def test_too_many_circuits_are_refused(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """The limit is the one that was given."""
    small = QawaitBackend(client, backend="ibm_manila", max_circuits=2)
    with pytest.raises(ValueError, match="at most 2"):
        small.run_async([flip] * 3)
    assert small.max_circuits == 2
    assert not emu.jobs()


def test_options_are_qrisps(client: qawait.sync.Client, backend: QawaitBackend) -> None:
    """1024 shots unless given, read-only, updated all or none."""
    assert QawaitBackend(client, backend="ibm_manila").options == {"shots": 1024}
    with pytest.raises(AttributeError, match="shoots"):
        backend.update_options(shots=3, shoots=4)
    assert backend.options["shots"] == 16
    with pytest.raises(ValueError, match="positive"):
        QawaitBackend(client, backend="ibm_manila", options={"shots": 0})


@pytest.mark.parametrize("wrong", ["text", [1], [None]])
def test_what_is_no_circuit_is_refused(emu: Emulator, backend: QawaitBackend, wrong: Any) -> None:
    """The error says what was expected; nothing is sent."""
    with pytest.raises(ConfigError, match=r"give a qrisp\.QuantumCircuit"):
        backend.run_async(wrong)
    assert not emu.jobs()


def test_a_parameter_without_a_value_is_refused(emu: Emulator, backend: QawaitBackend) -> None:
    """The error names it; nothing is sent."""
    circuit = QuantumCircuit(1, 1)
    circuit.rx(sympy.Symbol("angle"), 0)
    circuit.measure(0, 0)
    with pytest.raises(ConfigError, match="'angle'"):
        backend.run_async(circuit)
    assert not emu.jobs()


def test_an_unmeasured_circuit_is_refused(emu: Emulator, backend: QawaitBackend) -> None:
    """It would give nothing."""
    with pytest.raises(ConfigError, match="measures nothing"):
        backend.run_async(QuantumCircuit(1))
    assert not emu.jobs()


def test_the_first_bit_is_rightmost_and_none_is_missing(backend: QawaitBackend) -> None:
    """A string has as many characters as the circuit has bits, measured or not."""
    circuit = QuantumCircuit(3, 3)
    circuit.x(2)
    circuit.measure(2, 0)
    assert backend.run_async(circuit).result().get_counts() == {"001": 16}


def test_run_returns_what_can_be_read_at_once(backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """One result for a circuit, a list for a list."""
    alone = backend.run(flip)
    assert isinstance(alone, MeasurementResult)
    assert alone == {"01": 16}
    assert backend.run([flip, flip], [1, 2]) == [{"01": 1}, {"01": 2}]


def test_run_fails_as_a_job_does(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """The error is qrisp's, its cause qawait's."""
    emu.next_job(outcome="fail", reason="no luck")
    with pytest.raises(JobFailureError, match="no luck") as raised:
        backend.run(flip)
    assert isinstance(raised.value.__cause__, JobFailedError)


def test_run_is_given_up_after_the_backends_time_limit(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """Nobody has its handle, so the job is cancelled; the error names it."""
    emu.hold()
    hasty = QawaitBackend(client, backend="ibm_manila", timeout=0.5)
    with pytest.raises(TimeoutError) as raised:
        hasty.run(flip)
    (job,) = emu.jobs()
    assert job.id in str(raised.value)
    assert (job.cancels, job.live) == (1, False)


def test_a_detached_job_outlives_the_time_limit(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """It can be retrieved."""
    emu.hold()
    hasty = QawaitBackend(client, backend="ibm_manila", timeout=0.5, on_cancel="detach")
    with pytest.raises(TimeoutError):
        hasty.run(flip)
    (job,) = emu.jobs()
    assert job.cancels == 0
    emu.release()
    assert hasty.retrieve_job(job.id).result().num_circuits == 1


def test_the_device_is_described(backend: QawaitBackend) -> None:
    """Qubits, gates and pairs are the service's; its text needs no request."""
    assert backend.name == "ibm_manila"
    assert backend.num_qubits == 5
    assert (0, 1) in backend.connectivity
    assert "cx" in backend.gate_set
    assert "ibm_manila" in repr(backend)


def test_a_backend_that_was_asked_for_is_taken(
    client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """By its value instead of its name."""
    backend = QawaitBackend(client, backend=client.backend("ibm_manila"))
    assert backend.num_qubits == 5
    assert backend.run(flip, shots=3) == {"01": 3}


def test_keywords_of_the_job_reach_the_service(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """Tags and time limit are given once, to the backend."""
    tagged = QawaitBackend(client, backend="ibm_manila", tags=["mine"], max_execution_time=77)
    tagged.run(flip, shots=1)
    (job,) = emu.jobs()
    assert "mine" in job.tags
    assert job.cost == 77
