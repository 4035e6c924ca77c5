"""Sessions and batches: what becomes of them and of their jobs, whatever ends their block."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import qawait
from qawait import ConfigError, JobStatus, SessionStatus, UnknownOutcomeError
from support.open import bell, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from qawait import Client, Job, Session
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
ENDLESS = 600
MOMENTS = 24


@pytest.fixture(autouse=True)
def canned(emu: Emulator) -> None:
    """Answer jobs without executing them."""
    emu.settings(execute=False)


async def submit(session: Session, **options: Any) -> Job[Any]:
    """Submit a job that needs no preparation."""
    return await session.submit_program("sampler", PARAMS, **options)


def nothing_left(emu: Emulator) -> bool:
    """Tell whether no job is live, no session open, and each was ended at most once."""
    sessions, jobs = emu.sessions(), emu.jobs()
    return (
        not any(job.live for job in jobs)
        and {session.state for session in sessions} <= {"closed"}
        and all(session.closes + session.cancels <= 1 for session in sessions)
        and all(job.cancels <= 1 for job in jobs)
    )


async def endless(client: Client) -> None:
    """Wait in a session for a job that does not end."""
    async with client.session("ibm_manila") as session:
        await (await submit(session))


async def seconds_of_a_pass(client: Client) -> float:
    """Return how long it takes to open a session, send a job and end both, once all is warm."""
    begun = 0.0
    for _ in range(2):
        begun = anyio.current_time()
        with contextlib.suppress(LookupError):
            async with client.session("ibm_manila") as session:
                await submit(session)
                raise LookupError
    return anyio.current_time() - begun


async def cancelled_when_asked(
    emu: Emulator, work: Callable[[], Coroutine[Any, Any, None]], request: str
) -> None:
    """Cancel work as soon as a request of it has reached the service."""
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        with anyio.fail_after(20):
            while not emu.ledger(*request.split()):  # noqa: ASYNC110 - it is another process
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["session", "batch"])
async def test_jobs_run_in_it_and_it_is_closed(emu: Emulator, kind: str) -> None:
    """Sampler, estimator, submit and run need no backend, and carry the session's id."""
    emu.settings(execute=True)
    async with opened(emu) as client:
        async with getattr(client, kind)("ibm_manila", max_time="1m 30s") as session:
            result = await session.run(bell(), shots=8)
            job = await session.sampler(shots=8).submit(bell())
            await job
        [seen] = emu.sessions()
        assert (seen.id, seen.max_ttl, seen.backend) == (session.id, 90, "ibm_manila")
        assert seen.mode == session.mode == {"session": "dedicated", "batch": "batch"}[kind]
        assert {job.session_id for job in emu.jobs()} == {session.id}
        assert sum(result[0].data.meas.get_counts().values()) == 8
        assert (seen.state, seen.closes, seen.cancels) == ("closed", 1, 0)


async def test_a_clean_exit_lets_queued_jobs_run(emu: Emulator) -> None:
    """The session is closed once, and a job that was queued has its result afterwards."""
    emu.hold()
    async with opened(emu) as client:
        async with client.session("ibm_manila") as session:
            job = await submit(session)
        assert await session.status() is SessionStatus.PENDING
        with pytest.raises(ConfigError, match="has been closed"):
            await submit(session)
        emu.release()
        assert await job.wait() is JobStatus.DONE
        assert await session.status() is SessionStatus.CLOSED
    assert nothing_left(emu)


async def test_an_exception_ends_session_and_jobs(emu: Emulator) -> None:
    """Running and queued jobs are ended, each by one cancel at most, and the error goes on."""
    emu.settings(lanes=1, run_seconds=ENDLESS)
    async with opened(emu) as client:
        with pytest.raises(LookupError) as caught:
            async with client.session("ibm_manila") as session:
                jobs = [await submit(session) for _ in range(3)]
                raise LookupError
        assert nothing_left(emu)
        assert [(one.closes, one.cancels) for one in emu.sessions()] == [(0, 1)]
        assert {await job.wait() for job in jobs} == {JobStatus.CANCELLED}
    assert any(session.id in note for note in caught.value.__notes__)


