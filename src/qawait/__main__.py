"""`python -m qawait`: the command line, one sub-command per room."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

_COMMANDS: Final = {
    "run": ("qawait.console.run:main", "sample a circuit from a file"),
    "jobs": ("qawait.console.jobs:list_jobs", "list the instance's jobs"),
    "watch": ("qawait.console.jobs:watch", "follow jobs until they end"),
    "result": ("qawait.console.jobs:result", "print the result of a job"),
    "cancel": ("qawait.console.jobs:cancel", "cancel jobs"),
    "recover": ("qawait.console.recover:main", "settle the jobs that earlier programs left behind"),
    "backends": ("qawait.console.backends:main", "list the instance's backends"),
    "emulator": ("qawait.emulator.cli:main", "run a local Qiskit Runtime service"),
    "serve": ("qawait.gateway.serve:main", "run an HTTP job service with a page"),
    "doctor": (
        "qawait.console.doctor:main",
        "say what is wrong with the set-up, and how to mend it",
    ),
}
"""Where each command is, imported when it is asked for; and what it does."""


def _usage() -> str:
    lines = [f"  {name:<10} {what}" for name, (_, what) in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: qawait COMMAND [options]",
            "",
            "commands:",
            *lines,
            "",
            "`qawait COMMAND --help` tells the options of each.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command and return its exit code; 2 for a command that is not known."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in _COMMANDS:
        module, _, function = _COMMANDS[given[0]][0].partition(":")
        code: int = getattr(import_module(module), function)(given[1:])
        return code
    if given[:1] == ["--version"]:
        from qawait.version import __version__

        sys.stdout.write(f"qawait {__version__}\n")
        return 0
    asked_for_help = given[:1] in (["--help"], ["-h"])
    print(_usage(), file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main())
