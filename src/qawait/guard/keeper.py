"""Tells journal and guardian of each job and session: one truth for whoever has to settle it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qawait.guard.journal import CLOSED, SESSION, Row
from qawait.jobs.lifecycle import CancelState, JobState
from qawait.jobs.session import End

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qawait.guard.guardian import Guardian
    from qawait.guard.journal import Journal
    from qawait.guard.owner import Owner
    from qawait.jobs.driver import Driver
    from qawait.jobs.session import SessionDriver
    from qawait.secret import Secret

DETACHED = "DETACHED"
"""The outcome of a job that its client left running on purpose."""


class Guard:
    """The `Keeper` and the `SessionKeeper` of one client.

    The journal takes down every job; the guardian is told only of those that are
    to be cancelled when this process dies. `journal` and `guardian` are `None`
    where the user goes on without.
    """

    def __init__(
        self,
        *,
        url: str,
        instance: str,
        owner: Owner | None,
        journal: Journal | None,
        guardian: Guardian | None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.journal = journal
        self.guardian = guardian
        self._url = url
        self._instance = instance
        self._owner = owner
        self._wall_clock = wall_clock
        self._open: set[Driver] = set()
        self._sessions: set[SessionDriver] = set()
        self._token: Secret | None = None

    async def intend(self, driver: Driver) -> None:
        """Return once the intent is on disk and with the guardian.

        Raises:
            GuardianError: the guardian cannot be started.
        """
        if driver.on_cancel == "cancel":
            self._open.add(driver)
            await self._entrust(driver)
        if self.journal is not None:
            await self.journal.keep(self._row(driver))

    async def _entrust(self, driver: Driver) -> None:
        if self.guardian is not None:
            await self.guardian.started()
            self.guardian.tell({"open": {"tag": key_of(driver), "id": None}})
            await self.guardian.flush()

    def note(self, driver: Driver) -> None:
        """Take down where the job and its cancel are now."""
        if driver.state.job is JobState.SUBMITTING and driver.state.submits == 1:
            return  # `intend` is about to
        if driver.request is None and driver.on_cancel == "detach":
            return  # somebody else's job, which nobody asked us to settle
        if self.journal is not None:
            self.journal.put(self._row(driver))
        if driver.on_cancel == "cancel":
            self._tell(driver)

    def leave_running(self, driver: Driver) -> None:
        """Take down that a live job goes on although its client ends."""
        if self.journal is not None and driver.request is not None:
            self.journal.put(self._row(driver, outcome=DETACHED))

    @property
    def is_idle(self) -> bool:
        """Whether the guardian has nothing left to settle."""
        return not self._open and not self._sessions

    def push_token(self, token: Secret) -> None:
        """Give the guardian the token that is valid now."""
        self._token = token
        if self.guardian is not None:
            self.guardian.push_token(token)

    def replay(self) -> Iterator[dict[str, Any]]:
        """Return all that a new guardian has to be told."""
        if self._token is not None:
            yield {"token": self._token.reveal()}
        for driver in tuple(self._open):
            tag = key_of(driver)
            yield {"open": {"tag": tag, "id": driver.state.job_id}}
            if driver.state.cancel is not CancelState.NONE:
                yield {"cancel": {"tag": tag, "state": driver.state.cancel.value}}
        yield from map(_session_message, tuple(self._sessions))

    # --- sessions --------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Return once the guardian can be told of a session.

        Raises:
            GuardianError: it cannot be started.
        """
        if self.guardian is not None:
            await self.guardian.started()

    async def keep_session(self, session: SessionDriver) -> None:
        """Return once an open session is on disk and with the guardian."""
        self._tell_session(session)
        if self.guardian is not None:
            await self.guardian.flush()
        if self.journal is not None:
            await self.journal.keep(self._session_row(session))

    def note_session(self, session: SessionDriver) -> None:
        """Take down whether a session is open still, and how it is to be ended."""
        if session.opened is None:
            return
        self._tell_session(session)
        if self.journal is not None:
            self.journal.put(self._session_row(session))

    def _tell_session(self, session: SessionDriver) -> None:
        if session.done is End.NONE:
            self._sessions.add(session)
        else:
            self._sessions.discard(session)
        if self.guardian is not None:
            self.guardian.tell(_session_message(session))

    def _session_row(self, session: SessionDriver) -> Row:
        session_id = session.opened.id if session.opened else ""
        outcome = None if session.done is End.NONE else CLOSED
        return Row(
            tag=f"{SESSION}{session_id}",
            owner=self._owner.name if self._owner else "",
            url=self._url,
            instance=self._instance,
            backend=(session.opened and session.opened.backend) or "",
            on_cancel="detach" if session.keeps_jobs else "cancel",
            intended=self._wall_clock(),
            job_id=session_id,
            outcome=outcome,
            ended=self._wall_clock() if outcome else None,
        )

    def _tell(self, driver: Driver) -> None:
        self._open.add(driver)
        for message in _messages(driver):
            if "close" in message:
                self._open.discard(driver)
            if self.guardian is not None:
                self.guardian.tell(message)

    def _row(self, driver: Driver, *, outcome: str | None = None) -> Row:
        state = driver.state
        if is_settled(driver):
            outcome = state.job.value
        return Row(
            tag=key_of(driver),
            owner=self._owner.name if self._owner else "",
            url=self._url,
            instance=self._instance,
            backend=driver.request.backend if driver.request else "",
            on_cancel=driver.on_cancel,
            intended=self._wall_clock(),
            job_id=state.job_id,
            cancel=state.cancel.value,
            outcome=outcome,
            ended=self._wall_clock() if outcome else None,
        )


def _session_message(session: SessionDriver) -> dict[str, Any]:
    session_id = session.opened.id if session.opened else ""
    if session.done is not End.NONE:
        return {"session_end": {"id": session_id}}
    how = {"keeps_jobs": session.keeps_jobs, "is_asked": session.is_asked}
    return {"session": {"id": session_id, **how}}


def key_of(driver: Driver) -> str:
    """Return what journal and guardian know a job by: its submit's tag, or its id."""
    return driver.tag or f"id:{driver.job_id}"


def is_settled(driver: Driver) -> bool:
    """Whether there is certainly nothing left to settle.

    A job that was looked for in vain may still be running: it stays open.
    """
    return driver.is_ended and driver.state.job is not JobState.LOST


def _messages(driver: Driver) -> Iterator[dict[str, Any]]:
    tag, state = key_of(driver), driver.state
    if is_settled(driver):
        yield {"close": {"tag": tag}}
        return
    if driver.request is None:
        yield {"open": {"tag": tag, "id": state.job_id}}
    elif state.job_id is not None:
        yield {"live": {"tag": tag, "id": state.job_id}}
    if state.cancel in (CancelState.SENT, CancelState.UNKNOWN, CancelState.ACKED):
        yield {"cancel": {"tag": tag, "state": state.cancel.value}}
