"""An embedded Qiskit Runtime service: the same wire, real results, faults on request.

with qawait.emulator.running(queue_seconds=1) as emu:
    emu.route("POST /jobs").fail(status=503, when="after")
"""

from __future__ import annotations

from .handle import Emulator, FaultRule, JobView, Route
from .ledger import Entry
from .process import Embedded, running, start, stop

__all__ = [
    "Embedded",
    "Emulator",
    "Entry",
    "FaultRule",
    "JobView",
    "Route",
    "running",
    "start",
    "stop",
]
