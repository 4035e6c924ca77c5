"""`qawait emulator`: run the emulated service until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shlex
import sys
from typing import Any

from qawait.errors import ConfigError
from qawait.secret import Secret

from .settings import DEFAULT_BACKENDS, Settings, require_packages

STDIN = 0


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    made = argparse.ArgumentParser(
        prog="qawait emulator",
        description="A local Qiskit Runtime service: real results, no account, no network.",
    )
    add = made.add_argument
    add("--host", choices=("127.0.0.1", "::1"), default="127.0.0.1", help="loopback only")
    add("--port", type=int, default=0, help="0 takes a free one (default)")
    names = ",".join(DEFAULT_BACKENDS)
    add("--backends", default=names, help=f"comma-separated snapshots (default {names})")
    add("--queue-seconds", type=float, default=0.0, help="how long a job stays queued")
    add("--run-seconds", type=float, default=0.0, help="how long a job runs at least")
    add("--lanes", type=int, default=5, help="jobs a backend runs at once (default 5)")
    add("--workers", type=int, default=1, help="simulating processes (default 1)")
    add("--seed", type=int, help="make results repeatable")
    add_devices(made)
    add_limits(made)
    add("--token", help="the API key (visible to others in the process list; else random)")
    add("--token-stdin", action="store_true", help="read the API key from the first line of stdin")
    add("--token-life", type=float, default=3600.0, help="seconds a bearer token is good for")
    add("--exit-with-parent", action="store_true", help="end when stdin closes")
    add("--json", action="store_true", help="print one JSON line in place of the exports")
    return made


def add_devices(made: argparse.ArgumentParser) -> None:
    """Add the choice of how devices are simulated."""
    group = made.add_mutually_exclusive_group()
    group.add_argument("--ideal", dest="noise", action="store_false", help="no noise (default)")
    group.add_argument("--noise", dest="noise", action="store_true", help="the snapshots' noise")
    made.set_defaults(noise=False)
    made.add_argument(
        "--canned", dest="execute", action="store_false", help="answer jobs without executing them"
    )


def add_limits(made: argparse.ArgumentParser) -> None:
    """Add the service's limits and lags."""
    add = made.add_argument
    add("--list-lag", type=float, default=0.0, help="seconds until a new job is listed")
    add("--usage-lag", type=float, default=0.0, help="seconds from final to charged")
    add("--pending-limit", type=int, help="how many jobs may be live at once")
    add("--usage-limit", type=int, help="seconds that may be used before submits are refused")
    add("--submits-per-minute", type=int, help="how many jobs are accepted each minute")


def settings_of(asked: argparse.Namespace) -> Settings:
    """Return the settings the arguments ask for."""
    token = _read_line(STDIN) if asked.token_stdin else asked.token
    chosen: dict[str, Any] = {"token": Secret(token)} if token else {}
    known = {field.name for field in dataclasses.fields(Settings)} - {"token", "backends"}
    chosen |= {name: value for name, value in vars(asked).items() if name in known}
    return Settings(backends=tuple(filter(None, asked.backends.split(","))), **chosen)


def _read_line(descriptor: int) -> str:
    # Byte by byte: what follows the line is for whoever watches the descriptor.
    line = b""
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode().strip()


def variables(host: str, port: int, settings: Settings) -> dict[str, str]:
    """Return the environment that points IBM's client, and qawait, at the emulator."""
    root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return {
        "QISKIT_IBM_TOKEN": settings.token.reveal(),
        "QISKIT_IBM_INSTANCE": settings.instance,
        # IBM's client leaves a URL alone only when it says "experimental".
        "QISKIT_IBM_URL": f"{root}/experimental/api/v1",
        "IAM_URL": root,
        "GLOBAL_SEARCH_URL": f"{root}/gs",
        "GLOBAL_CATALOG_URL": f"{root}/catalog/api/v1",
    }


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    asked = parser().parse_args(arguments)
    try:
        return _serve(asked)
    except (ConfigError, OSError) as error:
        print(f"qawait emulator: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1


def _serve(asked: argparse.Namespace) -> int:
    require_packages()
    from .app import create_app
    from .server import EmulatorServer, bind, serve

    settings = settings_of(asked)
    app = create_app(settings)
    sock = bind(asked.host, asked.port)
    env = variables(asked.host, sock.getsockname()[1], settings)
    server = EmulatorServer(app, lambda: _announce(env, as_json=asked.json))
    if asked.exit_with_parent:
        server.stop_at_eof(STDIN)
    with contextlib.suppress(KeyboardInterrupt):
        serve(server, sock)
    return 0


def _announce(env: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        lines = [json.dumps({"env": env, "pid": os.getpid()})]
    else:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
        lines.append(f"# listening on {env['IAM_URL']}")
    print("\n".join(lines), flush=True)  # noqa: T201 - this is the command's output
