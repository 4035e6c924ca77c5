"""A canned job service for benchmarks, in a process of its own: it must never be the limit.

Jobs are queued until the run is started over the third port; then each has an
instant at which it begins to run and one at which it has ended, both fixed in
advance. What it answers is what the service answers, as far as clients look at it.
"""

from __future__ import annotations

import asyncio
import base64
import bisect
import datetime as dt
import io
import json
import math
import random
import sys
import time
import urllib.parse
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from loopback import server_context, until_closed
from measuring import cpu
from orders import BACKEND, CLIENT_TAG, INSTANCE, PAGE

from qawait.emulator.auth import Tokens
from qawait.emulator.backends import Device
from qawait.emulator.settings import PLAN_ID

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


def result_body() -> bytes:
    """Return the result of a small circuit: one register, 128 shots."""
    file = io.BytesIO()
    np.save(file, np.zeros((128, 1), np.uint8))
    array = base64.b64encode(zlib.compress(file.getvalue())).decode()
    bits = {"array": {"__type__": "ndarray", "__value__": array}, "num_bits": 2}
    fields = {"meas": {"__type__": "BitArray", "__value__": bits}}
    data = {"field_names": ["meas"], "shape": [], "fields": fields}
    pub = {"data": {"__type__": "DataBin", "__value__": data}, "metadata": {"shots": 128}}
    results = [{"__type__": "SamplerPubResult", "__value__": pub}]
    whole = {"pub_results": results, "metadata": {"version": 2}}
    return json.dumps({"__type__": "PrimitiveResult", "__value__": whole}).encode()


# --- jobs ----------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Job:
    """A job, with the instants of its life on the machine's monotonic clock."""

    id: str
    created: dt.datetime
    tags: frozenset[str]
    record: bytes  # with a place for the status
    runs: float = math.inf
    ends: float = math.inf
    cancelled: bool = False

    def status(self, now: float) -> bytes:
        """Return the status as the service writes it."""
        if self.cancelled:
            return b"Cancelled"
        if now >= self.ends:
            return b"Completed"
        return b"Running" if now >= self.runs else b"Queued"

    def is_pending(self, now: float) -> bool:
        """Tell whether the job is queued or running."""
        return not self.cancelled and now < self.ends

    def render(self, now: float) -> bytes:
        """Return the record of the job."""
        return self.record % (2 * (self.status(now),))