async def test_detached_jobs_survive_an_exception(emu: Emulator) -> None:
    """With a detached job the session is closed and not cancelled: the job runs on."""
    emu.hold()
    async with opened(emu) as client:
        with pytest.raises(LookupError):
            async with client.session("ibm_manila") as session:
                kept = await submit(session, on_cancel="detach")
                dropped = await submit(session)
                raise LookupError
        assert [job.id for job in emu.live()] == [kept.id]
        assert emu.job(dropped.id).cancels == 1
        assert [(one.closes, one.cancels) for one in emu.sessions()] == [(1, 0)]
        emu.release()
        assert await kept.wait() is JobStatus.DONE


async def test_cancelling_at_any_moment_leaves_nothing(emu: Emulator) -> None:
    """Whenever the block is cancelled, no job and no session is left, and none is ended twice."""
    emu.settings(run_seconds=ENDLESS)
    async with opened(emu) as client:
        whole = await seconds_of_a_pass(client)
        for moment in range(MOMENTS):
            with anyio.move_on_after(1.5 * whole * moment / MOMENTS):
                await endless(client)
        assert len(emu.sessions()) > 2
        assert nothing_left(emu)


async def test_a_cancelled_clean_exit_closes_all_the_same(emu: Emulator) -> None:
    """A cancellation that strikes while the session is being closed does not leave it open."""
    emu.route("PATCH /sessions/{id}").delay(0.3, when="before")
    async with opened(emu) as client:

        async def open_and_leave() -> None:
            async with client.session("ibm_manila"):
                pass

        await cancelled_when_asked(emu, open_and_leave, "PATCH /sessions/{id}")
        assert nothing_left(emu)


async def test_leaving_the_client_inside_a_session(emu: Emulator) -> None:
    """A client that is closed inside the block ends session and jobs; the block is left quietly."""
    emu.settings(run_seconds=ENDLESS)
    client = await opened(emu)
    async with client.session("ibm_manila") as session:
        await submit(session)
        await client.aclose()
    assert nothing_left(emu)


async def test_leaving_the_client_ends_what_is_left_open(emu: Emulator) -> None:
    """A session opened by `await` is ended with its client, and cancelled only once."""
    emu.settings(run_seconds=ENDLESS)
    async with opened(emu) as client:
        session = await client.session("ibm_manila")
        await submit(session)
    assert nothing_left(emu)
    assert [one.cancels for one in emu.sessions()] == [1]


async def test_closing_twice_asks_once(emu: Emulator) -> None:
    """`close` again, and the exit after it, change nothing."""
    async with opened(emu) as client:
        async with client.batch("ibm_manila") as session:
            await session.close()
            await session.close()
        assert [one.closes for one in emu.sessions()] == [1]


async def test_cancel_drops_what_is_queued(emu: Emulator) -> None:
    """`cancel` ends the queued jobs at the service, and a running one finishes."""
    emu.settings(lanes=1)
    emu.hold(stage="running")
    async with opened(emu) as client, client.session("ibm_manila") as session:
        running, queued = await submit(session), await submit(session)
        emu.wait_for(running.id, "Running")
        await session.cancel()
        assert await queued.wait() is JobStatus.CANCELLED
        assert emu.job(running.id).live
        assert await session.status() is SessionStatus.CLOSING
        emu.release()
        assert await running.wait() is JobStatus.DONE
    assert [(one.closes, one.cancels) for one in emu.sessions()] == [(0, 1)]


async def test_details(emu: Emulator) -> None:
    """Details are the service's: seconds, times and state."""
    async with opened(emu) as client:
        async with client.session("ibm_manila", max_time=60) as session:
            await (await submit(session)).wait()
            said = await session.details()
        assert (said.id, said.backend, said.mode) == (session.id, "ibm_manila", "dedicated")
        assert (said.max_time, said.interactive_timeout) == (60, 60)
        assert said.started_at is not None
        assert said.status is SessionStatus.IN_PROGRESS
        assert said.closed_at is None


