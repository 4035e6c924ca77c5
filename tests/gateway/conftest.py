"""What the tests of the gateway share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.gateways import Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator


@pytest.fixture(scope="session")
def one_server(started: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one gateway for all tests that need no settings of their own."""
    folder = tmp_path_factory.mktemp("gateway")
    before = os.environ.get("QAWAIT_STATE")
    os.environ["QAWAIT_STATE"] = str(folder / "state")
    try:
        with serving(started, folder) as server:
            yield server
    finally:
        if before is None:
            del os.environ["QAWAIT_STATE"]
        else:
            os.environ["QAWAIT_STATE"] = before


@pytest.fixture
def server(one_server: Server, emu: Emulator) -> Server:
    """Give a test the gateway, on the emulator as at its start."""
    assert emu.url
    return one_server
