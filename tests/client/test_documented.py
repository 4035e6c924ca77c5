"""The code in docs/programs.md, run block by block as its reader would."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

PAGE = Path(__file__).parents[2] / "docs" / "programs.md"


# an ideal device has outcomes without any spread
@pytest.mark.filterwarnings("ignore:No positive, finite standard errors were found:UserWarning")
def test_the_blocks_of_the_page_about_programs_run(
    emu: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block runs after those before it, and prints what it says."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    anyio.run(_run, emu, blocks)
    printed = capsys.readouterr().out
    assert "did you mean 'twirling.enable_gates'?" in printed
    assert "(100, 2)" in printed


async def _run(emu: Emulator, blocks: list[str]) -> None:
    async with opened(emu) as client:
        names: dict[str, Any] = {"client": client}
        for block in blocks:
            code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if inspect.iscoroutine(running := eval(code, names)):
                await running
