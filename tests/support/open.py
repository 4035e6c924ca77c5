"""Clients of an emulator, and circuits to send through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit

import qawait
import qawait.sync

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from qawait.opening import Opening

QUICK = qawait.PollSchedule(lateness=0.02)


def opened(emu: Emulator, **options: Any) -> Opening:
    """Return a client about to be opened on the emulator, one that polls often."""
    return qawait.connect(**_given(emu, options))


def blocking(emu: Emulator, **options: Any) -> qawait.sync.Client:
    """Return an open client for threads without a loop, one that polls often."""
    return qawait.sync.connect(**_given(emu, options))


def _given(emu: Emulator, options: dict[str, Any]) -> dict[str, Any]:
    given = {
        "token": emu.token.reveal(),
        "instance": emu.instance,
        "url": emu.url,
        "iam_url": emu.iam_url,
        "schedule": QUICK,
    }
    return {**given, **options}


def bell() -> QuantumCircuit:
    """Return a measured Bell pair."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


BELL_QASM3 = """
OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
