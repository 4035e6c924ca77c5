"""IBM's own client, unmodified, pointed at the emulator by environment variables only."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qawait import emulator
from side_by_side.clients import primitive_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

pytestmark = pytest.mark.filterwarnings(
    # IBM announces that these move; they are what is tested here.
    "ignore:The (SamplerV2|EstimatorV2) class is deprecated:DeprecationWarning",
    "ignore:Specifying different 'shots' across pubs is deprecated:DeprecationWarning",
)
SIGMAS = 5


@pytest.fixture(scope="module")
def own() -> Iterator[Emulator]:
    """Run an emulator for this module, with the environment that points at it."""
    with emulator.running(seed=11) as emu, pytest.MonkeyPatch.context() as patch:
        for name, value in emu.env.items():
            patch.setenv(name, value)
        yield emu


@pytest.fixture(scope="module")
def service(own: Emulator) -> Any:
    """Give IBM's service object, made without any argument."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    assert own.env
    return QiskitRuntimeService()


@pytest.fixture
def emu(own: Emulator) -> Emulator:
    """Give that emulator without what earlier tests left."""
    own.reset()
    return own


@pytest.fixture(scope="module")
def manila(service: Any) -> Any:
    """Give the smaller backend."""
    return service.backend("ibm_manila")


@pytest.fixture(scope="module")
def bell(manila: Any) -> Any:
    """Give a Bell pair, prepared for the backend by IBM's own pass manager."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return generate_preset_pass_manager(1, backend=manila).run(circuit)


def sampler(backend: Any, **options: Any) -> Any:
    """Return IBM's sampler on a backend."""
    from qiskit_ibm_runtime import SamplerV2

    return SamplerV2(backend, options=options)


def assert_half(count: int, shots: int) -> None:
    """Check that a count is within five standard deviations of half the shots."""
    assert abs(count - shots / 2) < SIGMAS * math.sqrt(shots) / 2


@pytest.mark.usefixtures("emu")
def test_backends(service: Any) -> None:
    """The client lists both backends, with all their qubits, and finds one to use."""
    assert [backend.name for backend in service.backends()] == ["ibm_fez", "ibm_manila"]
    assert service.backend("ibm_fez").num_qubits == 156
    assert service.least_busy(min_num_qubits=100).name == "ibm_fez"
    status = service.backend("ibm_manila").status()
    assert (status.operational, status.status_msg) == (True, "active")


def test_least_busy_passes_over_paused(emu: Emulator) -> None:
    """A paused backend is not the least busy one."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    emu.settings(backend_states={"ibm_fez": "paused"})
    assert QiskitRuntimeService().least_busy().name == "ibm_manila"


def test_calibration_is_the_snapshot(service: Any) -> None:
    """The client reads the snapshot's properties for every qubit."""
    properties = service.backend("ibm_manila").properties()
    assert properties.backend_name == "ibm_manila"
    assert all(properties.t1(qubit) > 0 for qubit in range(5))


@pytest.mark.usefixtures("emu")
def test_sampler_with_two_pubs(manila: Any, bell: Any) -> None:
    """An ideal Bell pair gives 00 and 11 only, each about half the time."""
    job = sampler(manila, default_shots=2000).run([(bell,), (bell, None, 500)])
    result = job.result()
    for pub, shots in zip(result, (2000, 500), strict=True):
        counts = pub.data.meas.get_counts()
        assert set(counts) == {"00", "11"}
        assert sum(counts.values()) == shots
        assert_half(counts["00"], shots)
        assert set(pub.metadata) == {"circuit_metadata"}
    assert set(result.metadata) == {"execution", "version"}
    (span,) = result.metadata["execution"]["execution_spans"]
    assert (span.pub_idxs, span.size) == ([0, 1], 2500)
    assert str(job.status()) == "DONE"


def test_noise_makes_errors(emu: Emulator, manila: Any, bell: Any) -> None:
    """With the snapshot's noise a Bell pair sometimes gives 01 or 10."""
    emu.settings(noise=True)
    counts = sampler(manila).run([(bell, None, 4000)]).result()[0].data.meas.get_counts()
    wrong = counts.get("01", 0) + counts.get("10", 0)
    assert 0 < wrong < 1000


@pytest.mark.usefixtures("emu")
def test_estimator_with_parameters_and_precision(manila: Any) -> None:
    """Estimates for each parameter value are within five deviations of the exact ones."""
    from qiskit_ibm_runtime import EstimatorV2

    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    isa = generate_preset_pass_manager(1, backend=manila).run(circuit)
    observable = SparsePauliOp(["ZZ", "IZ"], [1.0, 0.5]).apply_layout(isa.layout)
    angles = [0.3, 1.0, 2.0]
    result = EstimatorV2(manila).run([(isa, observable, angles)], precision=0.02).result()[0]
    assert result.data.evs.shape == result.data.stds.shape == (3,)
    for value, theta in zip(result.data.evs, angles, strict=True):
        assert abs(value - (1 + 0.5 * math.cos(theta))) < SIGMAS * 0.02
    assert result.metadata["target_precision"] == 0.02


