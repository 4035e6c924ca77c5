"""What the adapter of qrisp is where qrisp is not installed, or not used."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import qawait.adapters.qrisp
from qawait import ConfigError


def test_a_missing_qrisp_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""

    def find_nothing(_: str) -> Any:
        return None

    monkeypatch.setattr("qawait.adapters.find_spec", find_nothing)
    with pytest.raises(ConfigError, match=r"pip install 'qawait\[qrisp\]'"):
        _ = qawait.adapters.qrisp.QawaitBackend


def test_neither_qawait_nor_the_adapter_imports_it() -> None:
    """It is imported when a name is first used; the same goes for Qiskit and qawait itself."""
    code = (
        "import sys, qawait, qawait.adapters.qrisp; "
        "print([name in sys.modules for name in ('qrisp', 'qiskit', 'qawait.adapters.qiskit')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[False, False, False]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist is refused as by any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = qawait.adapters.qrisp.nothing
