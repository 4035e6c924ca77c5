"""The worker processes that simulate, so that the service answers while they compute.

A worker is a process of its own that reads tasks from its stdin and writes
results to its stdout. It ends by itself when its stdin closes, so none is left
behind however this process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import struct
import sys

_FRAME = struct.Struct(">II")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One job to simulate: the request as it was submitted, and how to run it."""

    program: str
    backend: str
    noise: bool
    seed: int | None
    request: bytes

    def header(self) -> bytes:
        """Return all but the request, as JSON."""
        names = ("program", "backend", "noise", "seed")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


@dataclasses.dataclass(frozen=True, slots=True)
class Computed:
    """What a worker made of a task: a result, or a failure and its traceback."""

    text: bytes
    failure: tuple[str, int, str | None] | None = None


class WorkerDiedError(Exception):
    """The worker ended before it answered."""


class Worker:
    """One worker process and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> Worker:
        """Start a worker; it gets ready in the background."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "qawait.emulator.execute",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - 1))},
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def ask(self, task: Task) -> Computed:
        """Have a task computed; raise `WorkerDiedError` if the process ends first."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerDiedError
        header = task.header()
        try:
            stdin.write(_FRAME.pack(len(header), len(task.request)) + header + task.request)
            await stdin.drain()
            sizes = _FRAME.unpack(await stdout.readexactly(_FRAME.size))
            verdict = json.loads(await stdout.readexactly(sizes[0]))
            text = await stdout.readexactly(sizes[1])
        except (OSError, asyncio.IncompleteReadError) as error:
            raise WorkerDiedError from error
        return Computed(text, tuple(verdict["failure"]) if verdict["failure"] else None)

    async def end(self) -> None:
        """Kill the process and reap it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Workers:
    """At most `count` workers: the first started at once, the others when needed."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()

    async def warm(self) -> None:
        """Start the first worker, so that the first job need not wait for it."""
        self._idle.append(await self._start())

    async def _start(self) -> Worker:
        worker = await Worker.start()
        self._all.add(worker)
        return worker

    async def run(self, task: Task, limit: float) -> Computed:
        """Compute a task within `limit` seconds; a worker's death fails only this task."""
        async with self._free:
            try:
                worker = await self._take()
            except OSError:
                return _broken("No worker process can be started.", 9999)
            return await self._run_on(worker, task, limit)

    async def _run_on(self, worker: Worker, task: Task, limit: float) -> Computed:
        try:
            computed = await asyncio.wait_for(worker.ask(task), limit)
        except BaseException as error:
            await self._discard(worker)
            if isinstance(error, TimeoutError):
                return _broken("The job timed out.", 5201)
            if isinstance(error, WorkerDiedError):
                return _broken("The program ended unexpectedly.", 9999)
            raise
        self._idle.append(worker)
        return computed

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._all.discard(worker)
        return await self._start()

    async def _discard(self, worker: Worker) -> None:
        self._all.discard(worker)
        await worker.end()

    async def close(self) -> None:
        """End every worker."""
        for worker in list(self._all):
            await self._discard(worker)
        self._idle.clear()


def _broken(reason: str, code: int) -> Computed:
    text = f"Traceback (most recent call last):\nRuntimeError: {reason}\n"
    return Computed(text.encode(), (reason, code, None))