@pytest.mark.usefixtures("emu")
def test_seeded_sampler_registers(manila: Any) -> None:
    """Classical registers come back by name, with the bits in their places."""
    from qiskit.circuit import ClassicalRegister, QuantumRegister

    low, high = ClassicalRegister(3, "low"), ClassicalRegister(9, "high")
    circuit = QuantumCircuit(QuantumRegister(5), low, high)
    circuit.x([0, 3])
    circuit.measure([0, 1, 2], low)
    circuit.measure(3, high[8])
    isa = generate_preset_pass_manager(0, backend=manila).run(circuit)
    data = sampler(manila).run([(isa, None, 10)]).result()[0].data
    assert data.low.get_counts() == {"001": 10}
    assert data.high.get_counts() == {"100000000": 10}


@pytest.mark.usefixtures("emu")
def test_life_of_a_job(service: Any, manila: Any, bell: Any) -> None:
    """Metrics, logs, tags, parameters and deletion work on a finished job."""
    from qiskit_ibm_runtime.exceptions import RuntimeJobNotFound

    job = sampler(manila).run([(bell, None, 10)])
    job.wait_for_final_state()
    assert job.metrics()["usage"] == {"qpu_charge_time_seconds": 1, "status": "complete"}
    assert "completed" in job.logs()
    assert job.usage() == 1
    assert set(job.update_tags(["new", "tags"])) == {"new", "tags"}
    again = service.job(job.job_id())
    assert set(again.tags) == {"new", "tags"}
    assert again.inputs["pubs"][0][2] == 10
    assert again.backend().name == "ibm_manila"
    service.delete_job(job.job_id())
    with pytest.raises(RuntimeJobNotFound):
        service.job(job.job_id())


def test_cancel(emu: Emulator, manila: Any, bell: Any) -> None:
    """A queued job can be cancelled once; then, and when finished, the client is told no."""
    from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

    emu.hold()
    job = sampler(manila).run([(bell,)])
    job.cancel()
    assert str(job.status()) == "CANCELLED"
    with pytest.raises(RuntimeInvalidStateError):
        job.cancel()
    assert (emu.cancels(job.job_id()), emu.job(job.job_id()).cancels_accepted) == (2, 1)
    emu.release()
    finished = sampler(manila).run([(bell,)])
    finished.wait_for_final_state()
    with pytest.raises(RuntimeInvalidStateError):
        finished.cancel()


def test_failed_and_too_long(emu: Emulator, manila: Any, bell: Any) -> None:
    """The client raises its own errors for a failed job and for one that ran too long."""
    from qiskit_ibm_runtime.exceptions import RuntimeJobFailureError, RuntimeJobMaxTimeoutError

    emu.next_job(outcome="fail", reason="no luck today", code=5203)
    with pytest.raises(RuntimeJobFailureError, match="no luck today"):
        sampler(manila).run([(bell,)]).result()
    emu.next_job(outcome="too_long")
    with pytest.raises(RuntimeJobMaxTimeoutError, match="1305"):
        sampler(manila).run([(bell,)]).result()


def test_private_job(emu: Emulator, manila: Any, bell: Any) -> None:
    """A private job gives the client its result once."""
    job = sampler(manila, environment={"private": True}).run([(bell, None, 10)])
    assert sum(job.result()[0].data.meas.get_counts().values()) == 10
    assert emu.jobs()[0].private
    assert job.private


def listing(service: Any, **filters: Any) -> list[str]:
    """Return the ids that the client's own listing finds."""
    return [job.job_id() for job in service.jobs(**filters)]


def test_jobs_with_every_filter(emu: Emulator, service: Any, manila: Any, bell: Any) -> None:
    """Each filter of the client's listing finds what it should, and only that."""
    emu.settings(execute=False)
    start = datetime.now(UTC)
    fez = service.backend("ibm_fez")
    flip = QuantumCircuit(1)
    flip.x(0)
    flip.measure_all()
    first = sampler(manila, environment={"job_tags": ["x", "y"]}).run([(bell,)])
    second = sampler(fez, environment={"job_tags": ["x"]}).run([(flip,)])
    for job in (first, second):
        job.wait_for_final_state()
    middle = datetime.now(UTC)
    emu.hold()
    third = sampler(manila).run([(bell,)])
    one, two, three = (job.job_id() for job in (first, second, third))
    assert listing(service) == [three, two, one]
    assert listing(service, descending=False) == [one, two, three]
    assert listing(service, limit=1) == [three]
    assert listing(service, limit=1, skip=1) == [two]
    assert listing(service, limit=None) == [three, two, one]
    assert listing(service, backend_name="ibm_fez") == [two]
    assert listing(service, pending=True) == [three]
    assert listing(service, pending=False) == [two, one]
    assert listing(service, program_id="sampler") == [three, two, one]
    assert listing(service, program_id="estimator") == []
    assert listing(service, instance=emu.instance) == [three, two, one]
    assert listing(service, job_tags=["x"]) == [two, one]
    assert listing(service, job_tags=["x", "y"]) == [one]
    assert listing(service, session_id=str(uuid.uuid4())) == []
    assert listing(service, created_after=middle) == [three]
    assert listing(service, created_before=middle) == [two, one]
    assert listing(service, created_after=start - timedelta(days=1)) == [three, two, one]


