"""A gateway inside another application, on every loop."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from qawait.gateway import Settings, create_app
from support.gateways import order
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def mounted(emu: Emulator, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway below `/quantum` of an application that owns the client."""
    async with opened(emu) as client:
        settings = Settings(folder=folder, authenticate=False)
        gateway = create_app(lambda: contextlib.nullcontext(client), settings)
        app = Starlette(routes=[Mount("/quantum", gateway)])
        transport = httpx.ASGITransport(app)
        async with (
            gateway.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://lab.example") as caller,
        ):
            yield caller


async def test_a_mounted_gateway_runs_jobs(emu: Emulator, tmp_path: Path) -> None:
    """A job goes from its acceptance to its counts below the path where the gateway is mounted."""
    async with mounted(emu, tmp_path) as caller:
        accepted = await caller.post("/quantum/run", json=order(shots=20))
        assert accepted.status_code == 202
        where = accepted.headers["location"]
        assert where == f"/quantum/job/{accepted.json()['job_id']}/status"
        path = where.removesuffix("/status")
        told = (await caller.get(f"{path}/events")).text  # it ends with the job
        assert '"DONE"' in told
        counts: dict[str, Any] = (await caller.get(f"{path}/result")).json()
        assert sum(counts["c"].values()) == 20
        servers = (await caller.get("/quantum/openapi.json")).json()["servers"]
        assert servers == [{"url": "/quantum"}]
        assert (await caller.get("/quantum/")).status_code == 200
