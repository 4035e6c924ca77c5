"""What outlives a simulated client: a journal, and a guardian that settles what was left live.

Both learn of things a little later than they happened, and a kill loses what was
still in the dead process's memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait.errors import QawaitError, RejectedError, UnknownOutcomeError
from qawait.jobs.retry import is_transient
from qawait.testing.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qawait.guard.journal import Row
    from qawait.jobs.service import Service
    from qawait.types import Snapshot

_NOT_FOUND: Final = 404


class SimulatedJournal:
    """Rows that are on disk `seconds` after they were put, in that order."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._rows: dict[str, Row] = {}
        self._writing: Timeline[Row] = Timeline()

    def put(self, row: Row) -> None:
        """Write a row soon."""
        self._writing.put(anyio.current_time() + self._seconds, row)

    async def keep(self, row: Row) -> None:
        """Return when the row is on disk."""
        self.put(row)
        await anyio.sleep(self._seconds)

    def rows(self) -> dict[str, Row]:
        """Return what is on disk now, by tag."""
        for _, row in self._writing.take(anyio.current_time()):
            known = self._rows.get(row.tag)
            self._rows[row.tag] = replace(row, intended=known.intended) if known else row
        return self._rows

    def settle(self, tag: str, job_id: str | None, outcome: str) -> None:
        """Take down at once how a job that was left behind has ended."""
        rows = self.rows()
        if tag in rows:
            rows[tag] = replace(rows[tag], job_id=job_id, outcome=outcome)

    def lose(self, owner: str) -> None:
        """Lose what the process of `owner` had not written when it was killed."""
        self.rows()
        self._writing.drop(lambda row: row.owner == owner)


@dataclass(slots=True)
class _Open:
    tag: str
    job_id: str | None = None
    cancel: str = "NONE"


class SimulatedGuardian:
    """The process that settles what a dead client left live, and the client's end of its pipe.

    What it does when the client has ended follows the real one: each open job is
    looked for by its tag if its id is unknown, then queried, and cancelled if it
    is live and no cancel of it was acknowledged. A second cancel is sent only if
    the answer to the first was lost and the job is still live.
    """

    LOOKS_AT: Final = (0.0, 1.0, 1.0)
    SECONDS: Final = 60.0
    PAUSE: Final = 0.5
    START_SECONDS: Final = 0.025

    def __init__(self, *, pipe_seconds: float) -> None:
        self.is_dead = False
        self.is_closed = False
        self.was_killed = False
        self.has_given_up = False
        self.replay: Callable[[], Iterable[dict[str, Any]]] = tuple
        self._pipe_seconds = pipe_seconds
        self._ready_at = anyio.current_time() + self.START_SECONDS
        self._died = anyio.Event()
        self._pipe: Timeline[dict[str, Any]] = Timeline()
        self._jobs: dict[str, _Open] = {}
        self._until = 0.0

    # --- the client's end ------------------------------------------------------------------------

    async def started(self) -> None:
        """Return when it runs."""
        await anyio.sleep(max(0.0, self._ready_at - anyio.current_time()))

    def tell(self, message: dict[str, Any]) -> None:
        """Write a message into the pipe soon; into that of a dead one, nothing."""
        if not self.is_dead:
            self._pipe.put(anyio.current_time() + self._pipe_seconds, message)

    async def flush(self) -> None:
        """Return when all that was told is in the pipe."""
        await anyio.sleep(self._pipe_seconds)

    async def wait_dead(self) -> None:
        """Return once the process has died."""
        while not self.is_dead:
            await self._died.wait()

    async def relaunch(self) -> None:
        """Start the process anew and tell it everything."""
        await anyio.sleep(self.START_SECONDS)
        self.is_dead = False
        self._died = anyio.Event()
        for message in self.replay():
            self.tell(message)

    def lose(self) -> None:
        """Lose what was not in the pipe yet when the client was killed."""
        self._read()
        self._pipe.drop()

    def kill(self) -> None:
        """End the process, with all that it knew."""
        self.is_dead = self.was_killed = True
        self._died.set()
        self._pipe.drop()
        self._jobs.clear()

    # --- the process itself ----------------------------------------------------------------------

    async def settle(self, service: Service, settled: Callable[[str, str], object]) -> None:
        """Settle every open job; `settled(tag, outcome)` is called for each that is."""
        self._until = anyio.current_time() + self.SECONDS
        self._read()
        async with anyio.create_task_group() as group:
            for job in self._jobs.values():
                group.start_soon(self._settle, service, job, settled)

    async def _settle(
        self, service: Service, job: _Open, settled: Callable[[str, str], object]
    ) -> None:
        try:
            outcome = await self._end(service, job)
        except QawaitError:
            self.has_given_up = True  # it is left to the journal
            return
        settled(job.tag, outcome)

    async def _end(self, service: Service, job: _Open) -> str:
        if job.cancel == "ACKED":
            return "FINAL"
        found = [job.job_id] if job.job_id else await self._look(service, job.tag)
        outcomes = [await self._cancel_if_live(service, job_id) for job_id in found]
        return outcomes[0] if outcomes else "NEVER_SUBMITTED"

    async def _look(self, service: Service, tag: str) -> list[str]:
        for pause in self.LOOKS_AT:
            await anyio.sleep(pause)
            found: Iterable[Snapshot] = await self._ask(lambda: service.find(tag))
            if found:
                return list(dict.fromkeys(job.job_id for job in found))
        return []

    async def _cancel_if_live(self, service: Service, job_id: str) -> str:
        while True:
            try:
                seen = await self._ask(lambda: service.status(job_id))
            except RejectedError as error:
                if error.status == _NOT_FOUND:
                    return "NEVER_SUBMITTED"
                raise
            if seen.is_final:
                return "FINAL"
            try:
                await service.cancel(job_id)
            except UnknownOutcomeError:
                await self._pause(UnknownOutcomeError("no time is left"))
            except QawaitError as error:
                await self._pause(error)
            else:
                return "CANCELLED_BY_GUARDIAN"

    async def _ask(self, question: Callable[[], Any]) -> Any:
        while True:
            try:
                return await question()
            except QawaitError as error:
                if not is_transient(error):
                    raise
                await self._pause(error)

    async def _pause(self, error: QawaitError) -> None:
        if anyio.current_time() > self._until:
            raise error
        await anyio.sleep(self.PAUSE)

    def _read(self) -> None:
        for _, message in self._pipe.take(anyio.current_time()):
            for kind, value in message.items():
                if isinstance(value, dict):
                    self._take(kind, value)

    def _take(self, kind: str, value: dict[str, Any]) -> None:
        tag = value["tag"]
        if kind == "close":
            self._jobs.pop(tag, None)
        elif kind in ("open", "live"):
            job = self._jobs.setdefault(tag, _Open(tag))
            job.job_id = value["id"] or job.job_id
        elif tag in self._jobs:
            self._jobs[tag].cancel = value["state"]
