"""A backend on a client of the emulator, and what the tests send to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qrisp import QuantumCircuit

from qawait.adapters.qrisp import QawaitBackend
from support.open import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    import qawait.sync
    from qawait.emulator import Emulator


@pytest.fixture
def client(emu: Emulator) -> Iterator[qawait.sync.Client]:
    """Give a test a client of the emulator."""
    with blocking(emu, guardian=False) as opened:
        yield opened


@pytest.fixture
def backend(client: qawait.sync.Client) -> QawaitBackend:
    """Give a test a backend on the client."""
    return QawaitBackend(client, backend="ibm_manila", options={"shots": 16})


@pytest.fixture
def flip() -> QuantumCircuit:
    """Return a circuit that measures 1 in the first of its two bits."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(1, 1)
    return circuit
