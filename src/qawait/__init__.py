"""Await quantum circuits on IBM Quantum."""

__version__ = "0.1.0"
