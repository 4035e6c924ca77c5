"""Holding a running emulator: look at it, script it, harm it, from any process.

    emu.route("POST /jobs").fail(status=503, when="after")
    emu.next_job(outcome="fail", reason="no luck")
    assert emu.cancels(job_id) == 1

Plain blocking calls over loopback, each well under a millisecond of waiting.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
import time
import urllib.parse
from http import HTTPStatus
from typing import Any

from qawait.errors import ConfigError, DeadlineExceededError, RejectedError
from qawait.secret import Secret

from .ledger import KEY_HEADER, Entry

CALL_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.005


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as it truly is, whatever faults or scripts make clients see."""

    id: str
    number: int
    status: str
    reason: str | None
    code: int | None
    backend: str
    program: str
    tags: tuple[str, ...]
    cost: int
    private: bool
    session_id: str | None
    cancels: int
    cancels_accepted: int
    created: str

    @property
    def live(self) -> bool:
        """Whether the job is queued or running."""
        return self.status in ("Queued", "Running")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A session or batch as it truly is; `closes` and `cancels` count what was asked of it."""

    id: str
    instance: str
    backend: str
    mode: str
    state: str
    accepting: bool
    max_ttl: int
    closes: int
    cancels: int


@dataclasses.dataclass(frozen=True, slots=True)
class FaultRule:
    """A rule given to the emulator."""

    id: int
    _emulator: Emulator = dataclasses.field(repr=False)

    @property
    def hits(self) -> int:
        """How many requests the rule has harmed; 0 once it is removed."""
        return next((rule["hits"] for rule in self._emulator.faults() if rule["id"] == self.id), 0)

    def release(self) -> None:
        """Let go of the requests that hang on the rule, and of those to come."""
        self._emulator.call("POST", "faults/release", {"id": self.id})

    def remove(self) -> None:
        """Take the rule back, and let go of what hangs on it."""
        self._emulator.call("DELETE", "faults", {"id": self.id})


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """The requests of a method and path template; `*` stands for anything.

    Each method adds one rule for the next `times` requests (`None`: all), after
    passing over the first `skip`. `when` is `"headers"` (before the body is
    read), `"before"` or `"after"` the effect. `job_id` or `tag` narrow it. With
    `anyway=True` a delayed request has its effect even if its client has left.
    """

    pattern: str
    _emulator: Emulator = dataclasses.field(repr=False)

    def fault(self, kind: str, **fields: Any) -> FaultRule:
        """Add a rule of any kind."""
        asked = {"route": self.pattern, "kind": kind, **fields}
        return FaultRule(self._emulator.call("POST", "faults", asked)["id"], self._emulator)

    def fail(self, status: int = 500, *, body: str | None = None, **rule: Any) -> FaultRule:
        """Answer with a status; without a body, with the documented error."""
        return self.fault("fail", status=status, body=body, **rule)

    def throttle(self, retry_after: float | str | None = None, **rule: Any) -> FaultRule:
        """Answer 429, with `Retry-After` if it is given."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return self.fault("fail", status=429, headers=headers, **rule)

    def reset(self, **rule: Any) -> FaultRule:
        """Reset the connection (TCP RST) in place of an answer."""
        return self.fault("reset", **rule)

    def close(self, **rule: Any) -> FaultRule:
        """Close the connection (FIN) in place of an answer."""
        return self.fault("close", **rule)

    def cut(self, keep: float = 0.5, **rule: Any) -> FaultRule:
        """Send headers and a part of the body, then reset the connection."""
        return self.fault("cut", keep=keep, **rule)

    def truncate(self, keep: float = 0.5, **rule: Any) -> FaultRule:
        """Send less of the body than `Content-Length` says, then close."""
        return self.fault("truncate", keep=keep, **rule)

    def truncate_gzip(self, keep: float = 0.5, **rule: Any) -> FaultRule:
        """Send a gzip stream that ends early in a well-formed answer."""
        return self.fault("truncate_gzip", keep=keep, **rule)

    def malform(self, keep: float = 0.5, **rule: Any) -> FaultRule:
        """Send the first part of the JSON as though it were all."""
        return self.fault("malform", keep=keep, **rule)

    def replace(self, body: str, **rule: Any) -> FaultRule:
        """Send another body; the status and headers stay unless they are given."""
        return self.fault("replace", body=body, **rule)

    def hang(self, seconds: float | None = None, **rule: Any) -> FaultRule:
        """Let the request wait, until it is released if no time is given."""
        return self.fault("hang", seconds=seconds, **rule)

    def delay(self, seconds: float, **rule: Any) -> FaultRule:
        """Let the request wait a while."""
        return self.fault("delay", seconds=seconds, **rule)

    def slow(self, size: int = 1, seconds: float = 0.1, **rule: Any) -> FaultRule:
        """Send the body `size` bytes each `seconds`."""
        return self.fault("slow", size=size, seconds=seconds, **rule)


