from __future__ import annotations

import base64
import gzip
import io
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit, qpy

from support.emulated import FLIP, Api

if TYPE_CHECKING:
    from qawait.emulator import Emulator

HALF = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; sx $0; c[0] = measure $0;'
NOT_ISA = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; h $0; c[0] = measure $0;'
FAR = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; cx $0, $4; c[0] = measure $0;'
TURN = (
    'OPENQASM 3.0; include "stdgates.inc"; input float[64] theta; bit[1] c;'
    "sx $0; rz(theta) $0; sx $0; c[0] = measure $0;"
)


@pytest.fixture
def executing(emu: Emulator) -> Emulator:
    """Give the emulator, executing jobs."""
    emu.settings(execute=True)
    return emu


def run(api: Api, *pubs: Any, program: str = "sampler", **options: Any) -> Any:
    """Run pubs and return the decoded result."""
    params = {"pubs": list(pubs), "options": options, "version": 2}
    job_id = api.submit(program_id=program, params=params)
    view = api.emu.wait_for(job_id, "Completed", "Failed", within=30)
    assert view.status == "Completed", api.ask("GET", f"/jobs/{job_id}/results").body.decode()
    return api.ask("GET", f"/jobs/{job_id}/results").json["results"]


@pytest.mark.usefixtures("executing")
def test_plain_sampler_result(api: Api) -> None:
    """Without `support_qiskit` samples are plain hexadecimal numbers."""
    (result,) = run(api, [FLIP, None, 5])
    assert result["data"]["c"]["samples"] == ["0x1"] * 5


@pytest.mark.usefixtures("executing")
def test_shots_from_pub_then_options_then_default(api: Api) -> None:
    """A pub's shots come before the job's default, and that before 4096."""
    by_pub, by_default = run(api, [FLIP, None, 5], [FLIP], default_shots=7)
    (plain,) = run(api, [FLIP, None, None])
    numbers = [len(r["data"]["c"]["samples"]) for r in (by_pub, by_default, plain)]
    assert numbers == [5, 7, 4096]


@pytest.mark.usefixtures("executing")
def test_parameters_by_name_and_by_order(api: Api) -> None:
    """Parameter values come as an array or as a dictionary, and broadcast."""
    named, listed = run(api, [TURN, {"theta": [0.0, 3.141592653589793]}, 8], [TURN, [0.0], 8])
    assert named["data"]["c"]["samples"] == [["0x1"] * 8, ["0x0"] * 8]
    assert listed["data"]["c"]["samples"] == ["0x1"] * 8


@pytest.mark.usefixtures("executing")
def test_plain_estimator_result(api: Api) -> None:
    """Observables broadcast against parameters, and values come with deviations."""
    turn = TURN.replace("bit[1] c;", "").replace("c[0] = measure $0;", "")
    observables = [{"Z": 1.0}, {"I": 2.0}]
    pub = [turn, observables, {"theta": [[[0.0]], [[3.141592653589793]]]}, 0.1]
    (result,) = run(api, pub, program="estimator")
    assert result["data"]["evs"] == [[-1.0, 2.0], [1.0, 2.0]]
    assert result["data"]["stds"] == [[0.0, 0.0], [0.0, 0.0]]


def test_seed_makes_results_repeatable(executing: Emulator, api: Api) -> None:
    """The same jobs after a reset give the same samples; the next job gives others."""
    first, second = run(api, [HALF, None, 64]), run(api, [HALF, None, 64])
    assert first != second
    executing.reset()
    assert run(api, [HALF, None, 64]) == first


@pytest.mark.usefixtures("executing")
def test_seed_of_the_job_itself(api: Api) -> None:
    """A job's own simulator seed decides its samples."""
    one = run(api, [HALF, None, 64], simulator={"seed_simulator": 5})
    assert run(api, [HALF, None, 64], simulator={"seed_simulator": 5}) == one


