"""What an adapter is where its peer is not installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import qawait.adapters.divi
from qawait import ConfigError


def test_a_missing_peer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""

    def find_nothing(_: str) -> Any:
        return None

    monkeypatch.setattr("qawait.adapters.find_spec", find_nothing)
    with pytest.raises(ConfigError, match=r"pip install 'qawait\[divi\]'"):
        _ = qawait.adapters.divi.QawaitBackend


def test_an_adapter_imports_its_peer_when_used() -> None:
    """Importing the module brings nothing of the peer along."""
    code = "import sys, qawait.adapters.divi; print('divi' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist is refused as by any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = qawait.adapters.divi.nothing
