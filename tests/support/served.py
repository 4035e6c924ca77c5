"""A gateway in a process of its own, with settings from the command line as JSON."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import qawait
from qawait.gateway import Settings, create_app
from qawait.gateway.app import RESULTS
from qawait.gateway.server import run
from qawait.secret import Secret

QUICK = qawait.PollSchedule(lateness=0.02)


def main() -> int:
    """Serve on a free port, and print it when requests are answered."""
    given = json.loads(sys.argv[1])
    if given.pop("preload", False):
        qawait.preload(freeze=True)
    given["folder"] = Path(given["folder"])
    if "token" in given:
        given["token"] = Secret(given["token"])
    gateway = create_app(lambda: qawait.connect(schedule=QUICK, results=RESULTS), Settings(**given))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        return run(gateway, sock, lambda: print(port, flush=True))


if __name__ == "__main__":
    sys.exit(main())
