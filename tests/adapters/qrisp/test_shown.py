"""What the documentation and the example show of qrisp's programs."""

from __future__ import annotations

import pytest
import qrisp.default_backend

from support.shown import programs, run


@pytest.mark.parametrize("program", programs("qrisp", "qrisp_qaoa"))
def test_a_program_runs_as_it_stands(
    program: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who copies it gets what it promises, without a warning."""
    simulator = qrisp.default_backend.def_backend
    monkeypatch.setattr(qrisp.default_backend, "def_backend", simulator)  # set back afterwards
    run(program)
    assert capsys.readouterr().out