class Store:
    """All jobs, in the order of their creation."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.created: list[dt.datetime] = []
        self.ordered: list[Job] = []
        self.run_seconds = 4.0

    def add(self, tags: list[str], program: str) -> Job:
        """Make a job, later than every other by a microsecond at least."""
        now = dt.datetime.now(dt.UTC)
        if self.created:
            now = max(now, self.created[-1] + dt.timedelta(microseconds=1))
        job_id = f"d{len(self.ordered):019x}"
        job = Job(job_id, now, frozenset(tags), self._record(job_id, now, tags, program))
        self.jobs[job_id] = job
        self.created.append(now)
        self.ordered.append(job)
        return job

    def _record(self, job_id: str, created: dt.datetime, tags: list[str], program: str) -> bytes:
        record = {
            "id": job_id,
            "backend": BACKEND,
            "state": {"status": "%s"},
            "status": "%s",
            "program": {"id": program},
            "created": created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "cost": 3600,
            "user_id": "IBMid-000000TEST",
            "tags": tags,
            "usage": {"quantum_seconds": 0, "status": "pending"},
            "estimated_running_time_seconds": self.run_seconds,
        }
        return json.dumps(record).encode()

    def start(self, after: float, spread: float) -> None:
        """Fix when the jobs end: evenly over `spread` seconds, in a random order."""
        live = [job for job in self.ordered if not job.cancelled]
        random.Random(7).shuffle(live)
        first = time.monotonic() + after
        for place, job in enumerate(live):
            job.ends = first + spread * (place + 0.5) / len(live)
            job.runs = job.ends - self.run_seconds

    def page(self, query: dict[str, list[str]]) -> bytes:
        """Return a page of jobs, as the service lists them."""
        limit = int(query.get("limit", ["200"])[0])
        limit = limit if 1 <= limit <= PAGE else PAGE
        offset = int(query.get("offset", ["0"])[0])
        now, found = time.monotonic(), []
        passed = 0
        for job in self._span(query):
            if not self._matches(job, query, now):
                continue
            passed += 1
            if passed > offset:
                found.append(job.render(now))
                if len(found) == limit:
                    break
        tail = b'],"count":%d,"limit":%d,"offset":%d}' % (passed, limit, offset)
        return b'{"jobs":[' + b",".join(found) + tail

    def _span(self, query: dict[str, list[str]]) -> Any:
        low, high = 0, len(self.ordered)
        if "created_after" in query:
            low = bisect.bisect_left(self.created, _time(query["created_after"]))
        if "created_before" in query:
            high = bisect.bisect_right(self.created, _time(query["created_before"]))
        order = range(low, high)
        ascending = query.get("sort") == ["ASC"]
        return (self.ordered[place] for place in (order if ascending else reversed(order)))

    def _matches(self, job: Job, query: dict[str, list[str]], now: float) -> bool:
        wanted = query.get("pending")
        if wanted is not None and job.is_pending(now) != (wanted == ["true"]):
            return False
        return job.tags.issuperset(query.get("tags", ()))


def _time(values: list[str]) -> dt.datetime:
    return dt.datetime.fromisoformat(values[0])


# --- the service ---------------------------------------------------------------------------------


class Service:
    """What all connections share: the jobs, the answers that never change, and the counts."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.store = Store()
        self.counts: Counter[str] = Counter()
        self.open = self.peak = self.seen = 0
        self.since = (0.0, 0.0)
        self.last = b""
        device = Device(BACKEND)
        self.fixed = self._fixed(device)
        self.result = result_body()

    def _fixed(self, device: Device) -> dict[str, bytes]:
        item = {
            "crn": INSTANCE,
            "name": "benchmark",
            "service_plan_unique_id": PLAN_ID,
            "tags": [],
            "doc": {"extensions": [{"backends": ["ANY"]}]},
        }
        words = {"display_name": "Open", "description": "", "long_description": ""}
        plan = {
            "id": PLAN_ID,
            "name": "open",
            "overview_ui": {"en": words},
            "metadata": {"pricing": {"type": "free"}},
        }
        usage = {"usage_consumed_seconds": 0, "usage_limit_seconds": 600}
        return {
            "/identity/token": json.dumps(Tokens().issue(3600)).encode(),
            "/gs/v3/resources/search": json.dumps({"items": [item], "limit": 100}).encode(),
            f"/catalog/api/v1/{PLAN_ID}": json.dumps(plan).encode(),
            "/api/v1/versions": json.dumps({"versions": []}).encode(),
            "/api/v1/backends": json.dumps({"devices": [device.listed("online", 0)]}).encode(),
            f"/api/v1/backends/{BACKEND}/configuration": device.configuration,
            f"/api/v1/backends/{BACKEND}/properties": device.properties,
            f"/api/v1/backends/{BACKEND}/status": json.dumps(device.status("online", 0)).encode(),
            "/api/v1/instances/usage": json.dumps(usage).encode(),
        }

    def answer(self, method: bytes, target: str, body: bytes) -> bytes:
        """Return the answer to a request, head and all."""
        path, _, query = target.removeprefix("/experimental").partition("?")
        place, _, rest = path.removeprefix("/api/v1/jobs").lstrip("/").partition("/")
        if not path.startswith("/api/v1/jobs"):
            self.counts["other"] += 1
            fixed = self.fixed.get(path)
            return MISSING if fixed is None else JSON_HEAD % (len(fixed), fixed)
        content = self._about_jobs(method, place, rest, query, body)
        return content if content.startswith(b"HTTP") else JSON_HEAD % (len(content), content)

    def _about_jobs(self, method: bytes, place: str, rest: str, query: str, body: bytes) -> bytes:
        if not place and method == b"POST":
            return self._submitted(body)
        if not place:
            self.counts["list"] += 1
            return self.store.page(urllib.parse.parse_qs(query))
        self.counts[rest or "status"] += 1
        job = self.store.jobs.get(place)
        if job is None:
            return MISSING
        if rest == "cancel":
            job.cancelled = True
            return EMPTY
        now = time.monotonic()
        if rest == "results":
            return EMPTY if job.is_pending(now) else self.result
        return job.render(now)

    def _submitted(self, body: bytes) -> bytes:
        self.counts["submit"] += 1
        self.last = body
        asked = json.loads(body)
        job = self.store.add(asked.get("tags", []), asked.get("program_id", "sampler"))
        return json.dumps({"id": job.id, "backend": BACKEND}).encode()

    # --- orders over the third port ------------------------------------------------------------

    def order(self, target: str) -> bytes:
        """Carry out what the benchmark asks of the server itself."""
        path, _, text = target.partition("?")
        query = {name: float(value) for name, value in urllib.parse.parse_qsl(text)}
        return json.dumps(getattr(self, f"_{path.strip('/')}")(**query)).encode()

    def _make(self, count: float) -> list[tuple[str, str]]:
        jobs = [self.store.add([CLIENT_TAG], "sampler") for _ in range(int(count))]
        return [(job.id, job.created.isoformat()) for job in jobs]

    def _start(self, after: float, spread: float) -> None:
        self.store.start(after, spread)
        self._reset()

    def _reset(self) -> None:
        self.counts.clear()
        self.seen = self.peak = self.open
        self.since = (time.monotonic(), cpu())

    def _forget(self) -> None:
        self.store = Store()
        self._reset()

    def _report(self) -> dict[str, Any]:
        began, used = self.since
        return {
            "counts": self.counts,
            "connections": self.seen,
            "reopened": self.seen - self.peak,
            "busy": (cpu() - used) / max(1e-9, time.monotonic() - began),
        }

    def _body(self) -> str:
        return self.last.decode()

    def _ends(self) -> dict[str, float]:
        return {job.id: job.ends for job in self.store.ordered if not job.cancelled}


