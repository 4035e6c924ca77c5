"""What is drawn, in a terminal and as HTML."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from qawait.panels import notebook, terminal
from qawait.panels.board import Board, Watched
from qawait.panels.outline import Bar, Outline
from qawait.types import Stage


def board(*rows: Watched) -> Board:
    """Return a board at 200 seconds."""
    made = Board(lambda: 200.0)
    made.rows = list(rows)
    return made


def job(stage: Stage = Stage.QUEUED, **fields: object) -> Watched:
    """Return a job that has been in its stage for 30 seconds."""
    given = {"job_id": "d02v3m1n4a5q", "backend": "ibm_fez", "entered": 170.0, **fields}
    return Watched(stage=stage, **given)  # type: ignore[arg-type]


def painted(given: Board, *, columns: int = 80, lines: int = 24) -> list[str]:
    """Return a terminal's lines."""
    output = io.StringIO()
    Console(file=output, width=columns, force_terminal=False).print(
        terminal.drawn(given, columns=columns, lines=lines)
    )
    return [line.rstrip() for line in output.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def unicode_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the standard output take Unicode."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))


def test_one_job_in_a_few_lines() -> None:
    """A running job shows where it is, its times, its progress and what is expected."""
    row = job(Stage.RUNNING, took={Stage.QUEUED: 12.0}, estimate=60.0)
    lines = painted(board(row))
    assert lines[0] == "● running     d02v3m1n4a5q  ibm_fez"
    assert lines[1] == "  queued 12 s · running 30 s"
    assert set(lines[2]) <= set(" ━╸╺")
    assert lines[3] == "  about 1 min expected"


def test_a_job_that_is_done_shows_its_outline() -> None:
    """The most frequent outcomes are bars of their shares."""
    shown = Outline((Bar("11", 1.0, "3  75%"), Bar("00", 0.5, "1  25%")), "more")
    lines = painted(board(job(Stage.DONE, took={Stage.QUEUED: 3.0}, outline=shown)))
    assert lines[0].startswith("✓ done")
    assert lines[3] == f"  11  {'█' * 32}  3  75%"
    assert lines[4] == f"  00  {'█' * 16}{' ' * 16}  1  25%"
    assert lines[5] == "  more"


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_no_line_is_longer_than_the_terminal_is_wide(columns: int) -> None:
    """Long reasons are cut, in one job's picture and in a table."""
    failed = job(Stage.ERROR, reason="no luck " * 40)
    bars = Outline((Bar("0" * 24, 1.0, "4096  100%"),))
    for given in (board(failed), board(failed, job()), board(job(Stage.DONE, outline=bars))):
        assert max(map(len, painted(given, columns=columns))) <= columns


def test_a_table_fits_the_terminal() -> None:
    """Of many jobs as many are shown as there are lines for, and the rest is counted."""
    lines = painted(board(*[job() for _ in range(100)]), lines=24)
    assert len(lines) <= 24
    assert any(line.endswith("and 82 more") for line in lines)
    assert lines[-1] == "  0 of 100 ended · 100 queued"


def test_a_terminal_without_unicode_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mark has a plain twin."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    shown = Outline((Bar("⟨0⟩", 1.0, "+1.0 ± 0.1"),), "… ünd")
    picture = painted(board(job(Stage.DONE, took={Stage.QUEUED: 3.0}, outline=shown)))
    assert "\n".join(picture).isascii()
    assert picture[0].startswith("+ done")


def test_html_quotes_what_others_have_written() -> None:
    """A reason or a name that is HTML is shown as text."""
    rows = [job(Stage.ERROR, reason="<script>alert(1)</script>", backend="<b>") for _ in range(2)]
    for picture in (notebook.drawn(board(rows[0])), notebook.drawn(board(*rows))):
        assert "<script>" not in picture
        assert "<b>ibm" not in picture
        assert "&lt;script&gt;" in picture


def test_html_shows_stage_times_and_outline() -> None:
    """One job's HTML has all that a terminal shows."""
    shown = Outline((Bar("11", 1.0, "3  75%"),), "more")
    picture = notebook.drawn(board(job(Stage.DONE, took={Stage.QUEUED: 3.0}, outline=shown)))
    for part in ("done", "queued 3.0 s", "d02v3m1n4a5q", "ibm_fez", "11", "75%", "more"):
        assert part in picture


def test_an_empty_board_says_so() -> None:
    """A panel that waits for jobs is not blank."""
    assert painted(board()) == ["no jobs yet"]
    assert "no jobs yet" in notebook.drawn(board())
