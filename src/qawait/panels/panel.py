"""The panel: follows jobs by their updates and paints when something has changed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import anyio
import anyio.abc

from qawait import limits
from qawait.errors import ConfigError, QawaitError
from qawait.jobs import completed
from qawait.jobs.job import Job
from qawait.jobs.lifecycle import CancelState
from qawait.jobs.waiting import Signal
from qawait.panels.board import Board, Watched
from qawait.panels.outline import outline
from qawait.threads import in_thread, soon_in_loop
from qawait.types import CancelOutcome, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from qawait.jobs.driver import Driver
    from qawait.jobs.host import TaskHost
    from qawait.types import JobStatus

_log = logging.getLogger("qawait.panel")


class View(Protocol):
    """Where a panel is seen."""

    async def show(self, board: Board) -> None:
        """Show the board as it is now; the first call makes room for it."""
        ...

    async def close(self, board: Board) -> None:
        """Show the board for the last time and give the screen back."""
        ...


if TYPE_CHECKING:
    MakeView: TypeAlias = Callable[[Callable[[], object], Board], View]


class Panel:
    """Jobs as they go on, in a terminal or a notebook; in neither, it shows nothing.

    `async with` shows it while the block runs. `await` shows it until every job
    has ended and returns their statuses; a cancellation, by Ctrl-C or by
    interrupting the kernel, applies each job's policy, as for `await job`. As
    the value of a notebook's cell it is shown there until every job has ended.

    It is driven by `updates()`. What goes wrong in it is logged by type and
    reaches neither jobs nor callers.
    """

    def __init__(
        self,
        jobs: Iterable[Job[Any]],
        *,
        host: TaskHost,
        clock: Callable[[], float],
        view: MakeView | None,
        growing: set[Panel] | None = None,
    ) -> None:
        self._jobs: dict[Driver, Job[Any]] = {}
        self._rows: dict[Driver, Watched] = {}
        self._board = Board(clock)
        self._host = host
        self._make_view = view
        self._growing = growing
        self._group: anyio.abc.TaskGroup | None = None
        self._changed = Signal()
        self._version = 0
        self._followers = 0
        self._unwanted: list[Driver] = []
        self._is_leaving = False
        self._is_failing = False
        self._over: anyio.Event | None = None
        for job in jobs:
            self.add(job.driver)

    def __repr__(self) -> str:
        return f"<Panel {self._board.summary()}>"

    # --- how it is used --------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __await__(self) -> Generator[Any, Any, list[JobStatus]]:
        return self._until_ended().__await__()

    async def _until_ended(self) -> list[JobStatus]:
        async with self:
            await completed.wait_all(self._jobs.values(), seconds=math.inf)
            with anyio.move_on_after(limits.PANEL_OUTLINE_SECONDS):
                await self._changed.until(lambda: self._over is None or not self._followers)
        return [job.status for job in self._jobs.values()]

    def _ipython_display_(self) -> None:
        self._start()

    async def aclose(self) -> None:
        """Show the jobs as they are now for the last time; again does nothing."""
        self._is_leaving = True
        self._mark()
        if self._over is not None:
            with anyio.move_on_after(limits.PANEL_CLOSE_SECONDS, shield=True):
                await self._over.wait()

    def stop(self) -> None:
        """Cancel each job that has not ended, once; returns at once."""
        for driver, row in self._rows.items():
            if not driver.is_ended and not row.is_stopping:
                row.is_stopping = True
                self._unwanted.append(driver)
        self._mark()

    def add(self, driver: Driver) -> None:
        """Show one more job, unless it is shown already."""
        if driver in self._rows:
            return
        self._jobs[driver] = Job(driver)
        self._rows[driver] = row = Watched(entered=self._board.clock())
        row.backend = driver.request.backend if driver.request else None
        self._board.rows.append(row)
        self._follow(driver)
        self._mark()

    # --- behind it -------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._over is not None or self._make_view is None:
            return
        self._host.check()
        try:
            self._begin(self._make_view)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no job's business
            _log.warning("a panel could not be shown: %s", type(error).__name__)

    def _begin(self, make_view: MakeView) -> None:
        soon = soon_in_loop()  # a click may come on any thread
        view = make_view(lambda: soon(self.stop), self._board)
        self._over = anyio.Event()
        if self._growing is not None:
            self._growing.add(self)
        self._host.start_soon(partial(self._main, view, self._over))

    async def _main(self, view: View, over: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as self._group:
                for driver in self._jobs:
                    self._follow(driver)
                self._group.start_soon(self._obey)
                await self._paint(view)
                self._group.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("a panel failed with %s", type(error).__name__)
        finally:
            self._group = None
            if self._growing is not None:
                self._growing.discard(self)
            await self._close(view)
            over.set()

    async def _paint(self, view: View) -> None:
        while not self._is_done:
            painted = self._version
            await self._show(view)
            with anyio.move_on_after(self._board.pause()):
                await self._changed.until(partial(self._has_changed_since, painted))
            if not self._is_done:
                await anyio.sleep(limits.PANEL_PAINT_SECONDS)

    async def _show(self, view: View) -> None:
        """Show the board; the rest, the stop button too, goes on though that fails."""
        self._look_for_cancels()
        try:
            await view.show(self._board)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no job's business
            if not self._is_failing:
                _log.warning("a panel cannot be painted: %s", type(error).__name__)
            self._is_failing = True

    def _look_for_cancels(self) -> None:
        """Take note of cancels, whoever asked for them: they are no updates."""
        for driver, row in self._rows.items():
            row.is_stopping = row.is_stopping or driver.is_unwanted
            if driver.state.cancel is CancelState.ACKED:
                row.cancel = CancelOutcome.REQUESTED

    @property
    def _is_done(self) -> bool:
        is_complete = self._growing is None and not self._followers
        return self._is_leaving or is_complete

    def _has_changed_since(self, version: int) -> bool:
        return self._version != version

    def _mark(self) -> None:
        self._version += 1
        self._changed.set()

    async def _close(self, view: View) -> None:
        try:
            self._look_for_cancels()
            with anyio.move_on_after(limits.PANEL_CLOSE_SECONDS, shield=True):
                await view.close(self._board)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("a panel could not be closed: %s", type(error).__name__)

    def _follow(self, driver: Driver) -> None:
        if self._group is not None:
            self._followers += 1
            self._group.start_soon(self._followed, driver)

    async def _followed(self, driver: Driver) -> None:
        job, row = self._jobs[driver], self._rows[driver]
        try:
            async for update in job.updates():
                row.take(update, job.last_seen)
                self._mark()
            if row.stage is Stage.DONE and self._growing is None and len(self._jobs) == 1:
                row.outline = await _outlined(job)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("a panel lost sight of a job: %s", type(error).__name__)
        finally:
            self._followers -= 1
            self._mark()

    async def _obey(self) -> None:
        while True:
            await self._changed.until(lambda: bool(self._unwanted))
            self._cancel_unwanted()

    def _cancel_unwanted(self) -> None:
        """Hand the cancels to the client, with which they outlive the panel."""
        while self._unwanted:
            driver = self._unwanted.pop()
            if driver.shared.host.is_running:  # else the client's end has settled it
                driver.shared.host.start_soon(partial(self._cancel, driver, self._rows[driver]))

    async def _cancel(self, driver: Driver, row: Watched) -> None:
        try:
            row.cancel = await self._jobs[driver].cancel()
        except QawaitError as error:
            _log.warning("a job could not be cancelled: %s", type(error).__name__)
            row.is_stopping = False
        self._mark()


async def _outlined(job: Job[Any]) -> Any:
    """Return a finished job's outline; a private result is left for its owner to read."""
    if job.driver.is_private:
        return None
    result = await job.fetch()
    return await in_thread(lambda: outline(result))


