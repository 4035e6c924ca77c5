"""The examples of the documentation, run as they stand on the embedded service."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

import qawait
from support.open import bell

if TYPE_CHECKING:
    from qawait.emulator import Emulator

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    """Return a page's examples in Python."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def examples() -> list[Any]:
    """Return every example with the page and place it is from."""
    return [
        pytest.param(block, id=f"{page}-{place}")
        for page in ("sessions.md", "accounts.md")
        for place, block in enumerate(blocks(page))
    ]


@pytest.mark.parametrize("block", examples())
def test_it_runs(
    block: str, emu: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An example runs without a change, given an account and circuits."""
    crn = emu.add_instance("my-instance", plan="premium", tags=["lab"])
    emu.settings(execute=True)
    for name, value in {**emu.env, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    if "connect(" in block and "connect()" not in block and "proxies" not in block:
        monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    ansatz = QuantumCircuit(2)
    given: dict[str, Any] = {
        "qawait": qawait,
        "crn": crn,
        "circuit": bell(),
        "circuits": [bell(), bell()],
        "ansatz": ansatz,
        "observable": SparsePauliOp("ZZ"),
        "parameters": [],
    }
    source = f"async def example():\n{textwrap.indent(block, '    ')}\n"
    exec(source, given)
    anyio.run(given["example"])
    assert emu.open_sessions() == []
