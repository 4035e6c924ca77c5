"""Runs qrisp's own tests against the adapter, as a plugin of pytest.

In a checkout of qrisp's public repository (its source distribution has no tests):

    PYTHONPATH=<qawait>/tests python -m pytest -p support.qrisp_suite tests/interface_tests

What runs on qrisp's simulator there, by default or by name, runs on an embedded
service through a client instead.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import qrisp.default_backend

import qawait.sync
from qawait.adapters.qrisp import QawaitBackend

if TYPE_CHECKING:
    import pytest

_opened = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Put the adapter in the simulator's place, before any test is imported."""
    schedule = qawait.PollSchedule(lateness=0.02)
    client = _opened.enter_context(qawait.sync.local(backends=("fez",), schedule=schedule))
    config.add_cleanup(_opened.close)

    class Adapted(QawaitBackend):
        """The adapter, made with the arguments of qrisp's simulator."""

        def __init__(self, name: str | None = None, options: Any = None, **_: Any) -> None:
            super().__init__(client, backend="ibm_fez", name=name, options=options)

    qrisp.default_backend.QrispSimulatorBackend = Adapted
    qrisp.default_backend.def_backend = Adapted()
