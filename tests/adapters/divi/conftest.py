"""What divi's tests share: a blocking client of the emulator, and backends on it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import qawait.sync
from qawait.adapters.divi import QawaitBackend
from support import divi_source
from support.open import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """Unpack divi's contract classes once, before any worker needs them."""
    if divi_source.VARIABLE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="divi-")
        config.add_cleanup(folder.cleanup)
        os.environ[divi_source.VARIABLE] = str(divi_source.unpack(Path(folder.name)))


@pytest.fixture
def client(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[qawait.sync.Client]:
    """Give a test a blocking client of the emulator."""
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    with qawait.sync.connect(guardian=False, schedule=QUICK) as opened:
        yield opened


@pytest.fixture
def backend(client: qawait.sync.Client) -> QawaitBackend:
    """Give a test a backend that samples and estimates."""
    return QawaitBackend(client, backend="ibm_manila", shots=500)
