"""The code in the documentation, run as its reader would."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread

ROOT = Path(__file__).parents[2]
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A piece of Python on a page."""

    page: str
    number: int
    code: str

    def __str__(self) -> str:
        return f"{Path(self.page).stem}-{self.number}"


@dataclass(frozen=True)
class Section:
    """A heading of a page, its blocks, and the text after the last of them."""

    title: str
    blocks: list[Block]
    text: str


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of Python on a page, in their order."""
    return _blocks(page, (ROOT / page).read_text())


def sections_of(page: str) -> list[Section]:
    """Return the sections of a page, without what is before the first heading."""
    parts = re.split(r"^## (.+)\n", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    return [
        Section(title, _blocks(page, content), _PYTHON.split(content)[-1])
        for title, content in zip(parts[::2], parts[1::2], strict=True)
    ]


def _blocks(page: str, content: str) -> list[Block]:
    return [Block(page, number, code) for number, code in enumerate(_PYTHON.findall(content))]


async def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block with names, which it may change, as a notebook does: `await` needs no coroutine.

    A block that awaits nothing is run where there is no event loop.
    """
    code = compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)
    else:
        await to_thread.run_sync(eval, code, names)
