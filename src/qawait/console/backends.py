"""`qawait backends`: what the instance runs jobs on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qawait.console.common import OK, carry_out, make_parser, opened
from qawait.console.text import Progress, print_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from qawait.ibm.backend import Backend


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    made = make_parser("backends", "List the instance's backends as they are now.", local=True)
    made.add_argument("--min-qubits", type=int, help="those with at least so many qubits")
    made.add_argument("--operational", action="store_true", help="those that run jobs now")
    return carry_out(_list, made.parse_args(arguments))


async def _list(asked: argparse.Namespace) -> int:
    with Progress(is_wanted=not asked.json) as progress:
        progress.say("starting the embedded service" if asked.local else "connecting")
        async with opened(asked) as client:
            found = await client.backends(
                min_num_qubits=asked.min_qubits, operational=asked.operational or None
            )
    if asked.json:
        for backend in found:
            print(json.dumps(_fields(backend)))
    elif found:
        names = ("backend", "qubits", "status", "queue", "processor")
        print_table(names, [_row(backend) for backend in found])
    else:
        print("no backends")
    return OK


def _fields(backend: Backend) -> dict[str, Any]:
    return {
        "name": backend.name,
        "num_qubits": backend.num_qubits,
        "status": backend.status,
        "operational": backend.operational,
        "queue_length": backend.queue_length,
        "simulator": backend.simulator,
        "processor": backend.processor,
    }


def _row(backend: Backend) -> tuple[str, ...]:
    queue = "" if backend.queue_length is None else str(backend.queue_length)
    qubits = str(backend.num_qubits)
    return backend.name, qubits, backend.status, queue, backend.processor or ""
