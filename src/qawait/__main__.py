"""`python -m qawait`: the command line, one sub-command per room."""

from __future__ import annotations

import sys

_USAGE = """\
usage: qawait COMMAND [options]

commands:
  emulator   run a local Qiskit Runtime service
  recover    settle the jobs that earlier programs left behind
  serve      run an HTTP job service with a page

`qawait COMMAND --help` tells the options of each."""


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command and return its exit code; 2 for a command that is not known."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] == "emulator":
        from qawait.emulator.cli import main as emulator

        return emulator(given[1:])
    if given and given[0] == "recover":
        from qawait.console.recover import main as recover

        return recover(given[1:])
    if given and given[0] == "serve":
        from qawait.gateway.serve import main as serve

        return serve(given[1:])
    asked_for_help = given[:1] in (["--help"], ["-h"])
    print(_USAGE, file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main())
