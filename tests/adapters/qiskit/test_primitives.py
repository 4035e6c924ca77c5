"""Qiskit's two primitives on a client: pubs in, Qiskit's results out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, QuantumRegister
from qiskit.primitives import (
    BaseEstimatorV2,
    BasePrimitiveJob,
    BaseSamplerV2,
    PrimitiveResult,
    StatevectorEstimator,
)

from qawait import ConfigError
from qawait.adapters.qiskit import QawaitEstimator, QawaitSampler
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


def turned() -> QuantumCircuit:
    """Return a circuit with one parameter, whose Z is its cosine."""
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("angle"), 0)
    return circuit


def shots_of(result: Any) -> list[int]:
    """Return how many shots each pub of a result has."""
    return [pub.join_data().num_shots for pub in result]


def test_they_are_primitives_of_qiskit(client: qawait.sync.Client) -> None:
    """Whoever asks for the base classes is given one of them."""
    sampler, estimator = QawaitSampler(client, BACKEND), QawaitEstimator(client, BACKEND)
    assert isinstance(sampler, BaseSamplerV2)
    assert isinstance(estimator, BaseEstimatorV2)
    job = sampler.run([bell()])
    assert isinstance(job, BasePrimitiveJob)
    assert isinstance(job.result(), PrimitiveResult)


def test_shots_of_a_pub_go_before_those_of_the_run_and_the_sampler(
    client: qawait.sync.Client,
) -> None:
    """The nearest says how many."""
    sampler = QawaitSampler(client, BACKEND, default_shots=30)
    assert shots_of(sampler.run([(bell(), None, 10), (bell(),)], shots=20).result()) == [10, 20]
    assert shots_of(sampler.run([bell()]).result()) == [30]


def test_registers_keep_their_names(client: qawait.sync.Client) -> None:
    """Each is a field of the result, as with Qiskit's own sampler."""
    registers = ClassicalRegister(1, "left"), ClassicalRegister(2, "right")
    circuit = QuantumCircuit(QuantumRegister(2), *registers)
    circuit.x(1)
    circuit.measure(0, registers[0][0])
    circuit.measure(1, registers[1][1])
    (pub,) = QawaitSampler(client, BACKEND).run([circuit], shots=8).result()
    assert pub.data.left.get_counts() == {"0": 8}
    assert pub.data.right.get_counts() == {"10": 8}


def test_values_have_the_shape_of_the_parameters(client: qawait.sync.Client) -> None:
    """Observables and parameter sets are broadcast, and agree with Qiskit within 5 sigma."""
    angles = np.linspace(0, np.pi, 4).reshape(4, 1)
    pub = (turned(), [["Z"], ["X"]], angles)
    (ours,) = QawaitEstimator(client, BACKEND, default_precision=0.02).run([pub]).result()
    (exact,) = StatevectorEstimator().run([pub]).result()
    assert ours.data.evs.shape == (2, 4)
    assert np.all(np.abs(ours.data.evs - exact.data.evs) <= 5 * 0.02)


def test_a_precision_of_the_run_goes_before_that_of_the_estimator(
    client: qawait.sync.Client,
) -> None:
    """A pub without one gets it."""
    estimator = QawaitEstimator(client, BACKEND, default_precision=0.5)
    (pub,) = estimator.run([(turned(), "Z", [0.1])], precision=0.05).result()
    assert pub.metadata["target_precision"] == pytest.approx(0.05)


def test_pubs_may_come_from_any_iterable(client: qawait.sync.Client) -> None:
    """A tuple of circuits is several pubs, a circuit alone is one."""
    sampler = QawaitSampler(client, BACKEND, default_shots=4)
    assert len(sampler.run((bell(), bell())).result()) == 2
    assert len(sampler.run(circuit for circuit in [bell()]).result()) == 1
    assert len(sampler.run(bell()).result()) == 1


def test_keywords_of_the_job_reach_the_service(emu: Emulator, client: qawait.sync.Client) -> None:
    """Tags and time limit are given once, to the primitive."""
    sampler = QawaitSampler(client, BACKEND, tags=["mine"], max_execution_time=77)
    sampler.run([bell()], shots=1).result()
    (job,) = emu.jobs()
    assert "mine" in job.tags
    assert job.cost == 77


def test_what_is_wrong_is_said_before_anything_is_sent(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """Nothing measured, no such option, no pubs."""
    with pytest.raises(ConfigError, match="measures nothing"):
        QawaitSampler(client, BACKEND).run([turned().assign_parameters([0.1])])
    with pytest.raises(ConfigError, match="no option"):
        QawaitSampler(client, BACKEND, options={"shoots": 1}).run([bell()])
    with pytest.raises(ConfigError, match="empty"):
        QawaitEstimator(client, BACKEND).run([])
    assert not emu.jobs()


def test_an_algorithm_runs_in_a_session(emu: Emulator, client: qawait.sync.Client) -> None:
    """A primitive made from a session needs no backend, and its jobs are the session's."""
    with client.session(BACKEND) as session:
        QawaitSampler(session, default_shots=1).run([bell()]).result()
        QawaitEstimator(session).run([(turned(), "Z", [0.1])]).result()
        assert {job.session_id for job in emu.jobs()} == {session.id}


def test_a_scope_owns_what_a_primitive_sends(client: qawait.sync.Client) -> None:
    """A primitive made from a scope has its jobs waited for when the scope is left."""
    with client.scope() as scope:
        job = QawaitSampler(scope, BACKEND, default_shots=1).run([bell()])
    assert job.job.status.is_final
