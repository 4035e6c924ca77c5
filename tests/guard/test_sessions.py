"""Sessions of programs that died: ended by the guardian, or by whoever recovers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from qawait.guard import journal
from qawait.guard.keeper import Guard
from qawait.jobs.calls import Calls
from qawait.jobs.host import TaskHost
from qawait.jobs.session import End, SessionDriver
from qawait.types import SessionDetails
from support.guardians import Lone, make_journal, rows, settled, where
from support.killing import Program, guardians, program, until
from support.open import opened

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator
    from support.emulated import Api


def open_session(api: Api, mode: str = "dedicated") -> str:
    """Open a session and return its id."""
    body = {"mode": mode, "backend": "ibm_manila"}
    return str(api.ask("POST", "/sessions", body).json["id"])


def told(session_id: str, *, keeps_jobs: bool = False, is_asked: bool = False) -> dict[str, Any]:
    """Return the message about a session that a parent left open."""
    return {"session": {"id": session_id, "keeps_jobs": keeps_jobs, "is_asked": is_asked}}


def asked(emu: Emulator) -> list[str]:
    """Return the requests about sessions, after the openings."""
    entries = [f"{entry.method} {entry.route}" for entry in emu.ledger()]
    return [one for one in entries if "/sessions" in one and one != "POST /sessions"]


# --- the guardian by itself ---------------------------------------------------------------------


def test_an_open_session_is_cancelled(emu: Emulator, api: Api, tmp_path: Path) -> None:
    """One request ends it, and the journal is told."""
    session = open_session(api)
    path = tmp_path / "journal.sqlite3"
    make_journal(path, f"session:{session}")
    assert settled(emu, api, told(session), journal=path) == 0
    assert asked(emu) == ["DELETE /sessions/{id}/close"]
    assert rows(path) == {f"session:{session}": (session, "NONE", "CLOSED")}


@pytest.mark.usefixtures("held")
def test_one_whose_jobs_are_to_go_on_is_closed(emu: Emulator, api: Api) -> None:
    """A session with a detached job takes no more jobs, and the job stays queued."""
    session = open_session(api)
    job = api.submit(session_id=session)
    assert settled(emu, api, told(session), told(session, keeps_jobs=True)) == 0
    assert asked(emu) == ["PATCH /sessions/{id}"]
    assert emu.job(job).live
    assert not emu.sessions()[0].accepting


def test_one_that_was_ended_is_left_alone(emu: Emulator, api: Api) -> None:
    """A session of which the parent said that it has ended is not asked for."""
    session = open_session(api)
    assert settled(emu, api, told(session), {"session_end": {"id": session}}) == 0
    assert asked(emu) == []


@pytest.mark.parametrize(("when", "requests"), [("before", 3), ("after", 2)])
def test_a_lost_answer_is_settled_by_a_query(
    emu: Emulator, api: Api, when: str, requests: int
) -> None:
    """A second request is sent only if the session is seen to take jobs still."""
    session = open_session(api)
    emu.route("DELETE /sessions/{id}/close").reset(when=when)
    assert settled(emu, api, told(session)) == 0
    assert len(asked(emu)) == requests
    assert emu.sessions()[0].cancels == 1


def test_one_that_its_parent_was_ending_is_looked_at_first(emu: Emulator, api: Api) -> None:
    """The parent's own request may have ended it; if it has not, one more is sent."""
    ended, open_ = open_session(api), open_session(api)
    assert api.ask("DELETE", f"/sessions/{ended}/close").status == 204
    assert settled(emu, api, told(ended, is_asked=True), told(open_, is_asked=True)) == 0
    assert [session.cancels for session in emu.sessions()] == [1, 1]


def test_one_that_is_gone_is_settled(emu: Emulator, api: Api) -> None:
    """A session that the service does not know counts as ended."""
    assert settled(emu, api, told("11111111-2222")) == 0


