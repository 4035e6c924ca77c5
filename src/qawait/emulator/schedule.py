"""From queued to final: lanes per backend, delays, holds, and scripted ends."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
from typing import TYPE_CHECKING

from .clock import Calendar
from .settings import COMPUTE_LIMIT_SECONDS, DISCARD_GRACE_SECONDS, Settings
from .store import CANCELLED, COMPLETED, FAILED, QUEUED, RUNNING, TOO_LONG, Job, JobStore
from .workers import Computed, Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

_CANNED = b'{"__type__":"PrimitiveResult","__value__":{"pub_results":[],"metadata":{"version":2}}}'
_CANNED_PLAIN = b'{"results":[]}'
_CANNED_PROGRAM = (
    b'{"schema_version":"v2.0","data":[],"metadata":{"chunk_timing":[]},'
    b'"passthrough_data":null,"semantic_role":null}'
)
_BY_USER = "Cancelled by user."
TIME, WORK, RELEASE, NEVER = "time", "work", "release", "never"


class Gate:
    """Opens once, when nothing it waits for is left: time, work, a release."""

    __slots__ = ("_awaited", "_open", "handles")

    def __init__(self, awaited: set[str], open_: Callable[[], None]) -> None:
        self._awaited = awaited
        self._open = open_
        self.handles: list[asyncio.Handle] = []

    def also(self, what: str) -> None:
        """Wait for one thing more."""
        self._awaited.add(what)

    def reached(self, what: str) -> None:
        """Note that a thing has come; open if it was the last."""
        if what in self._awaited:
            self._awaited.discard(what)
            if not self._awaited:
                self._open()

    def forget(self) -> None:
        """Never open."""
        for handle in self.handles:
            handle.cancel()
        self._awaited = {NEVER}


class Scheduler:
    """Walks every job through its life on the running event loop."""

    def __init__(self, store: JobStore, workers: Workers, settings: Settings) -> None:
        self.settings = settings
        self._calendar = Calendar()
        self._store = store
        self._workers = workers
        self._gates: dict[str, Gate] = {}
        self._tasks: dict[str, asyncio.Task[Computed]] = {}
        self._ready: dict[str, collections.deque[Job]] = collections.defaultdict(collections.deque)
        self._running: collections.Counter[str] = collections.Counter()
        self._held: set[str] = set()
        self.consumed_seconds: collections.Counter[str] = collections.Counter()
        self.on_change: Callable[[Job], None] = _nobody

    def reset(self) -> None:
        """Drop every job's timers, work and place in a queue, and all holds."""
        for gate in self._gates.values():
            gate.forget()
        for task in self._tasks.values():
            task.cancel()
        for memory in (self._gates, self._tasks, self._ready, self._running, self._held):
            memory.clear()
        self.consumed_seconds.clear()

    def length(self, backend: str) -> int:
        """Return how many jobs of a backend wait or run."""
        return sum(job.backend == backend for job in self._store.pending_jobs())

    def submit(self, job: Job) -> None:
        """Put a new job in its backend's queue."""
        job.note(job.created, f"queued on {job.backend}")
        gate = self._gate(job, lambda: self._queue_up(job))
        if job.script.hold == "queued" or "queued" in self._held:
            gate.also(RELEASE)
        self._after(gate, _either(job.script.queue_seconds, self.settings.queue_seconds), TIME)

    def _gate(self, job: Job, open_: Callable[[], None]) -> Gate:
        gate = self._gates[job.id] = Gate({TIME}, open_)
        return gate

    def _after(self, gate: Gate, seconds: float, what: str) -> None:
        loop = asyncio.get_running_loop()
        if seconds > 0:
            gate.handles.append(loop.call_later(seconds, gate.reached, what))
        else:
            # Not at once: a thousand jobs that end at once would start each other recursively.
            gate.handles.append(loop.call_soon(gate.reached, what))

    def _queue_up(self, job: Job) -> None:
        del self._gates[job.id]
        self._ready[job.backend].append(job)
        self.admit(job.backend)

    def admit(self, backend: str) -> None:
        """Start queued jobs of a backend while it is online and has a free lane."""
        ready = self._ready[backend]
        while ready and self._may_start(backend):
            job = ready.popleft()
            if job.status == QUEUED:
                self._start(job)

    def _may_start(self, backend: str) -> bool:
        online = self.settings.backend_states.get(backend, "online") == "online"
        held = "queued" in self._held
        return online and not held and self._running[backend] < self.settings.lanes

    def admit_all(self) -> None:
        """Let every backend start what it can, after settings have changed."""
        for backend in list(self._ready):
            self.admit(backend)

    def _start(self, job: Job) -> None:
        job.status, job.running_at = RUNNING, self._calendar.now()
        job.disguise = job.script.status
        job.note(job.running_at, "running")
        job.touch()
        self._running[job.backend] += 1
        self._plan(job)
        self.on_change(job)

    def _plan(self, job: Job) -> None:
        script = job.script
        seconds = _either(script.run_seconds, self.settings.run_seconds)
        over = seconds > job.cost or script.outcome == "too_long"
        end = self._too_long if over else self._end
        gate = self._gate(job, lambda: end(job))
        if script.hold == "running" or "running" in self._held:
            gate.also(RELEASE)
        if script.status is not None:
            self._disguise(job, gate)
        if script.outcome == "run" and self.settings.execute and not over:
            gate.also(WORK)
            self._compute(job, gate)
        self._after(gate, min(seconds, job.cost), TIME)

    def _disguise(self, job: Job, gate: Gate) -> None:
        gate.also(NEVER)
        if job.script.status_seconds is not None:
            loop = asyncio.get_running_loop()
            handle = loop.call_later(job.script.status_seconds, self._unmask, job, gate)
            gate.handles.append(handle)

    def _unmask(self, job: Job, gate: Gate) -> None:
        job.disguise = None
        job.touch()
        gate.reached(NEVER)

    def _compute(self, job: Job, gate: Gate) -> None:
        seed = self.settings.seed
        task = Task(
            program=job.program,
            backend=job.backend,
            noise=self.settings.noise,
            seed=None if seed is None else seed + job.number,
            request=job.request,
        )
        work = asyncio.create_task(self._workers.run(task, COMPUTE_LIMIT_SECONDS))
        self._tasks[job.id] = work
        work.add_done_callback(lambda _: self._computed(job, gate))

    def _computed(self, job: Job, gate: Gate) -> None:
        work = self._tasks.get(job.id)
        if work is not None and not work.cancelled():
            gate.reached(WORK)

    def _end(self, job: Job) -> None:
        work = self._tasks.get(job.id)
        if job.script.outcome == "fail":
            self._fail_as_scripted(job)
        elif work is None:
            self._complete(job, _canned(job))
        elif (computed := work.result()).failure is None:
            self._complete(job, computed.text)
        else:
            job.reason, job.code, job.solution = computed.failure
            self._fail(job, computed.text)

    def _fail_as_scripted(self, job: Job) -> None:
        script = job.script
        job.reason, job.code, job.solution = script.reason, script.code, script.solution
        text = script.text or f"Traceback (most recent call last):\nRuntimeError: {script.reason}\n"
        self._fail(job, text.encode())

    def _complete(self, job: Job, result: bytes) -> None:
        job.result = result
        self._finish(job, COMPLETED)

    def _fail(self, job: Job, text: bytes) -> None:
        job.result = text
        self._finish(job, FAILED)

    def _too_long(self, job: Job) -> None:
        job.reason, job.code = "Ran too long", TOO_LONG
        self._finish(job, CANCELLED)

    def cancel(self, job: Job) -> bool:
        """Take a cancel of a job: `False` when it is final and so cannot be cancelled."""
        job.cancels += 1
        if job.final:
            return False
        job.cancels_accepted += 1
        if job.script.ignore_cancel:
            return True
        if job.script.cancel_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(job.script.cancel_seconds, self.drop, job, _BY_USER)
        else:
            self.drop(job, _BY_USER)
        return True

    def drop(self, job: Job, reason: str) -> None:
        """End a job as cancelled, unless it is final or gone."""
        if not job.final and self._store.get(job.id) is job:
            job.reason = reason
            self._finish(job, CANCELLED)

    def give_up(self, job: Job, reason: str) -> None:
        """End a queued job as failed."""
        job.reason = reason
        self._fail(job, reason.encode())

    def _finish(self, job: Job, status: str) -> None:
        was_running = job.status == RUNNING
        job.status, job.disguise, job.finished_at = status, None, self._calendar.now()
        job.note(job.finished_at, status.lower())
        self._forget(job)
        self._store.finished(job)
        job.touch()
        if was_running:
            self._charge(job)
            self._running[job.backend] -= 1
        self._settle_later(job)
        self.on_change(job)
        self.admit(job.backend)

    def _charge(self, job: Job) -> None:
        if job.running_at is not None and job.finished_at is not None:
            seconds = (job.finished_at - job.running_at).total_seconds()
            job.charged = min(max(1, math.ceil(seconds)), job.cost)
            self.consumed_seconds[job.instance] += job.charged

    def _forget(self, job: Job) -> None:
        gate = self._gates.pop(job.id, None)
        if gate is not None:
            gate.forget()
        work = self._tasks.pop(job.id, None)
        if work is not None and not work.done():
            asyncio.get_running_loop().call_later(DISCARD_GRACE_SECONDS, work.cancel)

    def _settle_later(self, job: Job) -> None:
        if self.settings.usage_lag <= 0:
            self._settle(job)
        else:
            asyncio.get_running_loop().call_later(self.settings.usage_lag, self._settle, job)

    @staticmethod
    def _settle(job: Job) -> None:
        job.settled = True
        job.touch()

    def direct(self, job: Job) -> None:
        """Apply a script given to a job that is already here."""
        if job.status == RUNNING:
            self._replan(job)
        elif job.status == QUEUED and job.script.hold == "queued":
            self.hold("queued", job)

    def _replan(self, job: Job) -> None:
        self._gates.pop(job.id).forget()
        work = self._tasks.pop(job.id, None)
        if work is not None:
            work.cancel()
        job.disguise = job.script.status
        job.touch()
        self._plan(job)

    def hold(self, stage: str, job: Job | None = None) -> None:
        """Keep one job, or all present and coming, in a stage until they are released."""
        if job is None:
            self._held.add(stage)
        elif stage == "running" and job.status == QUEUED:
            job.script = dataclasses.replace(job.script, hold="running")
        status = QUEUED if stage == "queued" else RUNNING
        for one in self._one_or_all(job):
            if one.status == status:
                self._hold(one)

    def _one_or_all(self, job: Job | None) -> list[Job]:
        return list(self._store.pending_jobs()) if job is None else [job]

    def _hold(self, job: Job) -> None:
        if job.id not in self._gates:
            self._ready[job.backend].remove(job)
            self._gates[job.id] = Gate(set(), lambda: self._queue_up(job))
        self._gates[job.id].also(RELEASE)

    def release(self, job: Job | None = None) -> None:
        """End the holds of one job, or all holds."""
        if job is None:
            self._held.clear()
            self.admit_all()
        for one in self._one_or_all(job):
            if one.id in self._gates:
                self._gates[one.id].reached(RELEASE)


def _nobody(_job: Job) -> None:
    """Tell nobody that a job has moved."""


def _either(scripted: float | None, default: float) -> float:
    return default if scripted is None else scripted


def _canned(job: Job) -> bytes:
    if job.script.result is not None:
        return job.script.result.encode()
    if job.program == "executor":
        return _CANNED_PROGRAM
    return _CANNED if job.support_qiskit else _CANNED_PLAIN
