"""The blocking face: the same verbs, from threads without a loop."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import qawait.sync
from qawait import CancelOutcome, ConfigError, JobCancelledError, JobStatus, Stage
from qawait.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
BACKEND = "ibm_manila"


@pytest.fixture
def client(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[qawait.sync.Client]:
    """Give a test a blocking client of the emulator."""
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    with qawait.sync.connect(guardian=False) as opened:
        yield opened


def submit(client: qawait.sync.Client) -> qawait.sync.Job[Any]:
    """Submit a circuit that measures 1."""
    return client.submit(FLIP, backend=BACKEND, shots=16)


def test_running_a_circuit_returns_its_result(client: qawait.sync.Client) -> None:
    """Submit, wait and fetch in one call, without a loop in sight."""
    result = client.run(FLIP, backend=BACKEND, shots=16)
    assert result[0].data.c.get_counts() == {"1": 16}


def test_a_job_gives_the_same_result_at_every_call(client: qawait.sync.Client) -> None:
    """The result is downloaded once."""
    job = submit(client)
    assert job.result() is job.result()
    assert job.fetch() is job.result()
    assert (job.status, job.poll(), job.wait()) == (JobStatus.DONE,) * 3


def test_a_noise_learner_runs(client: qawait.sync.Client) -> None:
    """The noise learner has the two verbs too."""
    pair = 'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; cx q[0], q[1];'
    assert len(client.noise_learner(BACKEND).run(pair)) == 1


def test_a_sampler_and_an_estimator_run(client: qawait.sync.Client) -> None:
    """Both primitives have the two verbs."""
    sampler = client.sampler(BACKEND, shots=16)
    assert sampler.run(FLIP)[0].data.c.get_counts() == {"1": 16}
    flip = 'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; x q[0];'
    values = client.estimator(BACKEND).run((flip, "Z"))
    assert values[0].data.evs == pytest.approx(-1.0)


def test_updates_end_with_the_final_one(client: qawait.sync.Client) -> None:
    """A plain loop goes through the stages of a job."""
    job = submit(client)
    stages = [update.stage for update in job.updates()]
    assert stages[-1] is Stage.DONE
    assert job.last_update is not None


def test_a_time_limit_leaves_the_job_alone(emu: Emulator, client: qawait.sync.Client) -> None:
    """It raises the builtin `TimeoutError`, and the job goes on."""
    emu.script(outcome="complete", run_seconds=0.5, times=1)
    job = submit(client)
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    assert job.wait() is JobStatus.DONE
    assert [seen.cancels for seen in emu.jobs()] == [0]


def test_jobs_are_given_as_they_end(emu: Emulator, client: qawait.sync.Client) -> None:
    """The handles are those that were given, in the order of their ends."""
    emu.script(outcome="complete", run_seconds=600, times=1)
    slow, quick = submit(client), submit(client)
    assert next(iter(client.as_completed([slow, quick]))) is quick
    assert client.wait_any([slow, quick]) is quick
    slow.cancel()
    assert client.wait_all([slow, quick]) == [JobStatus.CANCELLED, JobStatus.DONE]


FACES = ["Client", "Scope", "Session", "Job", "Sampler", "Estimator", "NoiseLearner"]
WITHOUT_A_LOOP = {"aclose": "close", "leave": "close"}
"""Names of the asynchronous client that others stand for."""
INNER = {"driver", "launch", "open", "place", "own", "give_back"}
"""What users have no business with."""


@pytest.mark.parametrize("name", FACES)
def test_every_verb_has_a_blocking_twin(name: str) -> None:
    """What the asynchronous classes can do, the blocking ones can."""
    known = {one for one in dir(getattr(qawait, name)) if not one.startswith("_")} - INNER
    expected = {WITHOUT_A_LOOP.get(one, one) for one in known}
    assert expected <= set(dir(getattr(qawait.sync, name)))


def test_a_job_answers_without_a_loop(client: qawait.sync.Client) -> None:
    """What can be asked of a job is there, with a request and without."""
    job = client.submit(FLIP, backend=BACKEND, shots=16, tags=["flip"])
    job.wait()
    assert (job.backend, job.program, job.tags) == (BACKEND, "sampler", ("flip",))
    assert (job.usage(), job.inputs()["pubs"][0][2]) == (1, 16)
    assert client.usage().consumed_seconds >= 1
    job.set_tags(["flipped"])
    assert client.attach(job.id).tags == ("flipped",)
    job.delete()
    assert list(client.jobs()) == []


def test_jobs_are_listed(client: qawait.sync.Client) -> None:
    """A listing is a plain iterator."""
    ids = {submit(client).id for _ in range(3)}
    assert {job.id for job in client.jobs(limit=3)} == ids


def test_an_attached_job_is_followed(client: qawait.sync.Client) -> None:
    """A job of an earlier program is waited for by its id."""
    job = client.attach(submit(client).id)
    assert job.wait() is JobStatus.DONE
    with pytest.raises(RejectedError):
        client.attach("no-such-job")


def test_a_cancel_reaches_the_service_once(emu: Emulator, client: qawait.sync.Client) -> None:
    """From any thread, however often."""
    emu.script(outcome="complete", run_seconds=600, times=1)
    job = submit(client)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: job.cancel(), range(4)))
    assert set(outcomes) <= {CancelOutcome.REQUESTED, CancelOutcome.ALREADY_FINAL}
    with pytest.raises(JobCancelledError):
        job.result()
    assert [seen.cancels for seen in emu.jobs()] == [1]


def test_leaving_a_scope_by_an_error_cancels_its_jobs(
    emu: Emulator, client: qawait.sync.Client
) -> None:
    """Each live job once; the error goes on its way with a note for each."""
    emu.script(outcome="complete", run_seconds=600, times=None)
    with pytest.raises(LookupError) as raised, client.scope() as scope:
        scope.submit(FLIP, backend=BACKEND)
        raise LookupError
    assert [seen.cancels for seen in emu.jobs()] == [1]
    assert "cancel was accepted" in raised.value.__notes__[0]


def test_leaving_a_scope_waits_for_its_jobs(client: qawait.sync.Client) -> None:
    """A normal exit returns when all have ended."""
    with client.scope(max_pending=2) as scope:
        jobs = [scope.submit(FLIP, backend=BACKEND) for _ in range(3)]
    assert [job.status for job in jobs] == [JobStatus.DONE] * 3


def test_sixteen_threads_share_a_client(client: qawait.sync.Client) -> None:
    """Every thread gets the result of its own job."""
    with ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(lambda shots: client.run(FLIP, backend=BACKEND, shots=shots), range(1, 17))
        )
    assert [result[0].data.c.num_shots for result in results] == list(range(1, 17))


@pytest.mark.anyio
async def test_a_thread_with_a_loop_is_refused(emu: Emulator) -> None:
    """On asyncio and trio the error names the call to await instead."""
    with pytest.raises(ConfigError, match=r"await the same call") as raised:
        qawait.sync.local()
    assert "qawait.connect()" in str(raised.value)
    assert not emu.ledger("POST", "/jobs")


def test_a_closed_client_says_so(client: qawait.sync.Client) -> None:
    """Closing twice is fine, using it afterwards is not."""
    client.close()
    client.close()
    with pytest.raises(ConfigError, match="closed"):
        client.backends()


def test_a_client_leaves_no_thread_behind(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop's thread ends with it, also when it could not be opened."""
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    with qawait.sync.connect(guardian=False) as opened:
        assert opened.backends()
    with pytest.raises(ConfigError):
        qawait.sync.connect(token="k", instance="no-crn", url="ftp://x")
    assert not [thread for thread in threading.enumerate() if thread.name == "qawait-sync"]


@pytest.mark.anyio
async def test_a_loop_can_have_it_in_a_worker_thread(emu: Emulator) -> None:
    """Blocking code that a loop sends to a thread of its own may use it there."""

    def work() -> Any:
        with qawait.sync.connect(
            token=emu.token.reveal(),
            instance=emu.instance,
            url=emu.url,
            iam_url=emu.iam_url,
            guardian=False,
        ) as client:
            return client.run(FLIP, backend=BACKEND, shots=4)[0].data.c.num_shots

    assert await anyio.to_thread.run_sync(work) == 4
