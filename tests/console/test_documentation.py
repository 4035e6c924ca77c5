"""The documentation names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from qawait import __main__

PAGE = Path(__file__).parents[2] / "docs" / "console.md"


def test_every_command_is_described() -> None:
    """Each command has its line in the table."""
    text = PAGE.read_text("utf-8")
    for command in __main__._COMMANDS:
        assert re.search(rf"^\| `{command}\b", text, re.MULTILINE), command
