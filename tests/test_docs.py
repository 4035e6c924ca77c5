"""The examples in the documentation run as they stand."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from side_by_side.clients import is_installed
from support.documented import Block, blocks_of, run
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

PROGRAMS = [
    block
    for page in (
        "docs/jobs.md",
        "docs/money.md",
        "docs/errors.md",
        "docs/console.md",
        "docs/gateway.md",
        "docs/testing.md",
    )
    for block in blocks_of(page)
]
WITH_A_CLIENT = {
    "README.md": [],
    "docs/cancellation.md": [],
    "docs/programs.md": ["did you mean 'twirling.enable_gates'?", "(100, 2)", "layers learned"],
    "docs/results.md": [],
    "docs/sessions.md": ["Closed", "batch"],
}
"""Pages whose blocks are run one after the other, and what they print."""


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_program_runs(program: Block) -> None:
    """A reader who copies a program gets what it promises."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert bool(done.stdout) == ("print(" in program.code)


# an ideal device has outcomes without any spread
@pytest.mark.filterwarnings("ignore:No positive, finite standard errors were found:UserWarning")
@pytest.mark.parametrize("page", WITH_A_CLIENT)
def test_the_blocks_of_a_page_run(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    """Every block runs after those before it, and prints what it says."""
    if page == "docs/programs.md" and not is_installed("0.50"):
        pytest.skip("before 0.50 IBM's samplers found no layers")
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    assert blocks_of(page)
    anyio.run(_run, emu, page)
    printed = capsys.readouterr().out
    assert all(text in printed for text in WITH_A_CLIENT[page])


async def _run(emu: Emulator, page: str) -> None:
    async with opened(emu) as client:
        names = {"client": client, **_what_a_reader_has()}
        for block in blocks_of(page):
            await run(block, names)


def _what_a_reader_has() -> dict[str, Any]:
    """Return what pages speak of as the reader's own."""
    import qawait

    ansatz = QuantumCircuit(1)
    ansatz.ry(Parameter("angle"), 0)
    return {
        "qawait": qawait,
        "circuit": bell(),
        "circuits": [bell(), bell()],
        "ansatz": ansatz,
        "observable": "Z",
        "parameters": [0.5],
    }
