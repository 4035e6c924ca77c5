"""Guardians by themselves, and programs that have one and are killed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qawait.guard.guardian_main
from qawait.guard.guardian import Where
from support.emulated import submit_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qawait.emulator import Emulator
    from support.emulated import Api

PROGRAM = qawait.guard.guardian_main.__file__
CLIENT_TAG = "client-of-the-test"
_GUARDED = Path(__file__).with_name("guarded.py")


def headers_of(emu: Emulator) -> dict[str, str]:
    """Return the headers, without the credential, of every request to an emulator."""
    return {"Service-CRN": emu.instance, "IBM-API-Version": "2026-04-15"}


def where(emu: Emulator, **changes: Any) -> Where:
    """Return what a guardian is told of an emulator."""
    given = {"url": emu.url, "headers": headers_of(emu), "client_tag": CLIENT_TAG, "seconds": 20.0}
    return Where(**{**given, **changes})


def opened(tag: str, job_id: str | None = None, cancel: str | None = None) -> list[dict[str, Any]]:
    """Return the messages about a job that a parent left open."""
    messages: list[dict[str, Any]] = [{"open": {"tag": tag, "id": None}}]
    if job_id is not None:
        messages.append({"live": {"tag": tag, "id": job_id}})
    if cancel is not None:
        messages.append({"cancel": {"tag": tag, "state": cancel}})
    return messages


class Lone:
    """A guardian that was started by hand: told lines, and waited for."""

    def __init__(self, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", PROGRAM, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env=env,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def tell(self, *messages: Mapping[str, Any]) -> None:
        """Write messages."""
        self.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def end(self, within: float = 30.0) -> int:
        """End its input and return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        code = self.process.wait(within)
        assert self.process.stdout.read() == b""
        self.process.stdout.close()
        return code


def settled(
    emu: Emulator, api: Api, *messages: Mapping[str, Any], within: float = 30.0, **changes: Any
) -> int:
    """Let a guardian settle what the messages leave open, and return its exit code."""
    api.credentials()
    guardian = Lone()
    guardian.tell({"conf": where(emu, **changes).message()}, {"token": api.token}, *messages)
    return guardian.end(within)


@dataclasses.dataclass(slots=True)
class Parent:
    """A program with a guardian, and what it said of itself."""

    process: subprocess.Popen[bytes]
    said: dict[str, Any]

    @property
    def guardian(self) -> int:
        """The guardian's process id."""
        return int(self.said["guardian"])

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs it submitted."""
        return list(self.said["ids"])

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill it, and return once it is dead."""
        self.process.send_signal(number)
        self.process.wait(10.0)


@contextlib.contextmanager
def parent(emu: Emulator, api: Api, *options: str, **orders: Any) -> Iterator[Parent]:
    """Run a program that has submitted jobs and has a guardian; see `guarded.py`."""
    api.credentials()
    given: dict[str, Any] = {
        "url": emu.url,
        "headers": headers_of(emu),
        "client_tag": CLIENT_TAG,
        "token": api.token,
        "journal": None,
        "body": submit_body(),
        "tags": [],
        "posting": None,
        "fork": None,
        "deed": "wait",
    }
    with subprocess.Popen(
        [sys.executable, "-P", str(_GUARDED), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**given, **orders}).encode() + b"\n")
        process.stdin.close()
        found = Parent(process, json.loads(process.stdout.readline()))
        try:
            yield found
        finally:
            process.kill()
            if found.said["child"]:
                os.kill(found.said["child"], signal.SIGKILL)


def wait_ended(pid: int, within: float = 30.0) -> None:
    """Return once a process, not necessarily a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], within)[0], "it still runs"
    finally:
        os.close(descriptor)


def until(look: Callable[[], Any], within: float = 10.0) -> Any:
    """Return what `look` gives once that is true, or fail."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return seen


def submit(api: Api, tag: str) -> str:
    """Submit a job as a client whose jobs the guardian knows."""
    return api.submit(tags=[tag, CLIENT_TAG])


def finished(emu: Emulator, api: Api, tag: str) -> str:
    """Submit a job, let it end as it does, and return its id."""
    emu.release()
    job_id = submit(api, tag)
    emu.wait_for(job_id, "Completed", "Failed", "Cancelled")
    emu.hold()
    return job_id


def requests(emu: Emulator) -> list[str]:
    """Return the requests about jobs, after the submits."""
    entries = emu.ledger()
    asked = [f"{entry.method} {entry.route}" for entry in entries]
    return [one for one in asked if "/jobs" in one and one != "POST /jobs"]


def make_journal(path: Path, *tags: str) -> None:
    """Make a journal with a row for each tag."""
    with contextlib.closing(sqlite3.connect(path)) as journal, journal:
        journal.execute(
            "CREATE TABLE jobs(tag TEXT PRIMARY KEY, job_id TEXT, cancel TEXT, outcome TEXT,"
            " ended REAL)"
        )
        journal.executemany("INSERT INTO jobs(tag, cancel) VALUES(?, 'NONE')", [(t,) for t in tags])


def rows(path: Path) -> dict[str, tuple[Any, ...]]:
    """Return a journal's rows by tag, without times."""
    with contextlib.closing(sqlite3.connect(path)) as journal:
        found = journal.execute("SELECT tag, job_id, cancel, outcome FROM jobs").fetchall()
    return {tag: tuple(rest) for tag, *rest in found}
