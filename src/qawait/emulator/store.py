"""The jobs: what each is, what the service says of it, and how to find it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import struct
import time
from typing import TYPE_CHECKING, Any

from .answers import dump
from .clock import stamp
from .scripts import PLAIN, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

QUEUED, RUNNING = "Queued", "Running"
COMPLETED, FAILED, CANCELLED = "Completed", "Failed", "Cancelled"
FINAL = frozenset({COMPLETED, FAILED, CANCELLED})
TOO_LONG = 1305
_LEGACY_TOO_LONG = "Cancelled - Ran too long"
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"


class JobIds:
    """Makes job ids as IBM does: xids, 20 characters that sort by time."""

    def __init__(self) -> None:
        self._machine = os.urandom(5)
        self._counter = itertools.count(int.from_bytes(os.urandom(2)))

    def make(self) -> str:
        """Return an id that no other job has."""
        count = next(self._counter) & 0xFFFFFF
        raw = struct.pack(">I", int(time.time())) + self._machine + count.to_bytes(3)
        bits = int.from_bytes(raw) << 4
        return "".join(_ALPHABET[bits >> shift & 31] for shift in range(95, -1, -5))


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One job. Whoever changes a field that clients see calls `touch()`."""

    id: str
    number: int
    instance: str
    backend: str
    program: str
    request: bytes
    created: datetime
    tags: tuple[str, ...] = ()
    cost: int
    session_id: str | None = None
    private: bool = False
    support_qiskit: bool = True
    caller: str = ""
    visible_at: float = 0.0
    script: Script = PLAIN
    status: str = QUEUED
    disguise: str | None = None
    reason: str | None = None
    code: int | None = None
    solution: str | None = None
    running_at: datetime | None = None
    finished_at: datetime | None = None
    charged: int = 0
    settled: bool = False
    result: bytes | None = None
    taken: bool = False
    cancels: int = 0
    cancels_accepted: int = 0
    log: list[str] = dataclasses.field(default_factory=list)
    rendered: bytes | None = None

    @property
    def final(self) -> bool:
        """Whether the status can change no more."""
        return self.status in FINAL

    def touch(self) -> None:
        """Forget the rendered answer, because something in it has changed."""
        self.rendered = None

    def note(self, instant: datetime, text: str) -> None:
        """Add a line to the job's log."""
        self.log.append(f"{stamp(instant)} INFO: {text}\n")

    def render(self) -> bytes:
        """Return the job as clients see it, without its parameters."""
        if self.rendered is None:
            self.rendered = dump(self._response())
        return self.rendered

    def render_with_params(self) -> bytes:
        """Return the job as clients see it, with its parameters unless it is private."""
        if self.private:
            return self.render()
        return dump({**self._response(), "params": json.loads(self.request)["params"]})

    def _response(self) -> dict[str, Any]:
        optional = {"session_id": self.session_id, "private": self.private or None}
        return {
            "id": self.id,
            "backend": self.backend,
            "state": self._state(),
            "status": self._legacy_status(),
            "program": {"id": self.program},
            "created": stamp(self.created),
            "cost": self.cost,
            "user_id": "IBMid-000000EMUL",
            "tags": list(self.tags),
            "usage": self.usage(),
            "estimated_running_time_seconds": 2.1,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _state(self) -> dict[str, Any]:
        reasons = {
            "reason": self.reason,
            "reason_code": self.code,
            "reason_solution": self.solution,
        }
        said = {name: value for name, value in reasons.items() if value is not None}
        return {"status": self.disguise or self.status, **said}

    def _legacy_status(self) -> str:
        if self.status == CANCELLED and self.code == TOO_LONG:
            return _LEGACY_TOO_LONG
        return self.disguise or self.status

    def usage(self) -> dict[str, Any]:
        """Return what the job is charged, complete only some time after it is final."""
        return {
            "qpu_charge_time_seconds": self.charged if self.settled else 0,
            "status": "complete" if self.settled else "pending",
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a listing asks for; `None` asks for nothing in particular.

    Of several `tags` a job must have all, as IBM's client documents.
    """

    instance: str
    limit: int
    offset: int = 0
    ascending: bool = False
    pending: bool | None = None
    tags: tuple[str, ...] = ()
    program: str | None = None
    backend: str | None = None
    session_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def tests(self) -> list[Callable[[Job], bool]]:
        """Return the tests a job must pass that no index answers."""
        after, before = self.created_after, self.created_before
        chosen: list[tuple[Any, Callable[[Job], bool]]] = [
            (self.program, lambda job: job.program == self.program),
            (self.backend, lambda job: job.backend == self.backend),
            (self.session_id, lambda job: job.session_id == self.session_id),
            (after, lambda job: after is not None and job.created >= after),
            (before, lambda job: before is not None and job.created <= before),
        ]
        return [test for wanted, test in chosen if wanted is not None]


class JobStore:
    """All jobs in order of creation, indexed by id, tag and whether they are pending."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._pending: dict[str, Job] = {}
        self._by_tag: dict[str, dict[str, Job]] = {}
        self._by_instance: dict[str, dict[str, Job]] = {}
        self._hidden: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> Job | None:
        """Return the job with that id, if there is one."""
        return self._jobs.get(job_id)

    @property
    def pending(self) -> int:
        """How many jobs are not final."""
        return len(self._pending)

    def pending_jobs(self) -> Iterable[Job]:
        """Return the jobs that are not final, oldest first."""
        return self._pending.values()

    def add(self, job: Job) -> None:
        """Keep a new job; it stays out of listings until its `visible_at`."""
        self._jobs[job.id] = self._pending[job.id] = job
        self._by_instance.setdefault(job.instance, {})[job.id] = job
        self._index(job)
        if job.visible_at > time.monotonic():
            self._hidden.append(job)

    def finished(self, job: Job) -> None:
        """Take a job that became final out of the pending ones."""
        self._pending.pop(job.id, None)

    def remove(self, job: Job) -> None:
        """Forget a job."""
        del self._jobs[job.id], self._by_instance[job.instance][job.id]
        self._pending.pop(job.id, None)
        self._unindex(job)

    def retag(self, job: Job, tags: Sequence[str]) -> None:
        """Replace a job's tags."""
        self._unindex(job)
        job.tags = tuple(tags)
        self._index(job)
        job.touch()

    def clear(self) -> None:
        """Forget every job."""
        for index in (self._jobs, self._pending, self._by_tag, self._by_instance, self._hidden):
            index.clear()

    def _index(self, job: Job) -> None:
        for tag in job.tags:
            members = self._by_tag.setdefault(tag, {})
            late = bool(members) and next(reversed(members.values())).number > job.number
            members[job.id] = job
            if late:
                self._by_tag[tag] = dict(sorted(members.items(), key=lambda item: item[1].number))

    def _unindex(self, job: Job) -> None:
        for tag in job.tags:
            members = self._by_tag[tag]
            members.pop(job.id, None)
            if not members:
                del self._by_tag[tag]

    def select(self, query: Query) -> tuple[int, list[Job]]:
        """Return how many jobs a query matches, and its page of them."""
        end = query.offset + query.limit
        smallest, *others = sorted(self._indexes(query), key=len)
        jobs = smallest.values() if query.ascending else reversed(smallest.values())
        tests = self._tests(query)
        if not (others or tests):
            return len(smallest), list(itertools.islice(jobs, query.offset, end))
        found = list(jobs)
        for index in others:
            found = [job for job in found if job.id in index]
        for test in tests:
            found = list(filter(test, found))
        return len(found), found[query.offset : end]

    def _tests(self, query: Query) -> list[Callable[[Job], bool]]:
        tests = query.tests()
        if query.pending is False:
            tests.append(lambda job: job.id not in self._pending)
        if hidden := self._still_hidden():
            tests.append(lambda job: job.id not in hidden)
        return tests

    def _indexes(self, query: Query) -> list[dict[str, Job]]:
        indexes = [self._by_tag.get(tag, {}) for tag in query.tags]
        if query.pending:
            indexes.append(self._pending)
        if len(self._by_instance) > 1 or not indexes or query.instance not in self._by_instance:
            indexes.append(self._by_instance.get(query.instance, {}))
        return indexes

    def _still_hidden(self) -> set[str]:
        if self._hidden:
            now = time.monotonic()
            self._hidden = [job for job in self._hidden if job.visible_at > now]
        return {job.id for job in self._hidden}
