"""An emulator for all tests of the client, as new for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qawait.emulator.process import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator


@pytest.fixture(scope="session")
def started() -> Iterator[Emulator]:
    """Run one emulator in a process of its own."""
    with running(backends=("fez", "manila"), seed=7) as emulator:
        yield emulator


@pytest.fixture
def emu(started: Emulator) -> Emulator:
    """Give a test the emulator as at its start."""
    started.reset()
    return started