class Emulator:
    """A running emulator: where it is, and how to command it.

    Every method raises `RejectedError` when the emulator refuses, `ConfigError`
    when what was asked makes no sense, and `OSError` when it is gone.
    """

    def __init__(self, env: dict[str, str], pid: int) -> None:
        self.env = dict(env)
        self.pid = pid
        self.url = env["QISKIT_IBM_URL"]
        self.iam_url = env["IAM_URL"]
        self.instance = env["QISKIT_IBM_INSTANCE"]
        self.token = Secret(env["QISKIT_IBM_TOKEN"])
        where = urllib.parse.urlsplit(self.iam_url)
        self.host, self.port = where.hostname or "", where.port or 0
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"<Emulator {self.iam_url} pid={self.pid}>"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the control API below `/_emulator/` and return its JSON."""
        with self._lock:
            status, text = self._exchange(method, path, body)
        if status == HTTPStatus.NO_CONTENT:
            return None
        answer = json.loads(text)
        if status == HTTPStatus.OK:
            return answer
        error = answer["errors"][0]
        if status == HTTPStatus.BAD_REQUEST:
            raise ConfigError(error["message"])
        raise RejectedError(error["message"], status=status, code=error["code"])

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body).encode()
        headers = {KEY_HEADER: self.token.reveal()}
        fresh = self._connection is None
        try:
            return self._send(method, f"/_emulator/{path}", content, headers)
        except (OSError, http.client.HTTPException):
            self.close()
            if fresh:
                raise
            # An idle connection may have been closed; a new one tells.
            return self._send(method, f"/_emulator/{path}", content, headers)

    def _send(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self.host, self.port, timeout=CALL_SECONDS
            )
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the control connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def route(self, pattern: str) -> Route:
        """Name the requests to harm, as in `"POST /jobs"` or `"GET /jobs/{id}"`."""
        return Route(pattern, self)

    def faults(self) -> list[dict[str, Any]]:
        """Return all fault rules, with how often each has struck."""
        rules: list[dict[str, Any]] = self.call("GET", "faults")["faults"]
        return rules

    def clear_faults(self) -> None:
        """Take back all fault rules, and let go of what hangs on them."""
        self.call("DELETE", "faults")

    def script(self, **fields: Any) -> None:
        """Decide the fate of jobs: see `Script` for the fates.

        `tags`, `program` and `backend` select jobs to come, `times` of them
        (default 1; `None` is all); `job_id` names one that is already there.
        """
        self.call("POST", "scripts", fields)

    def next_job(self, **fields: Any) -> None:
        """Decide the fate of the next job."""
        self.script(times=1, **fields)

    def clear_scripts(self) -> None:
        """Forget the scripts that no job has taken yet."""
        self.call("DELETE", "scripts")

    def hold(self, job_id: str | None = None, *, stage: str = "queued") -> None:
        """Keep a job, or all present and coming, in a stage: `queued` or `running`."""
        self.call("POST", "hold", {"job_id": job_id, "stage": stage})

    def release(self, job_id: str | None = None) -> None:
        """Let a held job, or all, go on."""
        self.call("POST", "release", {"job_id": job_id})

    def jobs(self) -> list[JobView]:
        """Return all jobs, oldest first."""
        return [_view(fields) for fields in self.call("GET", "jobs")["jobs"]]

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        return _view(self.call("GET", f"jobs?job_id={job_id}")["jobs"][0])

    def live(self) -> list[JobView]:
        """Return the jobs that are queued or running."""
        return [job for job in self.jobs() if job.live]

    def sessions(self) -> list[SessionView]:
        """Return all sessions and batches, oldest first."""
        return [SessionView(**fields) for fields in self.call("GET", "sessions")["sessions"]]

    def open_sessions(self) -> list[SessionView]:
        """Return the sessions and batches that take jobs or have jobs left."""
        return [session for session in self.sessions() if session.state != "closed"]

    def expire_session(self, session_id: str) -> None:
        """Let the time of a session or batch be over now."""
        self.call("POST", "sessions/expire", {"id": session_id})

    def add_instance(self, name: str, **fields: Any) -> str:
        """Give the account one instance more, and return its CRN.

        `plan` is `open`, `pay-as-you-go`, `flex` or `premium`, `region` `us-east`
        or `eu-de`; `tags` and `backends` are lists. It sees no other's jobs.
        """
        crn: str = self.call("POST", "instances", {"name": name, **fields})["crn"]
        return crn

    def cancels(self, job_id: str) -> int:
        """Return how many cancel requests for a job had an effect or were refused."""
        return self.job(job_id).cancels

    def ledger(
        self,
        method: str | None = None,
        route: str | None = None,
        *,
        job_id: str | None = None,
        tag: str | None = None,
        since: int = 0,
    ) -> list[Entry]:
        """Return the requests the service received after number `since`, oldest first."""
        marks = {"method": method, "route": route, "job_id": job_id, "tag": tag}
        query = {name: value for name, value in marks.items() if value is not None}
        path = "ledger?" + urllib.parse.urlencode({**query, "since": since})
        return [
            Entry(**{**fields, "tags": tuple(fields["tags"])})
            for fields in self.call("GET", path)["entries"]
        ]

    def clear_ledger(self) -> None:
        """Forget the requests received so far."""
        self.call("DELETE", "ledger")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings of the running emulator, and return all that can change."""
        answer: dict[str, Any] = self.call("PATCH", "settings", changes)
        return answer

    def revoke_tokens(self) -> None:
        """Make every bearer token issued so far invalid."""
        self.call("POST", "revoke")

    def reset(self) -> None:
        """Be as at the start: no jobs, faults, scripts or entries, and the first settings."""
        self.call("POST", "reset")

    def wait_for(self, job_id: str, *statuses: str, within: float = 10.0) -> JobView:
        """Return a job once it has one of the statuses; raise after `within` seconds."""
        deadline = time.monotonic() + within
        while (job := self.job(job_id)).status not in statuses:
            if time.monotonic() > deadline:
                wanted = " or ".join(statuses)
                raise DeadlineExceededError(
                    f"still {job.status}, not {wanted}, after {within} s", job_id=job_id
                )
            time.sleep(LOOK_AGAIN_SECONDS)
        return job


def _view(fields: dict[str, Any]) -> JobView:
    return JobView(**{**fields, "tags": tuple(fields["tags"])})
