"""A batch: gathered, sent at once, waited for as often as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qrisp import QuantumCircuit
from qrisp.interface import BatchedBackend, JobCancelledError, JobFailureError

from qawait import ConfigError, RejectedError
from qawait.adapters.qrisp import QawaitBackend
from support.killing import interrupting, until

if TYPE_CHECKING:
    import qawait.sync
    from qawait.emulator import Emulator


def cut_up(client: qawait.sync.Client) -> QawaitBackend:
    """Return a backend that takes one circuit in a job."""
    return QawaitBackend(client, backend="ibm_manila", max_circuits=1, options={"shots": 4})


pytestmark = pytest.mark.filterwarnings("ignore:. circuits are sent as")


def test_it_is_what_qrisp_asks_for(backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """An instance of qrisp's class, so that expectation values dispatch it themselves."""
    batched = backend.batched()
    assert isinstance(batched, BatchedBackend)
    assert batched.options == {"shots": 16}
    result = batched.run(flip)
    assert batched.pending_count == 1
    with pytest.raises(RuntimeError, match="dispatch"):
        len(result)
    batched.dispatch()
    assert result == {"01": 16}
    assert (batched.pending_count, batched.jobs) == (0, [])


def test_one_job_has_all_shots(emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit) -> None:
    """Each circuit its own number."""
    batched = backend.batched()
    results = [batched.run(flip, shots) for shots in (3, 5)] + batched.run([flip, flip])
    batched.dispatch()
    assert results == [{"01": 3}, {"01": 5}, {"01": 16}, {"01": 16}]
    assert len(emu.jobs()) == 1


def test_nothing_gathered_is_nothing_sent(emu: Emulator, backend: QawaitBackend) -> None:
    """An empty batch makes no request."""
    backend.batched().dispatch()
    assert not emu.jobs()


def test_jobs_are_all_sent_before_one_has_ended(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """More circuits than a job takes are several jobs at once, which a warning says."""
    emu.hold()
    batched = cut_up(client).batched()
    results = batched.run([flip] * 3)
    with (
        pytest.warns(UserWarning, match="3 circuits are sent as 3 jobs"),
        pytest.raises(TimeoutError),
    ):
        batched.dispatch(timeout=0.01)
    assert len(emu.live()) == 3
    emu.release()
    batched.dispatch()
    assert results == [{"01": 4}] * 3


def test_a_time_limit_leaves_everything_to_the_next_dispatch(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """What has ended is there, the rest is waited for again; nothing is sent twice."""
    batched = cut_up(client).batched()
    emu.script(outcome="run", hold="queued", times=1)
    results = batched.run([flip] * 2)

    def dispatched() -> bool:
        with pytest.raises(TimeoutError):
            batched.dispatch(timeout=0.05)
        return batched.pending_count == 1

    until(dispatched, within=20)
    (live,) = emu.live()
    assert [job.job_id for job in batched.jobs] == [live.id]
    assert batched.pending_count == 1
    later = batched.run(flip, shots=2)
    emu.release(live.id)
    batched.dispatch()
    assert [*results, later] == [{"01": 4}, {"01": 4}, {"01": 2}]
    assert [job.cancels for job in emu.jobs()] == [0, 0, 0]


def test_a_failed_job_fails_its_own_results_only(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """Each of them says why, the others are there, and nothing is left to be sent."""
    batched = cut_up(client).batched()
    emu.next_job(outcome="fail", reason="no luck")
    results = batched.run([flip] * 2)
    with pytest.raises(JobFailureError, match="no luck"):
        batched.dispatch()
    failed = [result for result in results if not result._populated]
    assert len(failed) == 1
    for _ in range(2):
        with pytest.raises(JobFailureError, match="no luck"):
            len(failed[0])
    assert [dict(result) for result in results if result._populated] == [{"01": 4}]
    assert batched.pending_count == 0


def test_a_lost_connection_leaves_everything_to_the_next_dispatch(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """It is no job's failure: the result is fetched when it can be."""
    batched = backend.batched()
    result = batched.run(flip)
    lost = emu.route("GET /jobs/{id}/results").reset(when="before", times=None)
    with pytest.raises(Exception, match="lost"):
        batched.dispatch()
    lost.remove()
    batched.dispatch()
    assert result == {"01": 16}
    assert len(emu.jobs()) == 1


def test_a_submit_that_reached_nobody_is_tried_again(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """A refused key leaves the circuits gathered."""
    batched = backend.batched()
    result = batched.run(flip)
    refused = emu.route("POST /jobs").fail(status=401, when="before", times=None)
    with pytest.raises(Exception, match="401"):
        batched.dispatch()
    assert batched.pending_count == 1
    refused.remove()
    batched.dispatch()
    assert result == {"01": 16}


def test_a_refused_submit_is_not_tried_again(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Its results have the error."""
    batched = backend.batched()
    result = batched.run(flip)
    emu.route("POST /jobs").fail(status=400, when="before")
    with pytest.raises(RejectedError):
        batched.dispatch()
    with pytest.raises(RejectedError):
        len(result)
    assert batched.pending_count == 0


def test_a_circuit_that_cannot_be_run_is_not_kept(emu: Emulator, backend: QawaitBackend) -> None:
    """It would spoil every later dispatch."""
    batched = backend.batched()
    result = batched.run(QuantumCircuit(1))
    with pytest.raises(ConfigError, match="measures nothing"):
        batched.dispatch()
    with pytest.raises(ConfigError, match="measures nothing"):
        len(result)
    assert batched.pending_count == 0
    assert not emu.jobs()


def test_a_job_that_somebody_cancelled_says_so(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """Its handle is there to do it, and it is not sent again."""
    emu.hold()
    batched = cut_up(client).batched()
    result = batched.run(flip)
    with pytest.raises(TimeoutError):
        batched.dispatch(timeout=0.01)
    assert batched.jobs[0].cancel() is True
    with pytest.raises(JobCancelledError):
        batched.dispatch()
    with pytest.raises(JobCancelledError):
        len(result)
    assert len(emu.jobs()) == 1


def test_clearing_cancels_what_is_under_way(
    emu: Emulator, backend: QawaitBackend, flip: QuantumCircuit
) -> None:
    """Nobody will ask for it any more."""
    emu.hold()
    batched = backend.batched()
    batched.run(flip)
    with pytest.raises(TimeoutError):
        batched.dispatch(timeout=0.01)
    batched.run(flip)
    batched.clear()
    assert (batched.pending_count, batched.jobs) == (0, [])
    until(lambda: not emu.live(), within=20)
    assert [job.cancels for job in emu.jobs()] == [1]


def test_an_interrupt_cancels_each_job_once_and_gathers_its_circuits(
    emu: Emulator, client: qawait.sync.Client, flip: QuantumCircuit
) -> None:
    """After it the batch can be dispatched as though for the first time."""
    backend = cut_up(client)
    batched = backend.batched()
    results = batched.run([flip] * 2)
    emu.hold()
    with interrupting(lambda: len(emu.live()) == 2), pytest.raises(KeyboardInterrupt):
        batched.dispatch()
    assert [job.cancels for job in emu.jobs()] == [1, 1]
    assert batched.pending_count == 2
    emu.release()
    batched.dispatch()
    assert results == [{"01": 4}] * 2