@pytest.mark.parametrize("circuit", [NOT_ISA, FAR], ids=["gate", "coupling"])
def test_circuit_that_is_not_isa_fails(executing: Emulator, api: Api, circuit: str) -> None:
    """Instructions the backend has not, or not there, fail the job with code 7001."""
    job_id = api.submit(params={"pubs": [[circuit]], "version": 2})
    view = executing.wait_for(job_id, "Failed", within=30)
    assert view.code == 7001
    assert "not supported by ibm_manila" in (view.reason or "")
    assert b"Traceback" in api.ask("GET", f"/jobs/{job_id}/results").body


@pytest.mark.parametrize(("version", "end"), [(17, "Completed"), (18, "Failed")])
def test_qpy_must_not_be_too_new(executing: Emulator, api: Api, version: int, end: str) -> None:
    """The sampler reads QPY up to version 17, and fails a job whose circuit is newer."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    stream = io.BytesIO()
    qpy.dump(circuit, stream, version=version)
    value = base64.b64encode(zlib.compress(stream.getvalue())).decode()
    pub = [{"__type__": "QuantumCircuit", "__value__": value}, None, 1]
    job_id = api.submit(params={"pubs": [pub], "version": 2})
    executing.wait_for(job_id, end, within=30)


@pytest.mark.usefixtures("executing")
def test_dynamic_circuits_run(api: Api) -> None:
    """Measurement, feed-forward, reset and delay in mid-circuit are executed."""
    dynamic = (
        'OPENQASM 3.0; include "stdgates.inc"; bit[2] c;'
        "x $0; c[0] = measure $0; if (c[0]) { x $1; } reset $0; delay[16dt] $0;"
        "c[1] = measure $1;"
    )
    (result,) = run(api, [dynamic, None, 8])
    assert result["data"]["c"]["samples"] == ["0x3"] * 8


def test_unreadable_circuit_fails_the_job(executing: Emulator, api: Api) -> None:
    """Text that is no OpenQASM 3 fails the job, not the service."""
    job_id = api.submit(params={"pubs": [["nonsense"]], "version": 2})
    assert executing.wait_for(job_id, "Failed", within=30).reason
    assert run(api, [FLIP, None, 1])


def test_service_answers_while_it_computes(executing: Emulator, api: Api) -> None:
    """Polling stays quick while a worker is busy."""
    busy = api.submit(params={"pubs": [[HALF, None, 300_000]], "version": 2})
    slowest = 0.0
    while executing.job(busy).status != "Completed":
        start = time.monotonic()
        api.job(busy)
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < 1


def test_unfinished_job_has_no_result_yet(emu: Emulator, api: Api) -> None:
    """The result of a live job is 204, empty."""
    emu.hold()
    reply = api.ask("GET", f"/jobs/{api.submit()}/results")
    assert (reply.status, reply.body) == (204, b"")


def test_cancelled_job_has_no_result(emu: Emulator, api: Api) -> None:
    """The result of a cancelled job is 204 for ever."""
    emu.hold()
    job_id = api.submit()
    api.ask("POST", f"/jobs/{job_id}/cancel")
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 204


def test_private_job_is_read_once(emu: Emulator, api: Api) -> None:
    """A private job says so, hides its parameters, and gives its result once."""
    job_id = api.submit(private=True)
    emu.wait_for(job_id, "Completed")
    shown = api.ask("GET", f"/jobs/{job_id}").json
    assert shown["private"] is True
    assert "params" not in shown
    assert "params" not in api.ask("GET", "/jobs?exclude_params=false").json["jobs"][0]
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 200
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 404


def test_unfinished_private_job_keeps_its_one_reading(emu: Emulator, api: Api) -> None:
    """Asking too early does not use up the one reading."""
    emu.hold()
    job_id = api.submit(private=True)
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 204
    emu.release()
    emu.wait_for(job_id, "Completed")
    assert api.ask("GET", f"/jobs/{job_id}/results").status == 200


def test_gzip_only_when_asked_and_worth_it(emu: Emulator, api: Api) -> None:
    """Large answers are compressed for clients that say so; small ones never."""
    emu.next_job(outcome="complete", result=json.dumps({"results": ["x" * 400_000]}))
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    packed = api.ask("GET", f"/jobs/{job_id}/results", headers={"Accept-Encoding": "gzip"})
    plain = api.ask("GET", f"/jobs/{job_id}/results", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 10
    small = api.ask("GET", f"/jobs/{job_id}/metrics", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_metrics(emu: Emulator, api: Api) -> None:
    """Metrics have the shape of API version 2026-04-15."""
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    metrics = api.ask("GET", f"/jobs/{job_id}/metrics").json
    assert set(metrics) == {
        "timestamps",
        "usage",
        "circuits_execution_time_ns",
        "qiskit_version",
        "caller",
    }
    times = metrics["timestamps"]
    assert times["created"] < times["running"] < times["finished"]
    assert metrics["usage"] == {"qpu_charge_time_seconds": 1, "status": "complete"}


def test_metrics_of_a_queued_job(emu: Emulator, api: Api) -> None:
    """What has not happened yet has no time."""
    emu.hold()
    times = api.ask("GET", f"/jobs/{api.submit()}/metrics").json["timestamps"]
    assert times["created"]
    assert times["running"] is times["finished"] is None


def test_logs_are_plain_text(emu: Emulator, api: Api) -> None:
    """A log is text with a line for each step of the job."""
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    reply = api.ask("GET", f"/jobs/{job_id}/logs")
    assert reply.headers["content-type"].startswith("text/plain")
    assert [line.split()[2] for line in reply.body.decode().splitlines()] == [
        "queued",
        "running",
        "completed",
    ]


def test_delete_only_final_jobs(emu: Emulator, api: Api) -> None:
    """A live job cannot be deleted (400); a final one is gone afterwards."""
    emu.hold()
    job_id = api.submit(tags=["t"])
    assert api.ask("DELETE", f"/jobs/{job_id}").status == 400
    emu.release()
    emu.wait_for(job_id, "Completed")
    assert api.ask("DELETE", f"/jobs/{job_id}").status == 204
    assert api.ask("GET", f"/jobs/{job_id}").status == 404
    assert api.ids("tags=t") == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/results"),
        ("GET", "/logs"),
        ("GET", "/metrics"),
        ("PUT", "/tags"),
        ("DELETE", ""),
    ],
)
def test_unknown_job_is_404(api: Api, method: str, path: str) -> None:
    """Whatever is asked of a job that is not there is answered 404 with its id."""
    reply = api.ask(method, f"/jobs/nope{path}")
    assert reply.status == 404
    assert reply.json["errors"][0]["message"] == "Job not found. Job ID: nope"


def test_usage_of_the_instance(emu: Emulator, api: Api) -> None:
    """The instance's usage grows with what its jobs are charged."""
    before = api.ask("GET", "/instances/usage").json["usage_consumed_seconds"]
    emu.wait_for(api.submit(), "Completed")
    usage = api.ask("GET", "/instances/usage").json
    assert usage["usage_consumed_seconds"] == before + 1
    assert usage["instance_id"] == emu.instance


