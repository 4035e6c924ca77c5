"""The example of the documentation, as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "divi_vqe.py"


def test_the_example_finds_the_energy() -> None:
    """It is a program of its own, and leaves nothing behind."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # divi's and its dependencies'
    printed = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=quiet, capture_output=True, text=True, check=True
    )
    assert "lowest energy -1.5" in printed.stdout or "lowest energy -1.4" in printed.stdout