def test_a_refusal_is_left_to_the_journal(emu: Emulator, api: Api) -> None:
    """A session that may not be ended is asked once, and left to whoever recovers."""
    session = open_session(api)
    emu.route("DELETE /sessions/{id}/close").fail(403, times=None)
    assert settled(emu, api, told(session)) == 1
    assert asked(emu) == ["DELETE /sessions/{id}/close"]


def test_nonsense_is_ignored(emu: Emulator, api: Api) -> None:
    """Messages of another form change nothing."""
    api.credentials()
    guardian = Lone()
    guardian.tell(
        {"conf": where(emu).message()},
        {"token": api.token},
        {"session": {"id": 5, "keeps_jobs": True}},
        {"session": {"id": None}},
        {"session_end": {"id": "never told"}},
    )
    assert guardian.end() == 0
    assert asked(emu) == []


# --- real programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(emu: Emulator, number: int) -> None:
    """A program stopped by a signal leaves no job running and no session open."""
    with program(emu, "wait", 2, "--session") as victim:
        victim.wait_submitted()
        victim.stop(number)
        assert_nothing_left(emu)


@pytest.mark.parametrize("how", ["segfault", "return", "closed-loop"])
def test_ends_from_within(emu: Emulator, how: str) -> None:
    """A program that ends, or loses its loop, in a session leaves none open either."""
    with program(emu, how, 2, "--session") as victim:
        victim.wait_submitted()
        assert_nothing_left(emu)


@pytest.mark.anyio
async def test_a_guardian_that_takes_over_is_told() -> None:
    """All that a new guardian is told names each open session, and none that has ended."""
    guard = Guard(url="u", instance="i", owner=None, journal=None, guardian=None)
    session = SessionDriver(AsyncMock(), TaskHost(), Calls(lambda: 0.5))
    session.attach(SessionDetails(id="S", backend="ibm_fez"))
    guard.note_session(session)
    assert list(guard.replay()) == [told("S")]
    session.done = End.CLOSE
    guard.note_session(session)
    assert list(guard.replay()) == []
    assert guard.is_idle


def assert_nothing_left(emu: Emulator) -> None:
    """Check that jobs and session end soon, none of them asked twice."""
    until(lambda: emu.sessions() and not emu.open_sessions() and not emu.live(), 15)
    assert all(job.cancels <= 1 for job in emu.jobs())
    assert [session.closes + session.cancels for session in emu.sessions()] == [1]


# --- recovery -----------------------------------------------------------------------------------


def left_behind(emu: Emulator) -> None:
    """Leave a session with a job whose program and guardian are dead."""
    with program(emu, "wait", 1, "--session") as victim:
        victim.wait_submitted()
        kill_both(victim)
    assert len(emu.open_sessions()) == 1


def kill_both(victim: Program) -> None:
    """Kill a program and its guardian so that neither can settle anything."""
    os.kill(victim.process.pid, signal.SIGSTOP)
    for pid in guardians(victim.process.pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not guardians(victim.process.pid), 5)
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.process.wait(5)


@pytest.mark.anyio
async def test_recover_ends_sessions(emu: Emulator, state: Path) -> None:
    """`client.recover()` ends a session that two deaths left open, and takes it down."""
    left_behind(emu)
    async with opened(emu) as client:
        listed = await client.recover("list")
        assert sorted(left.outcome for left in listed) == ["found", "found"]
        assert len(emu.open_sessions()) == 1
        found = await client.recover()
        outcomes = {left.tag.startswith("session:"): left.outcome for left in found}
        assert outcomes[True] == "closed"
        assert await client.recover() == []
    assert emu.open_sessions() == []
    assert emu.live() == []
    assert journal.unsettled(state / "journal.sqlite3") == []


@pytest.mark.anyio
async def test_recover_finds_what_has_ended(emu: Emulator) -> None:
    """A session that the service has closed meanwhile is settled without a request to end it."""
    left_behind(emu)
    emu.expire_session(emu.sessions()[0].id)
    async with opened(emu) as client:
        found = await client.recover()
    assert "already final" in {left.outcome for left in found if left.tag.startswith("session:")}
    assert emu.sessions()[0].cancels == 0
