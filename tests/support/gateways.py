"""Gateways that run in processes of their own, and a blocking client for them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.emulated import Reply
from support.killing import until
from support.open import BELL_QASM3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

SERVED = Path(__file__).with_name("served.py")
WITHIN = 30.0


def order(**changes: Any) -> dict[str, Any]:
    """Return a job as callers ask for it, with changes."""
    return {"code": BELL_QASM3, "backend": "ibm_manila", "shots": 64, **changes}


class Server:
    """A running gateway on the emulator."""

    def __init__(self, emu: Emulator, folder: Path, **settings: Any) -> None:
        given = json.dumps({"folder": str(folder), **settings})
        self.process = subprocess.Popen(
            [sys.executable, str(SERVED), given],
            env={**os.environ, **emu.env, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or 0)
        assert self.port, "the gateway did not start"

    def connection(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN)

    def begin(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPConnection:
        """Send a request and return its connection."""
        text = body if isinstance(body, str | bytes | None) else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection = self.connection()
        connection.request(method, path, text, {**kind, **(headers or {})})
        return connection

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a request and return its answer; a body that is no string goes as JSON."""
        with contextlib.closing(self.begin(method, path, body, headers)) as connection:
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())

    def submit(self, **changes: Any) -> str:
        """Hand in a job and return the gateway's id of it."""
        reply = self.ask("POST", "/run", order(**changes))
        assert reply.status == 202, reply.body
        return str(reply.json["job_id"])

    def job(self, job_id: str) -> Any:
        """Return a job as the gateway tells of it."""
        return self.ask("GET", f"/job/{job_id}/status").json

    def wait_for(self, job_id: str, *statuses: str) -> Any:
        """Return a job once it has one of the statuses."""
        until(lambda: self.job(job_id)["status"] in statuses, WITHIN)
        return self.job(job_id)

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        self.process.kill()
        self.process.wait(WITHIN)

    def terminate(self) -> None:
        """Ask the server to end, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WITHIN) in (
            0,
            -signal.SIGTERM,
        )  # uvicorn ends by the signal it caught

    def close(self) -> None:
        """End whatever of it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WITHIN)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def serving(emu: Emulator, folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a gateway while the block runs."""
    server = Server(emu, folder, **settings)
    try:
        yield server
    finally:
        server.close()
