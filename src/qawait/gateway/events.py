"""Changes of jobs to many readers: numbered, resumable, bounded."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from qawait import limits
from qawait.jobs.waiting import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from qawait.gateway.record import Record


@dataclass(frozen=True, slots=True)
class Change:
    """One event of one job; `view` is the job as callers are told of it."""

    number: int
    event: dict[str, Any]
    record: Record

    def line(self) -> bytes:
        """Return the change as a server-sent event."""
        told = {**self.event, "job_id": self.record.job_id}
        return f"id: {self.number}\nevent: status\ndata: {json.dumps(told)}\n\n".encode()


class Changes:
    """The latest changes of all jobs. Readers hold a number, and it holds no readers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest: deque[Change] = deque(maxlen=limits.GATEWAY_EVENTS)
        self._number = 0
        self._changed = Signal()
        self._of_job: dict[str, Signal] = {}
        self._is_closed = False
        self.streams = 0

    def restore(self, records: Iterable[Record]) -> None:
        """Know the changes that jobs had before."""
        known = [
            Change(event["id"], event, record) for record in records for event in record.events
        ]
        for change in sorted(known, key=lambda change: change.number):
            self._latest.append(change)
            self._number = change.number

    def add(self, record: Record) -> None:
        """Take down where a job is now, and tell whoever reads.

        Numbers grow with the clock, so that those of a gateway that was started
        anew, and has forgotten some, still come after all that it ever gave.
        """
        now = self._clock()
        self._number = max(self._number + 1, int(now * 1000))
        self._latest.append(Change(self._number, record.note(self._number, now), record))
        self._changed.set()
        if (of_job := self._of_job.pop(record.job_id, None)) is not None:
            of_job.set()

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        self._changed.set()
        while self._of_job:
            self._of_job.popitem()[1].set()

    @property
    def is_closed(self) -> bool:
        """Whether streams have been ended."""
        return self._is_closed

    async def wait(self, record: Record) -> None:
        """Return after the next change of one job, or when streams are ended."""
        if not self._is_closed:
            await self._of_job.setdefault(record.job_id, Signal()).wait()

    async def of_job(self, record: Record, after: int) -> AsyncIterator[bytes]:
        """Yield one job's changes after a number, from its first on, until its end."""
        yield _HELLO
        while not self._is_closed:
            events = [event for event in record.events if event["id"] > after]
            for event in events:
                yield Change(event["id"], event, record).line()
                after = event["id"]
            if record.is_final and not any(event["id"] > after for event in record.events):
                return
            if not any(event["id"] > after for event in record.events):
                yield await self._next(lambda: self.wait(record))

    async def of_all(self, after: int | None) -> AsyncIterator[bytes]:
        """Yield all jobs' changes after a number; from now on without one.

        A reader who was away for too long is told to begin anew (`reset`).
        """
        yield _HELLO
        if after is None:
            after = self._number
        elif self._has_lost(after):
            after = self._number
            yield f"id: {after}\nevent: reset\ndata: {{}}\n\n".encode()
        while not self._is_closed:
            missed = [change for change in self._latest if change.number > after]
            for change in missed:
                yield change.line()
                after = change.number
            if not missed:
                yield await self._next(self._changed.wait)

    def _has_lost(self, after: int) -> bool:
        if len(self._latest) < limits.GATEWAY_EVENTS:
            return False
        return after < self._latest[0].number

    async def _next(self, wait: Callable[[], Any]) -> bytes:
        """Wait for the next change; return a comment, to be sent if none came for a while."""
        with anyio.move_on_after(limits.GATEWAY_HEARTBEAT_SECONDS) as pause:
            await wait()
        return b": still here\n\n" if pause.cancelled_caught else b""


_HELLO = b"retry: 1000\n\n"
