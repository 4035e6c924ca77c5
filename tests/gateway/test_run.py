"""Jobs over HTTP: accepted at once, told of, and their counts given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.gateways import order
from support.killing import until

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.gateways import Server

UNKNOWN = "0" * 24


def test_a_bell_pair_is_counted(server: Server) -> None:
    """The result of a Bell pair is its counts, by register."""
    job_id = server.submit(shots=200)
    server.wait_for(job_id, "DONE")
    counts = server.ask("GET", f"/job/{job_id}/result").json
    assert set(counts) == {"c"}
    assert set(counts["c"]) <= {"00", "11"}
    assert sum(counts["c"].values()) == 200


def test_a_job_is_accepted_before_the_service_knows_it(server: Server, emu: Emulator) -> None:
    """`POST /run` answers while the submit hangs, and the job goes on when that ends."""
    hanging = emu.route("POST /jobs").hang()
    job_id = server.submit()
    until(lambda: hanging.hits == 1, 20)
    assert emu.jobs() == []
    assert server.job(job_id)["status"] == "SUBMITTING"
    hanging.release()
    assert server.wait_for(job_id, "DONE")["remote_id"] == emu.jobs()[0].id


def test_a_refused_submit_shows_in_the_status(server: Server, emu: Emulator) -> None:
    """A job that the service refuses ends as ERROR, with the service's reason."""
    emu.route("POST /jobs").fail(status=400)
    told = server.wait_for(server.submit(), "ERROR")
    assert told["reason"]
    assert told["remote_id"] is None
    assert told["times"]["ended"] is not None


def test_an_unknown_backend_shows_in_the_status(server: Server) -> None:
    """A job for a backend that is not there ends as ERROR and says which there are."""
    told = server.wait_for(server.submit(backend="ibm_nowhere"), "ERROR")
    assert "ibm_nowhere" in told["reason"]


def test_a_failed_job_tells_why(server: Server, emu: Emulator) -> None:
    """A job that fails at the service ends as ERROR with its reason, and has no result."""
    emu.next_job(outcome="fail", reason="no luck")
    job_id = server.submit()
    assert "no luck" in server.wait_for(job_id, "ERROR")["reason"]
    assert server.ask("GET", f"/job/{job_id}/result").status == 409


def test_a_result_that_is_not_there_yet_is_a_conflict(server: Server, emu: Emulator) -> None:
    """409 names the job's status, and says when to ask again."""
    emu.hold()
    job_id = server.submit()
    server.wait_for(job_id, "QUEUED")
    reply = server.ask("GET", f"/job/{job_id}/result")
    assert (reply.status, reply.json["job_status"]) == (409, "QUEUED")
    assert int(reply.headers["retry-after"]) >= 1
    assert int(server.ask("GET", f"/job/{job_id}/status").headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["status", "result", "events", "history", "code"])
def test_an_unknown_job_is_not_found(server: Server, path: str) -> None:
    """404 is a problem document, whatever is asked of the job."""
    reply = server.ask("GET", f"/job/{UNKNOWN}/{path}")
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_wrong_circuit_is_refused_or_fails(server: Server) -> None:
    """A circuit that cannot be read is a 422, or an ERROR if that was found out later."""
    reply = server.ask("POST", "/run", order(code="qubit[2] q; nonsense"))
    if reply.status == 422:
        assert reply.json["errors"] == [{"pointer": "/code"}]
        assert "malformed" in reply.json["detail"]
    else:
        assert "malformed" in server.wait_for(reply.json["job_id"], "ERROR")["reason"]


def test_a_circuit_is_drawn(server: Server) -> None:
    """`POST /circuit` tells how large a circuit is and draws it."""
    drawn = server.ask("POST", "/circuit", {"code": order()["code"]}).json
    assert drawn["circuit"]["qubits"] == 2
    assert "┤ H ├" in drawn["drawing"]


def test_a_synchronous_run_gives_the_counts(server: Server) -> None:
    """`POST /run?wait=` answers with the counts when the job is done in time."""
    reply = server.ask("POST", "/run?wait=60", order(shots=10))
    assert reply.status == 200
    assert sum(reply.json["counts"]["c"].values()) == 10


def test_a_synchronous_run_that_takes_longer_goes_on(server: Server, emu: Emulator) -> None:
    """A wait that passes answers 202 and leaves the job alone."""
    emu.hold()
    reply = server.ask("POST", "/run?wait=0.2", order(on_cancel="cancel"))
    assert reply.status == 202
    assert reply.headers["location"] == f"/job/{reply.json['job_id']}/status"
    emu.release()
    server.wait_for(reply.json["job_id"], "DONE")


def test_a_client_that_leaves_cancels_its_job_once(server: Server, emu: Emulator) -> None:
    """Closing the connection of a synchronous run applies the policy `cancel`, once."""
    emu.hold()
    connection = server.begin("POST", "/run?wait=60", order(on_cancel="cancel"))
    until(lambda: len(emu.live()) == 1, 20)
    connection.close()
    until(lambda: not emu.live(), 20)
    assert [(job.status, job.cancels) for job in emu.jobs()] == [("Cancelled", 1)]


def test_a_client_that_leaves_a_detached_job_leaves_it_running(
    server: Server, emu: Emulator
) -> None:
    """With `detach`, the job of a client that left runs to its end."""
    emu.hold()
    connection = server.begin("POST", "/run?wait=60", order())
    until(lambda: len(emu.live()) == 1, 20)
    connection.close()
    newest = server.ask("GET", "/jobs?limit=1").json["jobs"][0]
    emu.release()
    server.wait_for(newest["job_id"], "DONE")
    assert emu.jobs()[0].cancels == 0


def test_jobs_are_listed_newest_first(server: Server) -> None:
    """`GET /jobs` gives pages, which join."""
    ids = [server.submit(name=f"n{number}") for number in range(3)]
    first = server.ask("GET", "/jobs?limit=2").json
    second = server.ask("GET", f"/jobs?limit=1&before={first['next']}").json
    listed = [job["job_id"] for job in first["jobs"] + second["jobs"]]
    assert listed == ids[::-1]
    assert first["jobs"][0]["name"] == "n2"


def test_the_code_is_kept(server: Server) -> None:
    """A job's circuit can be had as it was sent."""
    job_id = server.submit()
    assert server.ask("GET", f"/job/{job_id}/code").body.decode() == order()["code"]


def test_backends_are_listed(server: Server) -> None:
    """`GET /backends` names those that jobs can be sent to."""
    names = [each["name"] for each in server.ask("GET", "/backends").json["backends"]]
    assert names == ["ibm_fez", "ibm_manila"]


def test_requests_and_jobs_are_counted(server: Server) -> None:
    """`GET /metrics` counts requests by endpoint and jobs by status."""
    server.wait_for(server.submit(), "DONE")
    text = server.ask("GET", "/metrics").body.decode()
    assert 'qawait_gateway_requests_total{endpoint="run",method="POST",status="202"}' in text
    assert 'qawait_gateway_request_seconds_bucket{endpoint="status",le="+Inf"}' in text
    done = next(line for line in text.splitlines() if 'jobs{status="DONE"}' in line)
    assert int(done.split()[-1]) >= 1