async def test_attach(emu: Emulator) -> None:
    """An attached session takes jobs and goes on when its client is left."""
    async with opened(emu) as one, opened(emu) as other, one.session("ibm_manila") as session:
        found = await other.attach_session(session.id)
        job = await submit(found)
        assert await job.wait() is JobStatus.DONE
        assert emu.job(job.id).session_id == session.id == found.id
        await other.aclose()
        assert emu.open_sessions()
    assert nothing_left(emu)


async def test_an_attached_session_is_closed_by_its_block(emu: Emulator) -> None:
    """`async with` around an attached session makes it the client's own."""
    async with opened(emu) as client:
        session_id = (await client.session("ibm_manila", on_cancel="detach")).id
        async with opened(emu) as other, await other.attach_session(session_id) as found:
            assert found.backend == "ibm_manila"
        assert emu.open_sessions() == []


async def test_attaching_to_what_is_not_there(emu: Emulator) -> None:
    """An id that the instance does not have is the service's 404; a strange one is not sent."""
    async with opened(emu) as client:
        with pytest.raises(qawait.RejectedError) as caught:
            await client.attach_session("11111111-2222-3333-4444-555555555555")
        assert caught.value.status == 404
        with pytest.raises(ConfigError, match="not a session id"):
            await client.attach_session("../jobs")


async def test_a_session_of_a_closed_service_session(emu: Emulator) -> None:
    """A job for a session whose time is over is refused with the service's own words."""
    async with opened(emu) as client, client.session("ibm_manila") as session:
        emu.expire_session(session.id)
        with pytest.raises(qawait.RejectedError, match="is closed") as caught:
            await submit(session)
        assert caught.value.code == 4001


async def test_jobs_are_asked_for_by_their_session(emu: Emulator) -> None:
    """One question is asked for all jobs of a session, and it names the session."""
    emu.settings(run_seconds=1)
    async with opened(emu) as client, client.session("ibm_manila") as session:
        jobs = [await submit(session) for _ in range(4)]
        assert {await job.wait() for job in jobs} == {JobStatus.DONE}
    listings = emu.ledger("GET", "/jobs")
    assert listings
    assert all(f"session_id={session.id}" in entry.query for entry in listings)


# --- opening -------------------------------------------------------------------------------------


async def test_a_lost_answer_to_the_opening_is_told_honestly(emu: Emulator) -> None:
    """It is not sent again, and the error says what may be there and what becomes of it."""
    emu.route("POST /sessions").reset(when="after")
    async with opened(emu) as client:
        with pytest.raises(UnknownOutcomeError, match=r"may be open.* nothing is charged"):
            async with client.session("ibm_manila"):
                raise AssertionError
    assert len(emu.ledger("POST", "/sessions")) == 1


async def test_an_opening_that_was_not_sent_is_tried_again(emu: Emulator) -> None:
    """A refusal for now has no effect, so the opening is sent again and one session is made."""
    emu.route("POST /sessions").throttle(retry_after=0)
    async with opened(emu) as client, client.session("ibm_manila"):
        assert len(emu.ledger("POST", "/sessions")) == 2
    assert nothing_left(emu)


async def test_a_cancellation_while_it_is_opened(emu: Emulator) -> None:
    """The caller leaves when the session that came of it has been ended, once."""
    emu.route("POST /sessions").delay(0.3, when="after")
    async with opened(emu) as client:

        async def open_() -> None:
            await client.session("ibm_manila")

        await cancelled_when_asked(emu, open_, "POST /sessions")
        assert [one.cancels for one in emu.sessions()] == [1]
        assert nothing_left(emu)


async def test_a_cancellation_before_it_is_sent(emu: Emulator) -> None:
    """A throttled opening that nobody waits for any more is not sent again."""
    emu.route("POST /sessions").throttle(retry_after=30)
    async with opened(emu) as client:

        async def open_() -> None:
            await client.session("ibm_manila")

        with anyio.fail_after(10):
            await cancelled_when_asked(emu, open_, "POST /sessions")
    assert emu.sessions() == []
    assert len(emu.ledger("POST", "/sessions")) == 1


