"""One embedded service for both clients, and IBM's own client pointed at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qawait import emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

SEED = 29


@pytest.fixture(scope="session")
def emu() -> Iterator[Emulator]:
    """Run a service with a small and a 127-qubit backend, whose jobs have seeds."""
    with emulator.running(backends=("manila", "sherbrooke"), seed=SEED) as running:
        yield running


@pytest.fixture(scope="session")
def service(emu: Emulator) -> Any:
    """Make IBM's service object, without any argument but the environment."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    with pytest.MonkeyPatch.context() as patch:
        for name, value in emu.env.items():
            patch.setenv(name, value)
        return QiskitRuntimeService()


@pytest.fixture
def ibm(emu: Emulator, service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give IBM's service object and, during a test, the environment that it was made in."""
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture(autouse=True)
def _same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both clients draw the same: IBM's code folds gates at random."""
    seeded = np.random.default_rng

    def drawn(seed: Any = None) -> Any:
        return seeded(SEED if seed is None else seed)

    monkeypatch.setattr(np.random, "default_rng", drawn)