def panel(jobs: Job[Any] | Iterable[Job[Any]]) -> Panel:
    """Return a live panel of a job, or of many as a table: in a terminal or a notebook.

    Use it by `async with`, by `await`, or as the value of a notebook's cell; see
    `Panel`. Where the output is neither a terminal nor a notebook it shows
    nothing. The panel of one job shows an outline of its result, which is
    downloaded for it; a private job's is not.

    Raises:
        ConfigError: there is no job; or `rich` is needed and not installed.
    """
    given = [jobs] if isinstance(jobs, Job) else _listed(jobs)
    shared = given[0].driver.shared
    return Panel(given, host=shared.host, clock=shared.wall_clock, view=usual_view())


def _listed(jobs: Any) -> list[Job[Any]]:
    given: list[Any] = list(jobs) if isinstance(jobs, Iterable) else [jobs]
    if not given:
        raise ConfigError("a panel needs at least one job; client.panel() shows those to come")
    for job in given:
        if not isinstance(job, Job):
            raise ConfigError(f"a panel is of jobs, as submit() returns them, not {job!r:.100}")
    return given


def usual_view() -> MakeView | None:
    """Return what makes the view that fits: a notebook's, a terminal's or, with neither, none.

    Raises:
        ConfigError: there is a terminal, and `rich` is not installed.
    """
    from qawait.panels import notebook, terminal

    if notebook.is_there():
        return notebook.NotebookView
    return terminal.view()