# --- ending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_the_end_is_settled_by_a_query(emu: Emulator, when: str) -> None:
    """A second request goes out only if the session is still seen to take jobs."""
    emu.route("PATCH /sessions/{id}").reset(when=when)
    async with opened(emu) as client, client.session("ibm_manila"):
        pass
    assert len(emu.ledger("PATCH", "/sessions/{id}")) == {"before": 2, "after": 1}[when]
    assert nothing_left(emu)


async def test_a_session_that_cannot_be_closed_is_told_and_tried_again(emu: Emulator) -> None:
    """The exit raises the refusal, and leaving the client ends the session."""
    emu.route("PATCH /sessions/{id}").fail(403, times=None)
    async with opened(emu) as client:
        with pytest.raises(qawait.RejectedError, match="403"):
            async with client.session("ibm_manila"):
                pass
        assert emu.open_sessions()
    assert emu.open_sessions() == []


async def test_the_client_is_left_promptly_when_the_end_is_not_answered(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request to end a session that hangs holds the caller up for the bound only."""
    monkeypatch.setattr("qawait.limits.CANCEL_BOUND_SECONDS", 0.2)
    hanging = emu.route("DELETE /sessions/{id}/close").hang()
    client = await opened(emu, guardian=False)
    await client.session("ibm_manila")
    with anyio.fail_after(8):
        await client.aclose()
    hanging.release()


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "max_time", [0, -1, True, "", "1 day", "h", float("nan"), float("inf"), [60], "0s"]
)
async def test_a_time_that_makes_no_sense(emu: Emulator, max_time: Any) -> None:
    """`max_time` is checked before anything is sent."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="max_time"):
            client.session("ibm_manila", max_time=max_time)


async def test_jobs_for_another_backend(emu: Emulator) -> None:
    """A session refuses a job for another backend than its own."""
    async with opened(emu) as client, client.session("ibm_manila") as session:
        with pytest.raises(ConfigError, match="is on ibm_manila"):
            await submit(session, backend="ibm_fez")
        await submit(session, backend="ibm_manila")


async def test_a_backend_that_is_not_there(emu: Emulator) -> None:
    """An unknown backend is found out before a session is opened."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="did you mean"):
            await client.session("ibm_manilla")
    assert emu.ledger("POST", "/sessions") == []


async def test_a_session_is_opened_once(emu: Emulator) -> None:
    """A session that was opened cannot be opened again, and one that was not has no id."""
    async with opened(emu) as client:
        session = client.session("ibm_manila")
        with pytest.raises(ConfigError, match="not open"):
            _ = session.id
        async with session:
            pass
        with pytest.raises(ConfigError, match="opened before"):
            await session


async def test_a_session_that_was_awaited_can_be_entered(emu: Emulator) -> None:
    """`async with` around an open session opens no other, and closes it."""
    async with opened(emu) as client:
        session = await client.session("ibm_manila")
        async with session as same:
            assert same is session
        assert [one.closes for one in emu.sessions()] == [1]


async def test_outside_a_session_a_backend_is_needed(emu: Emulator) -> None:
    """A client's submit without a backend says what is missing."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match="backend must be a name"):
            await client.submit_program("sampler", PARAMS)


# --- asyncio -------------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_native_cancellation_at_any_moment(emu: Emulator) -> None:
    """`task.cancel()`, once or twice, leaves no job and no session either."""
    emu.settings(run_seconds=ENDLESS)
    async with opened(emu) as client:
        whole = await seconds_of_a_pass(client)
        for moment in range(MOMENTS):
            task = asyncio.ensure_future(endless(client))
            await asyncio.sleep(1.5 * whole * moment / MOMENTS)
            task.cancel()
            if moment % 2:
                await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(emu.sessions()) > 2
        assert nothing_left(emu)
