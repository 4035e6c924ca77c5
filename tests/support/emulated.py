"""A small, blocking client of the emulator's wire, independent of qawait's own."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qawait.emulator import Emulator

# One qubit is flipped, so the result of measuring it is known.
FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
BASE = "/experimental/api/v1"


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the emulator."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The code of the first documented error in the body."""
        return self.json["errors"][0]["code"]


def submit_body(**changes: Any) -> dict[str, Any]:
    """Return a sampler job of one circuit, with changes; `None` takes a key away."""
    params = {"pubs": [[FLIP, None, 16]], "options": {}, "version": 2}
    body = {"program_id": "sampler", "backend": "ibm_manila", "params": params, **changes}
    return {name: value for name, value in body.items() if value is not None}


class Api:
    """Asks the emulator as an authorised client does."""

    def __init__(self, emu: Emulator) -> None:
        self.emu = emu
        self._connection = http.client.HTTPConnection(emu.host, emu.port, timeout=10)
        self.token = ""

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request below the base path and return its answer."""
        return self.raw(method, BASE + path, body, {**self.credentials(), **(headers or {})})

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request without credentials; a body that is no string goes as JSON."""
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        try:
            self._connection.request(method, path, content, headers or {})
            answer = self._connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def credentials(self) -> dict[str, str]:
        """Return the headers of an authorised request."""
        if not self.token:
            self.token = self.login().json["access_token"]
        return {"Authorization": f"Bearer {self.token}", "Service-CRN": self.emu.instance}

    def login(self, key: str | None = None) -> Reply:
        """Exchange an API key, by default the right one, for a token."""
        grant = "urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey"
        form = f"grant_type={grant}&apikey={key or self.emu.token.reveal()}"
        return self.raw("POST", "/identity/token", form)

    def submit(self, **changes: Any) -> str:
        """Submit a job and return its id."""
        reply = self.ask("POST", "/jobs", submit_body(**changes))
        assert reply.status == 200, reply.body
        return str(reply.json["id"])

    def job(self, job_id: str) -> Any:
        """Return a job as the service shows it, without parameters."""
        return self.ask("GET", f"/jobs/{job_id}?exclude_params=true").json

    def ids(self, query: str) -> list[str]:
        """Return the ids of the jobs that a listing finds."""
        return [job["id"] for job in self.ask("GET", f"/jobs?{query}").json["jobs"]]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def exchange(emu: Emulator, request: bytes, *, timeout: float = 5.0) -> bytes:
    """Send bytes on a new connection and return all that comes until it is closed."""
    with socket.create_connection((emu.host, emu.port), timeout=timeout) as sock:
        sock.sendall(request)
        received = b""
        while piece := sock.recv(65_536):
            received += piece
        return received
