"""divi's own contract classes, run against the adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from divi.backends import AsyncJobBackend

from qawait.adapters.divi import QawaitBackend
from support.divi_source import contracts

if TYPE_CHECKING:
    import qawait.sync

THEIRS = contracts()


class _Runners:
    """The runners that divi's contracts ask for."""

    @pytest.fixture
    def contract_runner_default(self, client: qawait.sync.Client) -> QawaitBackend:
        """Give a runner as it is by default."""
        return QawaitBackend(client, backend="ibm_manila", shots=THEIRS.CONTRACT_TEST_SHOTS)

    @pytest.fixture
    def contract_runner_disabled(self, client: qawait.sync.Client) -> QawaitBackend:
        """Give a runner that tracks no depths."""
        shots = THEIRS.CONTRACT_TEST_SHOTS
        return QawaitBackend(client, backend="ibm_manila", shots=shots, track_depth=False)

    @pytest.fixture
    def contract_runner_enabled(self, client: qawait.sync.Client) -> QawaitBackend:
        """Give a runner that tracks depths."""
        shots = THEIRS.CONTRACT_TEST_SHOTS
        return QawaitBackend(client, backend="ibm_manila", shots=shots, track_depth=True)


class TestAsync(_Runners, THEIRS.AsyncRunnerContractsBase):  # type: ignore[name-defined]
    """What divi asks of a backend that returns before the circuits have run."""


class TestSync(_Runners, THEIRS.SyncRunnerContractsBase):  # type: ignore[name-defined]
    """What divi asks of any backend."""


def test_it_is_what_divi_looks_for(client: qawait.sync.Client) -> None:
    """The protocol's names are all there, and what programs read besides."""
    backend = QawaitBackend(client, backend="ibm_manila", shots=7)
    assert isinstance(backend, AsyncJobBackend)
    assert (backend.shots, backend.is_async, backend.supports_expval) == (7, True, True)
    assert (backend.resolves_parameters, backend.max_retries) == (False, None)
