"""What the documentation and the example show of Qiskit's primitives."""

from __future__ import annotations

import pytest

from support.shown import programs, run


@pytest.mark.parametrize("program", programs("qiskit", "qiskit_primitives"))
def test_a_program_runs_as_it_stands(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader who copies it gets what it promises, without a warning."""
    run(program)
    assert capsys.readouterr().out
