"""What a panel does to jobs and callers: nothing but what they ask for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

import qawait
from qawait import limits
from qawait.panels import terminal
from qawait.panels.terminal import TerminalView
from qawait.types import JobStatus, Stage
from support.emulated import FLIP
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.client import Client
    from qawait.emulator import Emulator
    from qawait.panels.board import Board

pytestmark = pytest.mark.anyio
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 16]], "options": {}, "version": 2}


class Recorder:
    """Keeps the stages that were shown."""

    made: list[Recorder]

    def __init__(self, stop: Callable[[], object], board: Board) -> None:
        self.stop = stop
        self.board = board
        self.shown: list[tuple[Stage, ...]] = []
        self.is_closed = False
        self.made.append(self)

    async def show(self, board: Board) -> None:
        """Take down what there is to be seen."""
        self.shown.append(tuple(row.stage for row in board.rows))

    async def close(self, board: Board) -> None:
        """Take down the last of it."""
        await self.show(board)
        self.is_closed = True


class Failing(Recorder):
    """Fails whenever something is to be shown."""

    async def show(self, board: Board) -> None:
        """Fail, after a try."""
        self.shown.append(())
        raise ZeroDivisionError(board)


@pytest.fixture(autouse=True)
def views(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """Show panels to recorders, and give those."""
    Recorder.made = []
    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: Recorder)
    return Recorder.made


@pytest.fixture(autouse=True)
def held(emu: Emulator) -> None:
    """Let every job wait in the queue until it is let go."""
    emu.settings(execute=False)
    emu.hold()


async def submit(client: Client, **options: Any) -> qawait.Job[Any]:
    """Submit a job that goes on until it is let go."""
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila", **options)


async def test_awaiting_shows_jobs_until_they_end(emu: Emulator, views: list[Recorder]) -> None:
    """An awaited panel shows the end of each job and returns the statuses in their order."""
    async with opened(emu) as client:
        jobs = [await submit(client), await submit(client)]
        await jobs[1].cancel()
        emu.release()
        assert await qawait.panel(jobs) == [JobStatus.DONE, JobStatus.CANCELLED]
    [view] = views
    assert view.shown[-1] == (Stage.DONE, Stage.CANCELLED)
    assert view.is_closed


async def test_a_cancelled_await_cancels_once(emu: Emulator, views: list[Recorder]) -> None:
    """A cancellation of whoever awaits a panel is one cancel of the job."""
    async with opened(emu) as client:
        job = await submit(client)
        with anyio.move_on_after(0.1):
            await qawait.panel(job)
    assert views[0].is_closed
    assert [job.cancels for job in emu.jobs()] == [1]


async def test_leaving_the_block_leaves_the_job_alone(emu: Emulator, views: list[Recorder]) -> None:
    """The end of an `async with` ends the panel only."""
    async with opened(emu) as client:
        job = await submit(client)
        async with qawait.panel(job):
            await anyio.lowlevel.checkpoint()
        assert views[0].is_closed
        assert emu.jobs()[0].cancels == 0
        assert job.status is JobStatus.QUEUED


async def test_an_error_in_the_block_passes_as_it_is(emu: Emulator) -> None:
    """What is raised in the block is raised by it, in no group."""
    async with opened(emu) as client:
        with pytest.raises(LookupError, match="mine"):
            async with qawait.panel(await submit(client)):
                raise LookupError("mine")


async def test_errors_in_a_view_reach_nobody(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a view that fails each time, the job ends as it would, and so does the await."""
    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: Failing)
    async with opened(emu) as client:
        job = await submit(client)
        async with client.panel():
            emu.release()
            assert await qawait.panel(job) == [JobStatus.DONE]


