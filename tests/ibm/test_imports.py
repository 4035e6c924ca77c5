"""What importing the connection to IBM Quantum brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import qawait.ibm

HEAVY = ("qiskit", "numpy", "qiskit_ibm_runtime", "pydantic", "httpx")


def test_no_heavy_package_is_imported() -> None:
    """The service with all it needs starts without qiskit, numpy and httpx."""
    code = f"import sys, qawait.ibm.service; print([x for x in {HEAVY} if x in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_httpx_is_imported_in_one_file() -> None:
    """Its successor is put in there."""
    folder = Path(qawait.ibm.__file__).parent
    importers = {file.name for file in folder.rglob("*.py") if "import httpx" in file.read_text()}
    assert importers == {"transport.py"}
