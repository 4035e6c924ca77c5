"""`qawait run`: sample a circuit from a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qawait.console.common import OK, carry_out, make_parser, opened
from qawait.console.following import shown
from qawait.console.results import print_result
from qawait.console.text import Progress
from qawait.errors import ConfigError
from qawait.panels.terminal import is_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from qawait.client import Client
    from qawait.ibm.backend import Backend
    from qawait.types import Update


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    made = make_parser(
        "run",
        "Sample a circuit and print what was measured. Ctrl-C cancels the remote job, once.",
        local=True,
    )
    add = made.add_argument
    add("file", metavar="FILE.qasm", help="OpenQASM 3 or 2; - reads standard input")
    add("--backend", help="where to run (default: the least busy one that is large enough)")
    add("--shots", type=int, help="how often to measure (default: the service's 4096)")
    add("--tag", action="append", default=[], help="a tag of yours; may be given again")
    add("--max-time", type=int, metavar="SECONDS", help="the longest execution time (default 3600)")
    add("--detach", action="store_true", help="print the job's id and leave it running")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    return carry_out(_run, parser().parse_args(arguments))


async def _run(asked: argparse.Namespace) -> int:
    if asked.detach and asked.local:
        raise ConfigError("--detach makes no sense with --local: the service ends with the command")
    text = _read(asked.file)
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("starting the embedded service" if asked.local else "connecting")
        async with opened(asked) as client:
            job = await client.submit(
                text,
                backend=asked.backend or await _least_busy(client, text, progress),
                shots=asked.shots,
                tags=asked.tag,
                max_execution_time=asked.max_time,
                on_cancel="detach" if asked.detach else "cancel",
                on_update=lambda update: _say(progress, update),
            )
            progress.end()
            if asked.detach:
                print(json.dumps({"job_id": job.id}) if asked.json else job.id)
                return OK
            is_shown = is_terminal() and not asked.json
            if is_shown:
                await shown([job])
            result = await job
            if not (is_shown and _is_outlined(result)):
                print_result(job, result, as_json=asked.json)
    return OK


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"{name} cannot be read: {problem}") from None


async def _least_busy(client: Client, text: str, progress: Progress) -> Backend:
    from qawait.ibm.circuits import as_circuit
    from qawait.ibm.heavy import preload

    progress.say("reading the circuit")
    preload()
    qubits = as_circuit(text).num_qubits
    progress.say("looking for a backend")
    return await client.least_busy(min_num_qubits=qubits)


def _say(progress: Progress, update: Update) -> None:
    if update.job_id is None:
        progress.say(update.stage.name.lower().replace("_", " "))


def _is_outlined(result: Any) -> bool:
    """Whether the panel has shown all of a result."""
    from qawait.panels.outline import outline

    seen = outline(result)
    return seen is not None and not seen.remark