async def test_a_view_that_cannot_be_made_is_no_job_s_business(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the view can be made, the await waits for the jobs all the same."""

    def broken(*_: object) -> Recorder:
        raise OSError("no display")

    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: broken)
    async with opened(emu) as client:
        job = await submit(client)
        emu.release()
        assert await qawait.panel(job) == [JobStatus.DONE]


async def test_stop_cancels_each_live_job_once(emu: Emulator, views: list[Recorder]) -> None:
    """The button, pressed twice, is one cancel for each job that has not ended."""
    async with opened(emu) as client:
        jobs = [await submit(client) for _ in range(2)]
        await jobs[0].cancel()
        async with qawait.panel(jobs):
            views[0].stop()
            views[0].stop()
            await client.wait_all(jobs)
    assert [job.cancels for job in emu.jobs()] == [1, 1]


async def test_stop_may_come_from_another_thread(
    emu: Emulator, views: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A click that is handled beside the loop takes effect on the loop's thread."""
    threads = []
    stop = qawait.Panel.stop

    def stopped(panel: qawait.Panel) -> None:
        threads.append(threading.current_thread())
        stop(panel)

    monkeypatch.setattr(qawait.Panel, "stop", stopped)
    async with opened(emu) as client:
        job = await submit(client)
        async with qawait.panel(job):
            threading.Thread(target=views[0].stop).start()
            await job.wait()
    assert threads == [threading.current_thread()]
    assert [job.cancels for job in emu.jobs()] == [1]


async def test_stop_is_carried_out_though_nothing_can_be_shown(
    emu: Emulator, views: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button of a panel whose picture fails still cancels the job, once."""
    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: Failing)
    async with opened(emu) as client:
        job = await submit(client)
        async with qawait.panel(job):
            while not views[0].shown:  # noqa: ASYNC110 - a view tells nobody
                await anyio.sleep(0.01)
            views[0].stop()
            await job.wait()
    assert [job.cancels for job in emu.jobs()] == [1]


async def test_a_client_s_panel_shows_what_is_submitted_in_it(
    emu: Emulator, views: list[Recorder]
) -> None:
    """Jobs from before and those that come are shown."""
    async with opened(emu) as client:
        first = await submit(client)
        async with client.panel():
            jobs = [first, await submit(client)]
            emu.release()
            await client.wait_all(jobs)
        await (await submit(client)).cancel()
    assert views[0].shown[-1] == (Stage.DONE, Stage.DONE)


async def test_a_private_result_is_left_to_its_owner(emu: Emulator) -> None:
    """The panel does not read a result that can be read once."""
    async with opened(emu) as client:
        job = await submit(client, private=True)
        emu.release()
        await qawait.panel(job)
        assert emu.ledger("GET", "/jobs/{id}/results") == []


async def test_a_result_is_downloaded_once(emu: Emulator) -> None:
    """The result that a panel has outlined is not downloaded again for its owner."""
    async with opened(emu) as client:
        job = await submit(client)
        emu.release()
        await qawait.panel(job)
        await job
        assert len(emu.ledger("GET", "/jobs/{id}/results")) == 1


async def test_closing_the_client_ends_its_panels(emu: Emulator, views: list[Recorder]) -> None:
    """A panel that was started and never left is closed with its client."""
    async with opened(emu) as client:
        panel = qawait.panel(await submit(client))
        await panel.__aenter__()
    assert views[0].is_closed
    await panel.aclose()


async def test_elsewhere_it_shows_nothing_and_asks_nothing(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal or notebook a panel causes no request and starts nothing."""
    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: None)
    async with opened(emu) as one, opened(emu) as other:
        job = await other.attach((await submit(one)).id)
        asked = len(emu.ledger("GET", "/jobs/{id}"))
        async with qawait.panel(job):
            assert not job.driver.is_followed
        assert len(emu.ledger("GET", "/jobs/{id}")) == asked


async def test_a_terminal_that_takes_nothing_does_not_hold_up_the_loop(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write to the terminal blocks, jobs go on; leaving does not wait for it."""
    monkeypatch.setattr(limits, "PANEL_CLOSE_SECONDS", 0.05)
    stopped, go_on, went_on = threading.Event(), threading.Event(), threading.Event()

    class Stopped(TerminalView):
        def _paint(self, *_: Any, **__: Any) -> None:
            stopped.set()
            go_on.wait(5)
            went_on.set()

    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: Stopped)
    async with opened(emu) as client:
        job = await submit(client)
        async with qawait.panel(job):
            while not stopped.is_set():  # noqa: ASYNC110 - it is set on another thread
                await anyio.sleep(0.01)
            emu.release()
            assert await job.wait() is JobStatus.DONE
        assert not went_on.is_set()
        go_on.set()


@pytest.mark.parametrize("strange", [[], "d0", [1], None])
async def test_what_is_no_job_is_refused(strange: Any) -> None:
    """A panel of nothing, or of something else, says what it is for."""
    with pytest.raises(qawait.ConfigError, match="panel"):
        qawait.panel(strange)


async def test_rich_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal without rich the error names the extra."""
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(qawait.ConfigError, match=r"qawait\[console\]"):
        terminal.view()


@pytest.mark.asyncio_only
async def test_a_task_cancelled_while_leaving_is_cancelled(emu: Emulator) -> None:
    """A panel swallows no cancellation."""
    async with opened(emu) as client:
        job = await submit(client)

        async def show() -> None:
            async with qawait.panel(job):
                await asyncio.sleep(60)

        task = asyncio.ensure_future(show())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
