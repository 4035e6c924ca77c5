"""A panel in a notebook: HTML that is replaced when something has changed, and a stop button.

The HTML is an ordinary output, so a notebook that is saved keeps the last picture.
Only the button is a widget, and it goes away when there is nothing left to stop.
"""

from __future__ import annotations

import html
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final

from anyio.lowlevel import checkpoint

from qawait import limits
from qawait.panels.board import duration, past
from qawait.types import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.panels.board import Board, Watched
    from qawait.panels.outline import Outline

_COLOURS: Final = {
    Stage.RUNNING: "#3d7eff",
    Stage.FETCHING: "#3d7eff",
    Stage.DONE: "#24a148",
    Stage.ERROR: "#e0323c",
    Stage.CANCELLED: "#b28600",
}
_WAITING: Final = "#8d8d8d"
_BOX: Final = (
    "font:13px/1.6 system-ui,sans-serif;max-width:44rem;padding:.6em .9em;margin:.3em 0;"
    "border:1px solid rgba(128,128,128,.3);border-radius:6px;font-variant-numeric:tabular-nums"
)
_FAINT: Final = "opacity:.65"
_CODE: Final = "font-family:ui-monospace,monospace;font-size:12px"
_TABLE: Final = "border-collapse:collapse;margin:.3em 0;font:inherit;color:inherit"
_CELL: Final = "padding:.1em 1.2em .1em 0;text-align:left;white-space:nowrap;background:none"


def is_there() -> bool:
    """Whether this is a notebook: a kernel whose outputs can be replaced."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookView:
    """Shows a board in the cell that is being run, and goes on there afterwards."""

    def __init__(self, stop: Callable[[], object], board: Board) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._shown = drawn(board)
        self._handle = display(HTML(self._shown), display_id=True)
        self._button, self._place = _button(stop, several=len(board.rows) != 1)

    async def show(self, board: Board) -> None:
        """Replace the picture, if it reads differently."""
        await checkpoint()
        self._replace(board)

    async def close(self, board: Board) -> None:
        """Replace the picture for the last time, and take the button away."""
        await checkpoint()
        self._replace(board)
        if self._button is not None:
            self._button.close()
            self._place.update(self._html(""))
            self._button = None

    def _replace(self, board: Board) -> None:
        picture = drawn(board)
        if picture != self._shown:
            self._shown = picture
            self._handle.update(self._html(picture))


def _button(stop: Callable[[], object], *, several: bool) -> tuple[Any, Any]:
    """Return the stop button and where it is; neither without ipywidgets."""
    if importlib.util.find_spec("ipywidgets") is None:
        return None, None
    from IPython.display import display
    from ipywidgets import Button

    button = Button(
        description="Stop all" if several else "Stop",
        icon="stop",
        tooltip="Cancel what has not ended, once",
        layout={"width": "auto"},
    )

    def clicked(_: Any) -> None:
        button.disabled = True
        stop()

    button.on_click(clicked)
    return button, display(button, display_id=True)


def drawn(board: Board) -> str:
    """Return the picture of a board as HTML."""
    inner = _one(board.rows[0], board.clock()) if len(board.rows) == 1 else _many(board)
    return f'<div style="{_BOX}">{inner}</div>'


def _one(row: Watched, now: float) -> str:
    backend = f'<span style="{_FAINT}">{html.escape(row.backend or "")}</span>'
    parts = [f"<div>{_badge(row)}&ensp;{_name(row)}&ensp;{backend}</div>"]
    if row.took or not row.is_ended:
        parts.append(_faint(row.steps(now)))
    if (share := row.share(now)) is not None:
        parts.append(_bar(share, _COLOURS[Stage.RUNNING]))
    if remark := row.remark():
        parts.append(f"<div>{html.escape(remark)}</div>" if row.reason else _faint(remark))
    if row.outline is not None:
        parts.append(_outlined(row.outline))
    return "".join(parts)


def _badge(row: Watched) -> str:
    colour = _COLOURS.get(row.stage, _WAITING)
    dot = f'<span style="color:{colour}">&#9679;</span>'
    return f'{dot} <b style="color:{colour}">{row.stage.name.lower()}</b>'


def _name(row: Watched) -> str:
    return f'<span style="{_CODE}">{html.escape(row.job_id or "no id yet")}</span>'


def _faint(text: str) -> str:
    return f'<div style="{_FAINT}">{html.escape(text)}</div>'


def _bar(share: float, colour: str) -> str:
    return (
        '<div style="height:4px;border-radius:2px;background:rgba(128,128,128,.25);margin:.5em 0">'
        f'<div style="height:4px;border-radius:2px;width:{share:.1%};background:{colour}">'
        "</div></div>"
    )


def _outlined(outline: Outline) -> str:
    lines = [
        f'<tr style="background:none"><td style="{_CELL};{_CODE};text-align:right">'
        f'{html.escape(bar.label)}</td><td style="{_CELL};width:16rem">'
        f'<div style="height:.8em;border-radius:2px;width:{bar.share:.1%};'
        f'background:{_COLOURS[Stage.RUNNING]};opacity:.75"></div></td>'
        f'<td style="{_CELL};{_FAINT}">{html.escape(bar.value)}</td></tr>'
        for bar in outline.bars
    ]
    table = f'<table style="{_TABLE}">{"".join(lines)}</table>'
    return table + (_faint(outline.remark) if outline.remark else "")


def _many(board: Board) -> str:
    if not board.rows:
        return _faint("no jobs yet")
    shown = board.shown(limits.PANEL_ROWS)
    now = board.clock()
    hidden = len(board.rows) - len(shown)
    share = board.ended / len(board.rows)
    return "".join(
        [
            f'<table style="{_TABLE}">',
            *(_row(row, now) for row in shown),
            "</table>",
            _faint(f"… and {hidden} more") if hidden else "",
            _bar(share, _COLOURS[Stage.DONE if board.is_ended else Stage.RUNNING]),
            _faint(board.summary()),
        ]
    )


def _row(row: Watched, now: float) -> str:
    elapsed = row.elapsed(now)
    shown = past(elapsed) if row.is_ended else duration(elapsed)
    cells = [
        _badge(row),
        _name(row),
        f'<span style="{_FAINT}">{html.escape(row.backend or "")}</span>',
        f"{shown}",
        f'<span style="{_FAINT}">{html.escape(row.remark()[:80])}</span>',
    ]
    inner = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="background:none">{inner}</tr>'
