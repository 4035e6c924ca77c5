"""`qawait doctor`: what is wrong with the set-up, and how to mend it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Final

from qawait.console.common import NO, OK, carry_out, make_parser
from qawait.console.examination import Finding, examined
from qawait.console.text import Progress, coloured, wrapped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_INDENT: Final = 20
_MARKS: Final = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "problem": ("PROBLEM", "red"),
    "skipped": ("-", "dim"),
}


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 1 if there is a problem."""
    made = make_parser(
        "doctor",
        "Look at account, network, clock, journal, guardian and versions, and say what is wrong "
        "and how to mend it. Nothing is submitted, cancelled or deleted.",
    )
    return carry_out(_look, made.parse_args(arguments))


async def _look(asked: argparse.Namespace) -> int:
    found: list[Finding] = []
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("looking")
        async for finding in examined(name=asked.name, instance=asked.instance):
            found.append(finding)
            progress.end()
            print(json.dumps(dataclasses.asdict(finding)) if asked.json else _told(finding))
            progress.say("looking")
    return NO if any(finding.state == "problem" for finding in found) else OK


def _told(finding: Finding) -> str:
    mark, colour = _MARKS[finding.state]
    said = f"{coloured(f'{mark:<8}', colour)} {finding.name:<10} {wrapped(finding.said, _INDENT)}"
    if not finding.mend:
        return said
    mend = wrapped(f"mend: {finding.mend}", _INDENT).removeprefix("mend:")
    return f"{said}\n{'':{_INDENT}}{coloured('mend:', 'bold')}{mend}"
