"""What the tests of the guardian share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.emulated import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator


@pytest.fixture
def held(emu: Emulator) -> None:
    """Let every job wait in the queue, and end without being executed once it is let go."""
    emu.settings(execute=False)
    emu.hold()


@pytest.fixture
def api(emu: Emulator) -> Iterator[Api]:
    """Give an authorised client of the emulator."""
    client = Api(emu)
    yield client
    client.close()
