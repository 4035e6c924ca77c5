"""The example, and the programs in the documentation, as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / "examples" / "divi_vqe.py").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "divi.md").read_text(), re.DOTALL)


def printed(code: str) -> str:
    """Run a program and return what it prints."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # divi's and its dependencies'
    ended = subprocess.run(
        [sys.executable, "-c", code], env=quiet, capture_output=True, text=True, check=True
    )
    return ended.stdout


def test_the_example_finds_the_energy() -> None:
    """Within the noise of the shots."""
    found = re.search(r"lowest energy (-\d\.\d+)", printed(EXAMPLE))
    assert found is not None
    assert float(found[1]) == pytest.approx(-1.5, abs=0.1)


@pytest.mark.parametrize("block", BLOCKS, ids=["blocking", "awaited"])
def test_the_documented_programs_find_a_cut(block: str) -> None:
    """Copied as they stand."""
    assert re.search(r"\[[0-3, ]+\]", printed(block))