class Connection(asyncio.Protocol):
    """One connection: whole requests in, answers out, late by the service's delay."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast("asyncio.Transport", transport)
        service = self.service
        service.open += 1
        service.seen += 1
        service.peak = max(service.peak, service.open)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Count it out."""
        self.service.open -= 1

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end]
            size = end + 4 + _length(head)
            if len(self.waiting) < size:
                return
            body, self.waiting = self.waiting[end + 4 : size], self.waiting[size:]
            method, target, _ = head.split(b" ", 2)
            self.handle(method, target.decode(), body)

    def handle(self, method: bytes, target: str, body: bytes) -> None:
        """Answer now, or look half of the delay later and answer after all of it."""
        if not self.service.delay:
            self.transport.write(self.service.answer(method, target, body))
            return
        loop, half = asyncio.get_running_loop(), self.service.delay / 2
        loop.call_later(half, self._look, method, target, body, half)

    def _look(self, method: bytes, target: str, body: bytes, half: float) -> None:
        answer = self.service.answer(method, target, body)
        asyncio.get_running_loop().call_later(half, self._write, answer)

    def _write(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


class Orders(Connection):
    """A connection of the benchmark itself, which is not counted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to count."""

    def handle(self, method: bytes, target: str, body: bytes) -> None:  # noqa: ARG002 - as above
        """Carry out an order."""
        content = self.service.order(target)
        self.transport.write(JSON_HEAD % (len(content), content))


def _length(head: bytes) -> int:
    lower = head.lower()
    place = lower.find(b"\r\ncontent-length:")
    return int(lower[place + 17 :].split(b"\r\n", 1)[0]) if place >= 0 else 0


async def listen(folder: Path, delay: float) -> None:
    """Serve HTTP, TLS and the benchmark's orders."""
    service = Service(delay)
    tls = server_context(folder)
    loop = asyncio.get_running_loop()
    made, orders = partial(Connection, service), partial(Orders, service)
    await until_closed(
        await loop.create_server(made, "127.0.0.1", 0, backlog=2048),
        await loop.create_server(made, "127.0.0.1", 0, ssl=tls, backlog=2048),
        await loop.create_server(orders, "127.0.0.1", 0),
    )


# --- the benchmark's side ------------------------------------------------------------------------


if __name__ == "__main__":
    import uvloop

    uvloop.run(listen(Path(sys.argv[1]), float(sys.argv[2])))
