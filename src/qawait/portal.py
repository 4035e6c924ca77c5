"""An event loop on a thread of its own, which any other thread can have coroutines run on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.from_thread
from anyio.lowlevel import checkpoint

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_BLOCKING: Final = (
    "qawait.sync blocks its thread, and this thread runs an event loop, which would stand still: "
    "use qawait.connect() or qawait.local() and await the same call instead"
)


class Portal:
    """Runs coroutines on its loop for threads that wait for them.

    The thread is a daemon: a program that ends without closing the portal ends at
    once, as one that is killed does.
    """

    def __init__(self) -> None:
        self._started: concurrent.futures.Future[anyio.from_thread.BlockingPortal]
        self._started = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, name="qawait-sync", daemon=True)
        self._thread.start()
        self._portal = self._started.result()

    def _main(self) -> None:
        async def serve() -> None:
            async with anyio.from_thread.BlockingPortal() as portal:
                self._started.set_result(portal)
                await portal.sleep_until_stopped()

        anyio.run(serve)

    def run(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Return `await function(...)`, run on the portal's loop.

        A Ctrl-C in the meantime cancels it, as cancelling a task does, and is
        raised again when that is done, with the notes of the cancellation. A
        second one does not wait for that.

        Raises:
            ConfigError: this thread runs an event loop, or the portal is closed.
        """
        check_not_on_loop()
        if self.is_closed:
            raise ConfigError("this client is closed: open a new one")
        call = _Call(function, args, kwargs)
        future: concurrent.futures.Future[T] | None = None
        try:
            future = self._portal.start_task_soon(call.main)
            return future.result()
        except KeyboardInterrupt as stopped:
            self._portal.start_task_soon(call.cancel)
            if future is not None:
                _settled(future)
            for note in call.notes:
                stopped.add_note(note)
            raise

    def do(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return `function(...)`, called on the portal's loop."""

        async def call() -> T:
            await checkpoint()
            return function(*args, **kwargs)

        return self.run(call)

    @property
    def is_closed(self) -> bool:
        """Whether the loop has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the loop and its thread; again does nothing."""
        if not self.is_closed:
            self._portal.start_task_soon(self._portal.stop)
            self._thread.join()


class _Call:
    """One coroutine on the loop, which can be cancelled from elsewhere."""

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._is_cancelled = False
        self._scope: anyio.CancelScope | None = None
        self.notes: list[str] = []

    async def main(self) -> Any:
        with anyio.CancelScope() as self._scope:
            if self._is_cancelled:
                self._scope.cancel()
            try:
                return await self._function(*self._args, **self._kwargs)
            except anyio.get_cancelled_exc_class() as stopped:
                self.notes += getattr(stopped, "__notes__", [])
                raise
        return None

    async def cancel(self) -> None:
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()


def _settled(future: concurrent.futures.Future[Any]) -> None:
    """Wait, within bounds, until a call that was cancelled has ended, however it did."""
    seconds = limits.CANCEL_BOUND_SECONDS + limits.LEAVE_SECONDS
    concurrent.futures.wait([future], timeout=seconds)


def check_not_on_loop() -> None:
    """Refuse to block a thread that runs an event loop.

    Raises:
        ConfigError: it does; the message says what to use instead.
    """
    if asyncio._get_running_loop() is not None or _runs_trio():  # noqa: SLF001 - the public one raises
        raise ConfigError(_BLOCKING)


def _runs_trio() -> bool:
    try:
        anyio.get_current_task()
    except Exception:  # noqa: BLE001 - what says that no loop runs here differs between versions
        return False
    return True
