"""Fixtures for every test: the loops on which asynchronous tests run."""

from __future__ import annotations

import pytest

LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each test marked `anyio` on asyncio, uvloop and trio."""
    return request.param
