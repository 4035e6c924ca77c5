"""Programs that are shown to readers: examples, and blocks of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def programs(page: str, example: str) -> list[str]:
    """Return the text of each program on a page, and of an example."""
    blocks = _BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())
    return [*blocks, (ROOT / "examples" / f"{example}.py").read_text()]


def run(program: str) -> None:
    """Run a program as a script; in this process, as what it imports takes long."""
    exec(compile(program, "<shown>", "exec"), {"__name__": "__main__"})
