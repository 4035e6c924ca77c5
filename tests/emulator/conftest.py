"""One emulator for all tests here, as new for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qawait import emulator
from support.emulated import Api

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[emulator.Emulator]:
    """Run an emulator for the whole session."""
    with emulator.running(seed=7) as emu:
        yield emu


@pytest.fixture
def emu(shared_emulator: emulator.Emulator) -> emulator.Emulator:
    """Give an emulator that is as new, and answers jobs without executing them."""
    shared_emulator.reset()
    shared_emulator.settings(execute=False)
    return shared_emulator


@pytest.fixture
def api(emu: emulator.Emulator) -> Iterator[Api]:
    """Give an authorised client of that emulator."""
    client = Api(emu)
    yield client
    client.close()
