"""The documentation's Python runs, and names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qawait import __main__

PAGE = Path(__file__).parents[2] / "docs" / "console.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_its_python_runs(block: str) -> None:
    """Each block is a program that ends well and, in a pipe, prints nothing."""
    ended = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_every_command_is_described() -> None:
    """Each command has its line in the table."""
    text = PAGE.read_text("utf-8")
    for command in __main__._COMMANDS:
        assert re.search(rf"^\| `{command}\b", text, re.MULTILINE), command
