"""`qawait recover`: settle the jobs that earlier programs left behind."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from typing import TYPE_CHECKING, Literal

import anyio

from qawait.errors import QawaitError
from qawait.guard.journal import SESSION
from qawait.opening import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.guard.recovery import LeftBehind

OK, UNSETTLED, FAILED = 0, 1, 3
"""Exit codes: nothing is left; something is still live or unsettled; it could not be asked."""

Policy = Literal["list", "attach", "cancel"]


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    made = argparse.ArgumentParser(
        prog="qawait recover",
        description="Settle the jobs of programs that died, as this user's journal knows them. "
        "Jobs of programs that still run are not touched.",
        epilog="Exit codes: 0 nothing is left, 1 something is still live, 2 wrong usage, "
        "3 the service could not be asked.",
    )
    what = made.add_mutually_exclusive_group()
    for policy, said in (
        ("list", "only show them (default)"),
        ("attach", "follow them until they end"),
        ("cancel", "cancel those that are live"),
    ):
        what.add_argument(
            f"--{policy}", dest="policy", action="store_const", const=policy, help=said
        )
    made.add_argument("--name", help="a saved account")
    made.add_argument("--json", action="store_true", help="one JSON object per line")
    made.set_defaults(policy="list")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    asked = parser().parse_args(arguments)
    try:
        found = anyio.run(_recover, asked.policy, asked.name)
    except QawaitError as error:
        print(f"qawait: {error}", file=sys.stderr)
        return FAILED
    for left in found:
        print(json.dumps(dataclasses.asdict(left)) if asked.json else _line(left))
    if not found and not asked.json:
        print("nothing was left behind")
    return UNSETTLED if any(_is_open(left) for left in found) else OK


async def _recover(policy: Policy, name: str | None) -> list[LeftBehind]:
    async with connect(name=name) as client:
        found = await client.recover(policy)
        if policy == "attach":
            for left in found:
                if left.outcome == "attached" and left.job_id is not None:
                    print(f"following {left.job_id}", file=sys.stderr)
                    await (await client.attach(left.job_id)).wait()
        return found


def _is_open(left: LeftBehind) -> bool:
    return left.outcome == "found" or left.outcome.startswith("not settled")


def _line(left: LeftBehind) -> str:
    meant = time.strftime("%Y-%m-%d %H:%M", time.localtime(left.intended))
    name = left.tag if left.tag.startswith(SESSION) else left.job_id or left.tag
    return f"{name}  {left.backend}  {meant}  {left.status or '-'}  {left.outcome}"
