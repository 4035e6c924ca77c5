"""Sessions and batches: jobs that belong together, and the times that end them."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from .answers import RefusalError
from .clock import Calendar, stamp
from .store import QUEUED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .instances import Instance
    from .schedule import Scheduler
    from .store import Job, JobStore

DEDICATED, BATCH = "dedicated", "batch"
MODES = (DEDICATED, BATCH)
OPEN, ACTIVE, INACTIVE, CLOSED = "open", "active", "inactive", "closed"
_TIME_IS_OVER = "The maximum time of the session is over."


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """A session or batch; it accepts jobs until it is closed or its time is over."""

    id: str
    instance: str
    backend: str
    mode: str
    max_ttl: int
    interactive_ttl: float
    history: list[tuple[str, datetime]]
    accepting: bool = True
    last_started: datetime | None = None
    last_completed: datetime | None = None
    charged: int = 0
    closes: int = 0
    cancels: int = 0
    timers: dict[str, asyncio.TimerHandle] = dataclasses.field(default_factory=dict)

    @property
    def state(self) -> str:
        """Where the session is."""
        return self.history[-1][0]

    def check_accepts(self, backend: str) -> None:
        """Refuse a job that the session does not take."""
        if not self.accepting:
            raise RefusalError(400, 4001, f"The session {self.id} is closed.")
        if backend != self.backend:
            raise RefusalError(400, 1208, f"The session {self.id} is on {self.backend}.")

    def become(self, state: str, instant: datetime) -> None:
        """Note a change of state; a closed session does not change any more."""
        if self.state not in (state, CLOSED):
            self.history.append((state, instant))

    def first(self, state: str) -> str | None:
        """Return when the session first was in a state."""
        return next((stamp(at) for word, at in self.history if word == state), None)

    def described(self, now: datetime) -> dict[str, Any]:
        """Return the session as clients see it."""
        times = {
            "started_at": self.first(ACTIVE),
            "activated_at": self.first(ACTIVE),
            "closed_at": self.first(CLOSED),
            "last_job_started": self.last_started and stamp(self.last_started),
            "last_job_completed": self.last_completed and stamp(self.last_completed),
        }
        return {
            "id": self.id,
            "backend_name": self.backend,
            "interactive_ttl": int(self.interactive_ttl),
            "max_ttl": self.max_ttl,
            "active_ttl": self.max_ttl,
            "state": self.state,
            "accepting_jobs": self.accepting,
            "mode": self.mode,
            "user_id": "IBMid-000000EMUL",
            "timestamps": [{"status": word, "timestamp": stamp(at)} for word, at in self.history],
            "elapsed_time": self._elapsed(now),
            **{name: time for name, time in times.items() if time is not None},
        }

    def _elapsed(self, now: datetime) -> int:
        """Return the usage: a session's time while active, a batch's on the processor."""
        if self.mode == BATCH:
            return self.charged
        ends = [at for _, at in self.history[1:]] + [now]
        spans = zip(self.history, ends, strict=True)
        return int(sum((end - at).total_seconds() for (word, at), end in spans if word == ACTIVE))

    def seen(self) -> dict[str, Any]:
        """Return the session as the control API shows it."""
        names = ("id", "instance", "backend", "mode", "state", "accepting", "max_ttl")
        return {name: getattr(self, name) for name in (*names, "closes", "cancels")}


class Sessions:
    """All sessions and batches, and what time and their jobs do to them."""

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler
        self._calendar = Calendar()
        self._sessions: dict[str, Session] = {}
        scheduler.on_change = self.noticed

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def find(self, session_id: str, instance: Instance | None = None) -> Session:
        """Return a session of an instance, or refuse."""
        session = self._sessions.get(session_id)
        if session is None or (instance is not None and session.instance != instance.crn):
            raise RefusalError(404, 1293, f"Session not found. Session ID: {session_id}")
        return session

    def open(self, instance: Instance, backend: str, mode: str, max_ttl: int) -> Session:
        """Open a session or a batch."""
        session = Session(
            id=str(uuid.uuid4()),
            instance=instance.crn,
            backend=backend,
            mode=mode,
            max_ttl=max_ttl,
            interactive_ttl=self._scheduler.settings.interactive_ttl,
            history=[(OPEN, self._calendar.now())],
        )
        self._sessions[session.id] = session
        self._wait_idle(session)
        return session

    def close(self, session: Session) -> None:
        """Take no more jobs; those that are there still run."""
        session.accepting = False
        self._close_if_empty(session)

    def cancel(self, session: Session) -> None:
        """Take no more jobs and drop the queued ones; running ones finish."""
        session.accepting = False
        for job in self._jobs(session):
            if job.status == QUEUED:
                self._scheduler.drop(job, "The session was closed.")
        self._close_if_empty(session)

    def expire(self, session: Session) -> None:
        """Close a session whose time is over: queued jobs fail, running ones finish."""
        session.accepting = False
        for job in self._jobs(session):
            if job.status == QUEUED:
                self._scheduler.give_up(job, _TIME_IS_OVER)
        self._end(session)

    def clear(self) -> None:
        """Forget every session."""
        for session in self:
            self._forget_timers(session)
        self._sessions.clear()

    def noticed(self, job: Job) -> None:
        """Take note that a job was submitted, has started or has ended."""
        session = self._sessions.get(job.session_id or "")
        if session is None:
            return
        if job.status == RUNNING:
            self._started(session)
        elif job.final:
            self._ended(session, job)
        else:
            self._stop(session, "idle", "inactive")

    def _started(self, session: Session) -> None:
        session.last_started = self._calendar.now()
        if session.first(ACTIVE) is None:
            self._later(session, "over", session.max_ttl, self.expire)
        session.become(ACTIVE, session.last_started)
        self._stop(session, "idle", "inactive")

    def _ended(self, session: Session, job: Job) -> None:
        session.last_completed = self._calendar.now()
        session.charged += job.charged
        self._close_if_empty(session)
        if session.accepting and not self._jobs(session):
            self._wait_idle(session)

    def _wait_idle(self, session: Session) -> None:
        if session.state == ACTIVE:
            self._later(session, "inactive", session.interactive_ttl, self._rest)
        self._later(session, "idle", self._scheduler.settings.session_idle_seconds, self.close)

    def _rest(self, session: Session) -> None:
        session.become(INACTIVE, self._calendar.now())

    def _close_if_empty(self, session: Session) -> None:
        if not session.accepting and not self._jobs(session):
            self._end(session)

    def _end(self, session: Session) -> None:
        session.become(CLOSED, self._calendar.now())
        self._forget_timers(session)

    def _jobs(self, session: Session) -> list[Job]:
        """Return the session's jobs that are not final."""
        return [job for job in self._store.pending_jobs() if job.session_id == session.id]

    def _later(self, session: Session, what: str, seconds: float, then: Any) -> None:
        self._stop(session, what)
        loop = asyncio.get_running_loop()
        session.timers[what] = loop.call_later(seconds, then, session)

    @staticmethod
    def _stop(session: Session, *timers: str) -> None:
        for what in timers:
            if (timer := session.timers.pop(what, None)) is not None:
                timer.cancel()

    def _forget_timers(self, session: Session) -> None:
        self._stop(session, *list(session.timers))
