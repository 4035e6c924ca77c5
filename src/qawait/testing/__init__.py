"""Instruments for tests: virtual time and a service that exists only in memory."""

from qawait.testing.faults import Fault, Outage, Spoil, Trouble
from qawait.testing.ledger import Outcome, Request, SimulatedJob
from qawait.testing.loop import SimulatedProcess, VirtualLoop
from qawait.testing.service import SimulatedService

__all__ = [
    "Fault",
    "Outage",
    "Outcome",
    "Request",
    "SimulatedJob",
    "SimulatedProcess",
    "SimulatedService",
    "Spoil",
    "Trouble",
    "VirtualLoop",
]
