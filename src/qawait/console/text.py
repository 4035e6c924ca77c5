"""Plain output: aligned columns, and one line of progress where somebody is looking."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final, Self

from qawait.panels.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CLEAR: Final = "\r\x1b[2K"
_BAR: Final = 24
_COLOURS: Final = {"red": 31, "green": 32, "yellow": 33, "bold": 1, "dim": 2}


def coloured(text: str, colour: str) -> str:
    """Return a text in a colour, where that is seen and wanted (`NO_COLOR`)."""
    if not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def wrapped(text: str, indent: int) -> str:
    """Return a text in lines that fit a terminal, all but the first indented; whole elsewhere."""
    if not is_terminal():
        return text
    width = max(shutil.get_terminal_size().columns - indent, indent)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{'':{indent}}".join(lines)


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns; cut to its width on a terminal, whole elsewhere."""
    lines = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *lines, strict=True)]
    room = shutil.get_terminal_size().columns if is_terminal() else None
    print(coloured(_aligned(names, widths, room), "dim"))
    for line in lines:
        print(_aligned(line, widths, room))


def _aligned(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    line = "  ".join(padded).rstrip()
    return line if room is None or len(line) <= room else f"{line[: room - 1]}…"


class Progress:
    """One line on stderr that says what is going on, gone when it is over.

    It is there only if both outputs are terminals, and `is_wanted`.
    """

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_shown = is_wanted and is_terminal() and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, what: str, done: int = 0, total: int = 0) -> None:
        """Say what is being done; with a `total`, beside a bar."""
        if self._is_shown:
            bar = ""
            if total:
                filled = round(_BAR * done / total)
                bar = f"{'━' * filled}{'─' * (_BAR - filled)} {done} of {total}  "
            sys.stderr.write(f"{_CLEAR}{bar}{what} …")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
