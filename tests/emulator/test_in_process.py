from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio

from qawait.emulator.app import create_app
from qawait.emulator.border import NeedsSocketError
from qawait.emulator.settings import INSTANCE, Settings
from qawait.secret import Secret
from support.emulated import submit_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The emulator runs on asyncio; only its clients run on any loop.
pytestmark = pytest.mark.asyncio
KEY = "the-key"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Give an authorised client of an emulator that is called without a socket."""
    app = create_app(Settings(execute=False, token=Secret(KEY)))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        grant = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": KEY}
        token = (await client.post("/identity/token", data=grant)).json()["access_token"]
        client.headers.update({"Authorization": f"Bearer {token}", "Service-CRN": INSTANCE})
        yield client


async def control(client: httpx.AsyncClient, path: str, **fields: object) -> httpx.Response:
    """Ask the control API."""
    return await client.post(f"/_emulator/{path}", json=fields, headers={"X-Emulator-Key": KEY})


async def test_a_whole_life_without_a_socket(client: httpx.AsyncClient) -> None:
    """A job can be submitted, polled and fetched by calling the application."""
    job_id = (await client.post("/api/v1/jobs", json=submit_body())).json()["id"]
    for _turn_of_the_loop in range(10):
        await asyncio.sleep(0)
    assert (await client.get(f"/api/v1/jobs/{job_id}")).json()["status"] == "Completed"
    assert (await client.get(f"/api/v1/jobs/{job_id}/results")).json() == {"results": []}


async def test_answers_can_be_harmed(client: httpx.AsyncClient) -> None:
    """Faults that need no socket work without one."""
    await control(client, "faults", route="GET /jobs", kind="fail", status=503)
    await control(client, "faults", route="GET /jobs", kind="malform")
    assert (await client.get("/api/v1/jobs")).status_code == 503
    with pytest.raises(json.JSONDecodeError):
        (await client.get("/api/v1/jobs")).json()


@pytest.mark.parametrize("kind", ["reset", "close", "truncate", "cut"])
async def test_faults_on_the_connection_need_one(client: httpx.AsyncClient, kind: str) -> None:
    """A fault on the connection says clearly that there is none."""
    await control(client, "faults", route="GET /jobs", kind=kind)
    with pytest.raises(NeedsSocketError, match="needs a socket"):
        await client.get("/api/v1/jobs")


@pytest.mark.parametrize("key", ["", "wrong", "é"])
async def test_control_needs_the_key(client: httpx.AsyncClient, key: str) -> None:
    """Nobody without the key commands the emulator; a bearer token is not enough."""
    headers = {b"X-Emulator-Key": key.encode()}
    assert (await client.get("/_emulator/jobs", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("faults", {"kind": "fail"}),
        ("faults", {"route": "*", "kind": "fail", "times": "many"}),
        ("faults", {"route": "*", "kind": "fail", "headers": "x"}),
        ("faults", {"route": "*", "kind": "slow", "size": 0}),
        ("scripts", {"run_seconds": "x"}),
        ("scripts", {"times": 0}),
        ("scripts", {"outcome": 3}),
        ("hold", {"stage": "late"}),
        ("faults/release", {"id": "x"}),
    ],
)
async def test_nonsense_is_refused(
    client: httpx.AsyncClient, path: str, fields: dict[str, object]
) -> None:
    """A command that makes no sense is answered 400 and changes nothing."""
    assert (await control(client, path, **fields)).status_code == 400
    assert (await client.get("/api/v1/jobs")).status_code == 200
