"""What benchmarks return: rows of data, from which tables are made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HEAD = "| measure | whose | value | ratio | aim | holds |\n|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: what was measured, of whom, and beside what.

    `value` is `None` where a peer gave none within its time limit. `ratio` says
    what the figure is beside another one of the same run, `aim` what it should be.
    """

    name: str
    peer: str
    value: float | None
    unit: str = ""
    ratio: str = ""
    aim: str = ""
    holds: bool | None = None

    def line(self) -> str:
        """Return the row as a line of a Markdown table."""
        value = "not in time" if self.value is None else f"{number(self.value)} {self.unit}".strip()
        holds = {None: "", True: "yes", False: "**no**"}[self.holds]
        return f"| {self.name} | {self.peer} | {value} | {self.ratio} | {self.aim} | {holds} |"


def number(value: float) -> str:
    """Return three digits that count, and no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def at_most(limit: float, value: float | None, unit: str = "") -> tuple[str, bool]:
    """Return the words of an aim, and whether a value meets it."""
    return f"≤ {number(limit)} {unit}".strip(), value is not None and value <= limit


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    return "\n".join((HEAD, *(row.line() for row in rows)))


def pivot(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with a column for whoever was measured."""
    peers = list(dict.fromkeys(row.peer for row in rows))
    names = list(dict.fromkeys(row.name for row in rows))
    values = {(row.name, row.peer): row for row in rows}
    units = {row.name: row.unit for row in rows if row.unit}
    lines = [f"| | {' | '.join(peers)} |", "|---" * (1 + len(peers)) + "|"]
    for name in names:
        title = f"{name}, {units[name]}" if name in units else name
        cells = (_cell(values.get((name, peer))) for peer in peers)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    return "not in time" if row.value is None else number(row.value)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows as JSON."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
