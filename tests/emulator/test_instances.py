"""An account with more than one instance: none sees what is another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qawait.errors import ConfigError
from support.emulated import submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api, Reply


def ask(api: Api, crn: str, method: str, path: str, body: Any = None) -> Reply:
    """Ask about another instance."""
    return api.ask(method, path, body, {"Service-CRN": crn})


def test_jobs_are_isolated(emu: Emulator, api: Api) -> None:
    """A job is listed, shown and cancelled through its own instance only."""
    other = emu.add_instance("other")
    emu.hold()
    here, there = api.submit(), ask(api, other, "POST", "/jobs", submit_body()).json["id"]
    assert api.ids("") == api.ids("pending=true") == [here]
    assert [job["id"] for job in ask(api, other, "GET", "/jobs").json["jobs"]] == [there]
    assert api.ask("GET", f"/jobs/{there}").status == 404
    assert api.ask("POST", f"/jobs/{there}/cancel").status == 404
    assert emu.job(there).live


def test_sessions_are_isolated(emu: Emulator, api: Api) -> None:
    """A session is there for its own instance only, also for jobs."""
    other = emu.add_instance("other")
    body = {"mode": "batch", "backend": "ibm_manila"}
    session = ask(api, other, "POST", "/sessions", body).json["id"]
    assert api.ask("GET", f"/sessions/{session}").status == 404
    assert api.ask("DELETE", f"/sessions/{session}/close").status == 404
    assert api.ask("POST", "/jobs", submit_body(session_id=session)).status == 404
    assert [one.instance for one in emu.open_sessions()] == [other]


def test_usage_is_of_one_instance(emu: Emulator, api: Api) -> None:
    """What one instance has used is not counted for another."""
    other = emu.add_instance("other", plan="premium")
    emu.wait_for(api.submit(), "Completed")
    assert api.ask("GET", "/instances/usage").json["usage_consumed_seconds"] >= 1
    said = ask(api, other, "GET", "/instances/usage").json
    assert (said["instance_id"], said["usage_consumed_seconds"]) == (other, 0)


def test_backends_of_an_instance(emu: Emulator, api: Api) -> None:
    """An instance sees the backends that were allocated to it, and no others."""
    other = emu.add_instance("other", backends=["ibm_fez"])
    devices = ask(api, other, "GET", "/backends").json["devices"]
    assert [device["name"] for device in devices] == ["ibm_fez"]
    assert ask(api, other, "GET", "/backends/ibm_manila/status").status == 404
    assert ask(api, other, "POST", "/jobs", submit_body()).status == 404


def test_search_goes_page_by_page(emu: Emulator, api: Api) -> None:
    """Global search gives a cursor while there is more; the catalog knows every plan."""
    crns = [emu.instance, emu.add_instance("b", plan="premium"), emu.add_instance("c", tags=["x"])]
    found: list[Any] = []
    body: dict[str, Any] = {"query": "service_name:quantum-computing"}
    path, credentials = "/gs/v3/resources/search?limit=2", api.credentials()
    while True:
        page = api.raw("POST", path, body, credentials).json
        found += page["items"]
        if "search_cursor" not in page:
            break
        body["search_cursor"] = page["search_cursor"]
    assert [item["crn"] for item in found] == crns
    plans = [item["service_plan_unique_id"] for item in found]
    said = [api.raw("GET", f"/catalog/api/v1/{plan}", None, credentials).json for plan in plans]
    prices = [one["metadata"]["pricing"]["type"] for one in said]
    assert prices == ["free", "subscription", "free"]


@pytest.mark.parametrize("fields", [{"plan": "gratis"}, {"region": "moon"}])
def test_an_instance_that_cannot_be(emu: Emulator, fields: dict[str, str]) -> None:
    """A plan or region that does not exist is refused."""
    with pytest.raises(ConfigError):
        emu.add_instance("other", **fields)
