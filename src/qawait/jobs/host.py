"""A task group that no caller's cancellation reaches."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
import anyio.from_thread
from anyio.lowlevel import current_token

from qawait import limits
from qawait.errors import ConfigError
from qawait.portal import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyio.lowlevel import EventLoopToken

_log = logging.getLogger("qawait.host")
_detached: set[asyncio.Task[None]] = set()
"""Strong references: asyncio itself holds tasks only weakly."""


_CLOSED: Final = "this client is closed: open a new one with qawait.connect()"


class TaskHost:
    """Runs a client's own tasks, apart from whoever opened the client.

    A task group entered by the caller would hand the caller's cancellation to
    every task in it, and cut requests in two. Here the group is entered and left
    in a task of its own: a plain task on asyncio, a system task on trio.

    `clean_up` is awaited when nothing runs any more. If that comes about because
    the loop itself is being ended, `when_cut` is called first, and the clean-up
    gets a moment only: somebody may be waiting for the process to go.
    """

    def __init__(
        self,
        *,
        clean_up: Callable[[], Coroutine[Any, Any, None]] | None = None,
        when_cut: Callable[[], object] | None = None,
    ) -> None:
        self._clean_up = clean_up
        self._when_cut = when_cut
        self._group: anyio.abc.TaskGroup | None = None
        self._loop: EventLoopToken | None = None
        self._stop = anyio.Event()
        self._stopped = anyio.Event()
        self._when_stopped: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Begin to accept tasks."""
        self._loop = current_token()
        ready = anyio.Event()
        _spawn(lambda: self._main(ready))
        await ready.wait()

    def check(self) -> None:
        """Make sure that tasks are accepted, and that this is their loop.

        Raises:
            ConfigError: the host has stopped, or another loop is running.
        """
        if not self.is_running:
            raise ConfigError(_CLOSED)
        self.check_loop()

    def check_loop(self) -> None:
        """Make sure that the loop of the host's tasks is the one that is running.

        Raises:
            ConfigError: it is another.
        """
        if current_token() != self._loop:
            raise ConfigError("this client belongs to another event loop: open one in this loop")

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` as a task; it must not raise.

        Raises:
            ConfigError: the host has stopped.
        """
        if self._group is None:
            raise ConfigError(_CLOSED)
        self._group.start_soon(work)

    def portal(self) -> Portal:
        """Return a portal onto the host's loop, for other threads; it ends with the host."""
        portal = Portal()

        def open_() -> None:
            try:
                self.start_soon(portal.serve)
            except ConfigError:
                portal.end()

        self.when_stopped(portal.end)
        if self._is_here():
            open_()
            return portal
        try:
            anyio.from_thread.run_sync(open_, token=self._loop)
        except anyio.RunFinishedError:  # the loop has ended without a chance to stop the host
            portal.end()
        return portal

    def _is_here(self) -> bool:
        try:
            return current_token() == self._loop
        except RuntimeError:  # no loop runs in this thread
            return False

    def keep_running(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` for as long as the host runs; after an error of ours, anew."""
        self.start_soon(lambda: _kept(work))

    def when_stopped(self, listener: Callable[[], None]) -> None:
        """Call `listener` once no task runs any more, however that came about."""
        self._when_stopped.append(listener)

    async def stop(self) -> None:
        """Cancel what still runs, clean up, and return when that has ended."""
        self._stop.set()
        await self._stopped.wait()

    @property
    def is_running(self) -> bool:
        """Whether tasks are accepted, and those accepted run."""
        return self._group is not None

    @property
    def is_stopped(self) -> bool:
        """Whether nothing runs any more."""
        return self._stopped.is_set()

    async def _main(self, ready: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                ready.set()
                try:
                    await self._stop.wait()
                finally:
                    self._group = None  # a group that is ending no longer takes tasks
                group.cancel_scope.cancel()
        finally:
            for listener in self._when_stopped:
                listener()
            if self._when_cut is not None and not self._stop.is_set():
                self._when_cut()
            try:
                await self._cleaned_up()
            finally:
                self._stopped.set()

    async def _cleaned_up(self) -> None:
        seconds = limits.LEAVE_SECONDS if self._stop.is_set() else limits.CUT_SECONDS
        with anyio.move_on_after(seconds, shield=True):
            if self._clean_up is not None:
                await self._clean_up()


async def _kept(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - ours, whatever it is: jobs must go on being followed
            _log.exception("a task of the client failed; it is started again")
        await anyio.sleep(limits.RESTART_SECONDS)


def _spawn(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        task = asyncio.get_running_loop().create_task(main())
        _detached.add(task)
        task.add_done_callback(_detached.discard)
    else:
        import trio.lowlevel

        trio.lowlevel.spawn_system_task(main)