def test_many_pages(emu: Emulator, service: Any, manila: Any, bell: Any) -> None:
    """The client pages through more jobs than one page holds, and stops."""
    emu.settings(execute=False)
    jobs = [sampler(manila).run([(bell,)]).job_id() for _ in range(25)]
    assert listing(service, limit=None) == jobs[::-1]


def test_session_and_batch(emu: Emulator, service: Any, manila: Any, bell: Any) -> None:
    """Jobs run in a session, which is closed at the end and found by its id."""
    from qiskit_ibm_runtime import Batch, SamplerV2, Session

    emu.settings(execute=False)
    for kind in (Session, Batch):
        with kind(backend=manila) as session:
            job = SamplerV2(mode=session).run([(bell,)])
            job.wait_for_final_state()
        assert job.session_id == session.session_id
        assert listing(service, session_id=session.session_id) == [job.job_id()]
        assert session.details()["accepting_jobs"] is False


def test_usage_of_the_account(service: Any) -> None:
    """The client reads the instance's usage."""
    assert service.usage()["usage_limit_reached"] is False
    assert service.active_instance()


def test_used_up_tokens_are_renewed(emu: Emulator) -> None:
    """A client whose token is used up logs in anew and goes on."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    # The client counts a token as used up ten seconds before it expires.
    emu.settings(token_life=5)
    fresh = QiskitRuntimeService()
    logins = len(emu.ledger("POST", "/identity/token"))
    assert fresh.usage()
    assert len(emu.ledger("POST", "/identity/token")) == logins + 1


@pytest.mark.usefixtures("emu")
@pytest.mark.parametrize("twirled", [False, True])
def test_executor_sampler(manila: Any, bell: Any, *, twirled: bool) -> None:
    """IBM's client-side sampler gets a Bell pair from the `executor` program, twirled or not."""
    primitive = primitive_class("executor", "sampler")(manila)
    primitive.options.twirling.enable_measure = twirled
    counts = primitive.run([(bell,)], shots=1000).result()[0].data.meas.get_counts()
    assert set(counts) == {"00", "11"}
    assert_half(counts["00"], sum(counts.values()))


@pytest.mark.usefixtures("emu")
def test_executor_estimator(manila: Any) -> None:
    """IBM's client-side estimator gets the right value from the `executor` program."""
    circuit = QuantumCircuit(2)
    circuit.ry(1.0, 0)
    isa = generate_preset_pass_manager(1, backend=manila).run(circuit)
    observable = SparsePauliOp("IZ").apply_layout(isa.layout)
    estimator = primitive_class("executor", "estimator")(manila)
    result = estimator.run([(isa, observable)], precision=0.05).result()[0]
    assert abs(float(result.data.evs) - math.cos(1.0)) < SIGMAS * 0.05


def test_the_states_of_a_session(emu: Emulator, service: Any, manila: Any, bell: Any) -> None:
    """IBM's client tells a session's state at each step, and finds it again by its id."""
    from qiskit_ibm_runtime import SamplerV2, Session

    emu.settings(execute=False)
    session = Session(backend=manila, max_time="10m")
    assert session.status() == "Pending"
    emu.hold(stage="running")
    job = SamplerV2(mode=session).run([bell])
    emu.wait_for(job.job_id(), "Running")
    assert session.status() == "In progress, accepting new jobs"
    session.close()
    assert session.status() == "In progress, not accepting new jobs"
    emu.release()
    emu.wait_for(job.job_id(), "Completed")
    assert Session.from_id(session.session_id, service).status() == "Closed"
    assert session.details()["max_time"] == 600


def test_instances_by_name_plan_and_tag(emu: Emulator) -> None:
    """IBM's client discovers every instance, and works on the one that is wanted."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    work = emu.add_instance("work", plan="premium", tags=["lab"], backends=["ibm_fez"])
    service = QiskitRuntimeService(instance="work")
    assert [backend.name for backend in service.backends()] == ["ibm_fez"]
    assert service.active_instance() == work
    plans = {one["name"]: (one["plan"], one["pricing_type"]) for one in service.instances()}
    assert plans == {"emulator": ("open", "free"), "work": ("premium", "subscription")}
    assert service.usage()["instance_id"] == work
