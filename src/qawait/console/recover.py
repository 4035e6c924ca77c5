"""`qawait recover`: settle the jobs that earlier programs left behind."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import TYPE_CHECKING

from qawait.console.common import NO, OK, carry_out, make_parser, opened
from qawait.console.text import Progress
from qawait.guard.journal import SESSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from qawait.client import Client
    from qawait.guard.recovery import LeftBehind


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    made = make_parser(
        "recover",
        "Settle the jobs of programs that died, as this user's journal knows them. "
        "Jobs of programs that still run are not touched.",
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
    made.set_defaults(policy="list")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    return carry_out(_recover, parser().parse_args(arguments))


async def _recover(asked: argparse.Namespace) -> int:
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("connecting")
        async with opened(asked) as client:
            progress.say("settling")
            found = await client.recover(asked.policy)
            progress.end()
            if asked.policy == "attach":
                await _follow(client, found)
    for left in found:
        print(json.dumps(dataclasses.asdict(left)) if asked.json else _line(left))
    if not found and not asked.json:
        print("nothing was left behind")
    return NO if any(_is_open(left) for left in found) else OK


async def _follow(client: Client, found: list[LeftBehind]) -> None:
    for left in found:
        if left.outcome == "attached" and left.job_id is not None:
            print(f"following {left.job_id}", file=sys.stderr)
            await (await client.attach(left.job_id)).wait()


def _is_open(left: LeftBehind) -> bool:
    return left.outcome == "found" or left.outcome.startswith("not settled")


def _line(left: LeftBehind) -> str:
    meant = time.strftime("%Y-%m-%d %H:%M", time.localtime(left.intended))
    name = left.tag if left.tag.startswith(SESSION) else left.job_id or left.tag
    return f"{name}  {left.backend}  {meant}  {left.status or '-'}  {left.outcome}"
