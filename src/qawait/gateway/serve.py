"""`qawait serve`: run a gateway until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import ipaddress
import json
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qawait.errors import ConfigError, QawaitError
from qawait.guard.folder import check_file, make_private, state_folder
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.gateway.app import Gateway
    from qawait.gateway.settings import Settings
    from qawait.opening import Opening

FAILED = 3
_BACKLOG = 2_048


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    made = argparse.ArgumentParser(
        prog="qawait serve",
        description="An HTTP job service with a page. On SIGTERM or Ctrl-C each job's policy is "
        "applied: it is cancelled, or goes on and is followed again at the next start.",
        epilog="The token is read from QAWAIT_GATEWAY_TOKEN or --token-file. Without either one is "
        "made where --host is not a loopback address, and kept in the folder.",
    )
    add = made.add_argument
    add("--host", default="127.0.0.1", help="an address of this machine (default 127.0.0.1)")
    add("--port", type=int, default=8000, help="0 takes a free one (default 8000)")
    add("--local", action="store_true", help="run jobs on an embedded service: no account")
    add("--backends", default="fez,manila", help="with --local: its backends (fez,manila)")
    add("--queue-seconds", type=float, default=0.0, help="with --local: time in its queue")
    add("--run-seconds", type=float, default=0.0, help="with --local: time a job runs at least")
    add("--name", help="a saved account")
    add("--folder", type=Path, help="where jobs are kept (default: in the user's state folder)")
    add("--token-file", type=Path, help="a file that holds the token callers must send")
    add("--origin", action="append", default=[], help="another page that may call; repeatable")
    add("--on-cancel", choices=("cancel", "detach"), default="detach", help="for jobs naming none")
    add("--json", action="store_true", help="say where it is, and errors, as JSON")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    asked = parser().parse_args(arguments)
    try:
        return _serve(asked)
    except (QawaitError, OSError) as error:
        said = {"error": type(error).__name__, "message": str(error), "job_id": None}
        text = json.dumps(said) if asked.json else f"qawait serve: {error}"
        print(text, file=sys.stderr)  # noqa: T201 - a command prints
        return FAILED


def require_packages() -> None:
    """Make sure that what the gateway needs is installed.

    Raises:
        ConfigError: it is not.
    """
    missing = [name for name in ("starlette", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise ConfigError(f"{', '.join(missing)} is missing: pip install 'qawait[gateway]'")


def _serve(asked: argparse.Namespace) -> int:
    require_packages()
    from qawait.gateway.app import create_app
    from qawait.gateway.server import run
    from qawait.ibm.heavy import preload

    settings = settings_of(asked)
    gateway = create_app(lambda: _opening(asked), settings)
    with _bound(asked.host, asked.port) as sock:
        preload(freeze=True)  # the first result would stop every answer for as long
        address = f"[{asked.host}]" if ":" in asked.host else asked.host
        url = f"http://{address}:{sock.getsockname()[1]}/"
        greeting = json.dumps({"url": url}) if asked.json else f"qawait gateway on {url}"
        return _run(gateway, sock, greeting, run)


def _run(gateway: Gateway, sock: socket.socket, greeting: str, run: object) -> int:
    def announce() -> None:
        print(greeting, flush=True)  # noqa: T201 - a command prints

    with contextlib.suppress(KeyboardInterrupt):
        return run(gateway, sock, announce)  # type: ignore[operator, no-any-return]
    return 0


def settings_of(asked: argparse.Namespace) -> Settings:
    """Return the settings the arguments ask for.

    Raises:
        ConfigError: one is wrong.
    """
    from qawait.gateway.settings import Settings

    folder = asked.folder or state_folder() / ("gateway-local" if asked.local else "gateway")
    return Settings(
        folder=folder,
        token=_token(asked, folder),
        origins=tuple(asked.origin),
        on_cancel=asked.on_cancel,
    )


def _token(asked: argparse.Namespace, folder: Path) -> Secret | None:
    """Return the token that was given, or a made one where strangers can connect."""
    given = os.environ.get("QAWAIT_GATEWAY_TOKEN")
    if given:
        return Secret(given)
    if asked.token_file is not None:
        return _read(asked.token_file)
    if _is_loopback(asked.host):
        return None
    path = folder / "token"
    make_private(folder)
    check_file(path)
    if not path.stat().st_size:
        path.write_text(secrets.token_urlsafe(32))
    told = sys.stderr if asked.json else sys.stdout
    print(f"callers must send the token in {path}", file=told, flush=True)
    return _read(path)


def _read(path: Path) -> Secret:
    text = path.read_text().strip()
    if not text:
        raise ConfigError(f"{path} holds no token")
    return Secret(text)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _opening(asked: argparse.Namespace) -> Opening:
    from qawait.gateway.app import RESULTS
    from qawait.opening import connect, local

    if not asked.local:
        return connect(name=asked.name, results=RESULTS)
    return local(
        backends=tuple(filter(None, asked.backends.split(","))),
        queue_seconds=asked.queue_seconds,
        run_seconds=asked.run_seconds,
        results=RESULTS,
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
