"""Programs that are shown to readers: examples, and blocks of the documentation."""

from __future__ import annotations

from support.documented import ROOT, blocks_of


def programs(page: str, example: str) -> list[str]:
    """Return the text of each program on a page, and of an example."""
    blocks = [block.code for block in blocks_of(f"docs/{page}.md")]
    return [*blocks, (ROOT / "examples" / f"{example}.py").read_text()]


def run(program: str) -> None:
    """Run a program as a script; in this process, as what it imports takes long."""
    exec(compile(program, "<shown>", "exec"), {"__name__": "__main__"})
