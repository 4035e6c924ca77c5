"""Instruments for tests: virtual time and a service that exists only in memory."""

from qawait.testing.loop import VirtualLoop
from qawait.testing.service import Fault, SimulatedJob, SimulatedService

__all__ = ["Fault", "SimulatedJob", "SimulatedService", "VirtualLoop"]
