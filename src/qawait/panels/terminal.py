"""A panel in a terminal, painted with rich; every write is made in a thread."""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from qawait.errors import ConfigError
from qawait.panels.board import duration, past
from qawait.threads import in_thread
from qawait.types import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from qawait.panels.board import Board, Watched
    from qawait.panels.outline import Outline

_STYLES: Final = {
    Stage.QUEUED: "dim",
    Stage.RUNNING: "cyan",
    Stage.FETCHING: "cyan",
    Stage.DONE: "green",
    Stage.ERROR: "red",
    Stage.CANCELLED: "yellow",
}
_MARKS: Final = {
    Stage.RUNNING: "●",
    Stage.FETCHING: "●",
    Stage.DONE: "✓",
    Stage.ERROR: "✗",
    Stage.CANCELLED: "■",
}
_WAITING: Final = "○"
_PLAIN: Final = str.maketrans("●○✓✗■█⟨⟩·±…", "*o+x-#<>,~.")
"""What a terminal without Unicode shows instead."""
_BAR_COLUMNS: Final = 32
_FRAME_LINES: Final = 6
_DUMB: Final = ("dumb", "unknown")


def is_terminal() -> bool:
    """Whether the standard output is a terminal that can be painted on."""
    try:
        return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in _DUMB
    except (AttributeError, ValueError):  # it is closed, or somebody's own
        return False


def view() -> Callable[[Callable[[], object], Board], TerminalView] | None:
    """Return what makes a terminal's view; `None` where the output is no terminal.

    Raises:
        ConfigError: `rich` is not installed.
    """
    if not is_terminal():
        return None
    if importlib.util.find_spec("rich") is None:
        raise ConfigError("a panel needs rich: pip install 'qawait[console]'")
    return TerminalView


class TerminalView:
    """Paints below what the program prints, and leaves the last picture standing.

    A terminal that is stopped, as by Ctrl-S, holds up a thread and not the loop.
    The cursor is given back however the program ends, short of a kill.
    """

    def __init__(
        self, _stop: Callable[[], object], _board: Board, *, console: Console | None = None
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._lock = threading.Lock()
        self._is_closed = False

    async def show(self, board: Board) -> None:
        """Paint the board."""
        picture = self._drawn(board)
        await in_thread(lambda: self._paint(picture))

    async def close(self, board: Board) -> None:
        """Paint the board for the last time, and show the cursor again."""
        picture = self._drawn(board)
        await in_thread(lambda: self._paint(picture, is_last=True))

    def _drawn(self, board: Board) -> RenderableType:
        size = self._console.size
        return drawn(board, columns=size.width, lines=size.height)

    def _paint(self, picture: RenderableType, *, is_last: bool = False) -> None:
        with self._lock:
            if self._is_closed:
                return
            if not self._live.is_started:
                atexit.register(self._restore)
                self._live.start()
            self._live.update(picture, refresh=True)
            if is_last:
                self._restore()

    def _restore(self) -> None:
        self._is_closed = True
        atexit.unregister(self._restore)
        self._live.stop()


def drawn(board: Board, *, columns: int, lines: int) -> RenderableType:
    """Return the picture of a board: one job in a few lines, or a table of many."""
    if len(board.rows) == 1:
        return _one(board.rows[0], board.clock(), columns)
    return _many(board, columns, lines)


def _one(row: Watched, now: float, columns: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = [_headline(row, columns)]
    if row.took or not row.is_ended:
        lines.append(_line(f"  {row.steps(now)}", "dim"))
    if (share := row.share(now)) is not None:
        lines.append(_progress(share, 1, columns))
    if remark := row.remark():
        lines.append(_line(f"  {remark}", "" if row.stage is Stage.ERROR else "dim"))
    if row.outline is not None:
        lines += [Text(""), *_bars(row.outline, columns)]
    return Group(*lines)


def _headline(row: Watched, columns: int) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(_text(f"{_MARKS.get(row.stage, _WAITING)} "), _STYLES.get(row.stage, ""))
    line.append(f"{row.stage.name.lower():<10}", _style(row))
    line.append(f"  {row.job_id or 'no id yet'}")
    line.append(f"  {row.backend or ''}", "dim")
    line.truncate(columns)
    return line


def _style(row: Watched) -> str:
    return f"bold {_STYLES.get(row.stage, '')}".replace(" dim", "").strip()


def _line(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(_text(text), style=style, no_wrap=True, overflow="ellipsis")


def _text(text: str) -> str:
    output = getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # rich puts itself before it
    if "utf" in (getattr(output, "encoding", None) or "ascii").lower():
        return text
    return text.translate(_PLAIN).encode("ascii", "replace").decode()


def _progress(completed: float, total: float, columns: int) -> RenderableType:
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar

    width = max(min(columns - 4, _BAR_COLUMNS * 2), 1)
    bar = ProgressBar(
        total=total,
        completed=completed,
        width=width,
        style="bright_black",
        complete_style="cyan",
        finished_style="green",
    )
    return Padding(bar, (0, 0, 0, 2))


def _bars(outline: Outline, columns: int) -> list[RenderableType]:
    from rich.text import Text

    wide = max((len(bar.label) for bar in outline.bars), default=0)
    room = max(min(columns - wide - 24, _BAR_COLUMNS), 1)
    lines: list[RenderableType] = []
    for bar in outline.bars:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(_text(f"  {bar.label:>{wide}}  "))
        filled = max(round(bar.share * room), 1)
        line.append(_text("█" * filled), "cyan")
        line.append(_text(f"{' ' * (room - filled)}  {bar.value}"), "dim")
        lines.append(line)
    if outline.remark:
        lines.append(_line(f"  {outline.remark}", "dim"))
    return lines


def _many(board: Board, columns: int, lines: int) -> RenderableType:
    from rich.console import Group

    if not board.rows:
        return _line("no jobs yet", "dim")
    shown = board.shown(max(lines - _FRAME_LINES, 1))
    parts: list[RenderableType] = [_table(board, shown)]
    if hidden := len(board.rows) - len(shown):
        parts.append(_line(f"  … and {hidden} more", "dim"))
    parts += [
        _progress(board.ended, len(board.rows), columns),
        _line(f"  {board.summary()}", "dim"),
    ]
    return Group(*parts)


def _table(board: Board, shown: list[Watched]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", width=1)
    table.add_column("job", no_wrap=True, min_width=8)
    table.add_column("backend", no_wrap=True, style="dim")
    table.add_column("status", no_wrap=True, min_width=9)
    table.add_column("time", no_wrap=True, justify="right", min_width=6)
    table.add_column("", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
    now = board.clock()
    for row in shown:
        table.add_row(
            Text(_text(_MARKS.get(row.stage, _WAITING)), _STYLES.get(row.stage, "")),
            row.job_id or "no id yet",
            row.backend or "",
            Text(row.stage.name.lower(), _style(row)),
            _time(row, now),
            Text(_text(row.remark())),
        )
    return table


def _time(row: Watched, now: float) -> str:
    elapsed = row.elapsed(now)
    return past(elapsed) if row.is_ended else duration(elapsed)