def test_versions_need_no_credentials(api: Api) -> None:
    """The list of API versions is open, and has the one IBM's client sends."""
    versions = api.raw("GET", "/api/v1/versions").json["versions"]
    assert "2026-04-15" in [version["version"] for version in versions]


def test_backends_are_the_snapshots(api: Api) -> None:
    """Configuration and properties are IBM's snapshots under the served name."""
    devices = {d["name"]: d for d in api.ask("GET", "/backends").json["devices"]}
    assert {name: d["qubits"] for name, d in devices.items()} == {"ibm_fez": 156, "ibm_manila": 5}
    assert all(isinstance(d["clops"]["value"], int) for d in devices.values())
    configuration = api.ask("GET", "/backends/ibm_manila/configuration").json
    properties = api.ask("GET", "/backends/ibm_manila/properties").json
    assert configuration["backend_name"] == properties["backend_name"] == "ibm_manila"
    assert (configuration["n_qubits"], len(properties["qubits"])) == (5, 5)
    assert api.ask("GET", "/backends/none/status").status == 404


def test_waiting_times_only_when_asked(api: Api) -> None:
    """The list of backends has waiting times only for who asks for that field."""
    (one, _) = api.ask("GET", "/backends?fields=wait_time_seconds").json["devices"]
    assert one["wait_time_seconds"] == 0
    assert "wait_time_seconds" not in api.ask("GET", "/backends").json["devices"][0]
