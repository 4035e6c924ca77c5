"""The emulator beside recorded traffic of IBM's client: same requests in, same shapes out."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qawait.emulator.border import classify

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api

RECORDED = Path(__file__).parents[1] / "recorded"
JOBS = (
    "03-sampler-v2",
    "04-estimator-v2",
    "05-executor-sampler",
    "06-executor-sampler-twirled",
    "07-executor-estimator",
    "12-private-job",
)


@functools.cache
def exchanges(name: str) -> list[dict[str, Any]]:
    """Return the exchanges of a recording."""
    found: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text())["exchanges"]
    return found


def recorded(name: str, method: str, route: str, status: int = 200) -> Any:
    """Return the last recorded body that answers such a request with such a status."""
    return next(
        exchange["response"]["body"]
        for exchange in reversed(exchanges(name))
        if exchange["request"]["method"] == method
        and classify(exchange["request"]["path"])[1] == route
        and exchange["response"]["status"] == status
    )


def submitted(name: str) -> dict[str, Any]:
    """Return the first recorded submit."""
    body: dict[str, Any] = next(
        exchange["request"]["body"]
        for exchange in exchanges(name)
        if exchange["request"]["method"] == "POST" and exchange["request"]["path"].endswith("/jobs")
    )
    return body


def shape(value: Any) -> Any:
    """Return the keys and kinds of a value, without what differs from run to run."""
    if isinstance(value, dict):
        # Metadata tells how it was computed; parameters and tags are as the client asks.
        own = ("metadata", "params", "tags")
        return {key: shape(part) for key, part in value.items() if key not in own}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def run(emu: Emulator, api: Api, name: str) -> str:
    """Run a recorded submit for real and return the job's id."""
    emu.settings(execute=True)
    reply = api.ask("POST", "/jobs", submitted(name))
    assert set(reply.json) == set(recorded(name, "POST", "/jobs"))
    job_id: str = reply.json["id"]
    view = emu.wait_for(job_id, "Completed", "Failed", within=30)
    assert view.status == "Completed", view.reason
    return job_id


@pytest.mark.parametrize("name", JOBS)
def test_recorded_submits_run(emu: Emulator, api: Api, name: str) -> None:
    """What IBM's client once sent is accepted and executed, and answered in the same shape."""
    job_id = run(emu, api, name)
    assert shape(api.job(job_id)) == shape(recorded(name, "GET", "/jobs/{id}"))
    result = api.ask("GET", f"/jobs/{job_id}/results").json
    assert shape(result) == shape(recorded(name, "GET", "/jobs/{id}/results"))


@pytest.mark.parametrize("name", [name for name in JOBS if "executor" in name])
def test_executor_echoes(emu: Emulator, api: Api, name: str) -> None:
    """The executor gives back what was passed through, byte for byte, and the role."""
    result = api.ask("GET", f"/jobs/{run(emu, api, name)}/results").json
    before = recorded(name, "GET", "/jobs/{id}/results")
    assert result["passthrough_data"] == before["passthrough_data"]
    assert result["semantic_role"] == before["semantic_role"]
    for ours, theirs in zip(result["data"], before["data"], strict=True):
        for register, tensor in theirs["results"].items():
            kind = (ours["results"][register]["shape"], ours["results"][register]["dtype"])
            assert kind == (tensor["shape"], tensor["dtype"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("03-sampler-v2", "/instances/usage"),
        ("03-sampler-v2", "/backends/ibm_manila/status"),
        ("01-service-init-with-crn", "/backends"),
    ],
)
def test_what_is_asked_before_a_job(api: Api, name: str, path: str) -> None:
    """Usage, status and backends have the recorded keys."""
    route = classify(path)[1]
    assert shape(api.ask("GET", path).json) == shape(recorded(name, "GET", route))


def test_metrics_as_recorded(emu: Emulator, api: Api) -> None:
    """Metrics have the recorded keys."""
    job_id = run(emu, api, "03-sampler-v2")
    metrics = api.ask("GET", f"/jobs/{job_id}/metrics").json
    assert shape(metrics) == shape(recorded("03-sampler-v2", "GET", "/jobs/{id}/metrics"))


def test_listing_as_recorded(api: Api) -> None:
    """A listing has the recorded keys."""
    api.submit()
    listing = recorded("11-jobs-list", "GET", "/jobs")
    assert set(api.ask("GET", "/jobs").json) == set(listing)


@pytest.mark.parametrize(
    ("name", "method", "suffix", "status"),
    [
        ("08-cancel-queued", "POST", "/cancel", 409),
        ("09-cancel-finished-failed-toolong", "DELETE", "", 400),
    ],
)
def test_refusals_as_recorded(
    emu: Emulator, api: Api, name: str, method: str, suffix: str, status: int
) -> None:
    """A refusal has the recorded code, message and keys."""
    if status == 400:
        emu.hold()
    job_id = api.submit()
    if status == 409:
        emu.wait_for(job_id, "Completed")
    reply = api.ask(method, f"/jobs/{job_id}{suffix}")
    before = recorded(name, method, f"/jobs/{{id}}{suffix}", status)
    assert reply.status == status
    assert reply.json["errors"] == before["errors"]
    assert set(reply.json) == set(before)


def test_bad_credentials_as_recorded(api: Api) -> None:
    """A wrong key and a wrong token are answered as they were."""
    iam = recorded("14-auth-bad-api-key", "POST", "/identity/token", 400)
    assert shape(api.login("BAD").json) == shape(iam)
    service = recorded("14-auth-bad-api-key", "GET", "/backends", 401)
    reply = api.raw("GET", "/api/v1/backends", headers={"Authorization": "apikey BAD"})
    assert reply.json["errors"] == service["errors"]
