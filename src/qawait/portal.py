"""An event loop that other threads can have coroutines run on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
import anyio.from_thread
from anyio.lowlevel import checkpoint

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

_BLOCKING: Final = (
    "qawait.sync blocks its thread, and this thread runs an event loop, which would stand still: "
    "use qawait.connect() or qawait.local() and await the same call instead"
)
_CLOSED: Final = "this client is closed: open a new one"


class Portal:
    """Runs coroutines on a loop that runs in another thread, for threads that wait for them.

    It can be made anywhere, also in the loop's own thread. Whoever makes it has the
    loop run `serve`, and calls `end` should that no longer be possible.
    """

    def __init__(self) -> None:
        self._opened: concurrent.futures.Future[anyio.from_thread.BlockingPortal]
        self._opened = concurrent.futures.Future()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._calls: weakref.WeakSet[Call[Any]] = weakref.WeakSet()

    async def serve(self) -> None:
        """Take calls until the portal is closed or this is cancelled."""
        try:
            async with anyio.from_thread.BlockingPortal() as portal:
                self._opened.set_result(portal)
                await portal.sleep_until_stopped()
        finally:
            self.end()

    def end(self) -> None:
        """Take no calls, and let nobody wait for what will not be run any more."""
        self._ended.set()
        if not self._opened.done():
            self._opened.set_exception(ConfigError(_CLOSED))
        with self._lock:
            for call in self._calls:
                call.give_up()

    def run(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Return `await function(...)`, run on the portal's loop.

        A Ctrl-C in the meantime cancels it, as cancelling a task does, and is
        raised again when that is done, with the notes of the cancellation. A
        second one does not wait for that.

        Raises:
            ConfigError: this thread runs an event loop, or the portal is closed.
        """
        return self.start(function, *args, **kwargs).result()

    def start(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> Call[T]:
        """Begin `await function(...)` on the portal's loop; its end is waited for as in `run`.

        Raises:
            ConfigError: as for `run`.
        """
        check_not_on_loop()
        if self.is_closed:
            raise ConfigError(_CLOSED)
        call = Call(self._opened.result(), lambda: function(*args, **kwargs))
        with self._lock:
            self._calls.add(call)
        if self._ended.is_set():
            call.give_up()
        return call

    def do(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return `function(...)`, called on the portal's loop."""

        async def call() -> T:
            await checkpoint()
            return function(*args, **kwargs)

        return self.run(call)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is run any more."""
        return self._ended.is_set()


class OwnLoop(Portal):
    """A portal onto a loop, and a thread, of its own.

    The thread is a daemon: a program that ends without closing the portal ends at
    once, as one that is killed does.
    """

    def __init__(self) -> None:
        super().__init__()
        run = partial(anyio.run, self.serve)
        self._thread = threading.Thread(target=run, name="qawait-sync", daemon=True)
        self._thread.start()
        self._opened.result()

    def close(self) -> None:
        """End the loop and its thread; again does nothing."""
        if not self.is_closed:
            portal = self._opened.result()
            portal.start_task_soon(portal.stop)
            self._thread.join()


class Call(Generic[T]):
    """One coroutine on the loop of a portal."""

    def __init__(
        self,
        portal: anyio.from_thread.BlockingPortal,
        function: Callable[[], Awaitable[T]],
    ) -> None:
        self._portal = portal
        self._function = function
        self._is_cancelled = False
        self._scope: anyio.CancelScope | None = None
        self._notes: list[str] = []
        self._future: concurrent.futures.Future[T] | None = None
        with self.interruptible():
            try:
                self._future = portal.start_task_soon(self._main)
            except RuntimeError:  # its loop or its tasks have ended meanwhile
                raise ConfigError(_CLOSED) from None

    def result(self) -> T:
        """Wait for its end and return what it returned.

        Raises:
            ConfigError: the loop has ended, or the client was closed, meanwhile.
        """
        with self.interruptible():
            try:
                return self._began.result()
            except concurrent.futures.CancelledError:
                raise ConfigError(_CLOSED) from None

    def when_done(self, listener: Callable[[], object]) -> None:
        """Call `listener`, in whatever thread, once it has ended; at once if it has."""
        self._began.add_done_callback(lambda _: listener())

    def give_up(self) -> None:
        """Let nobody wait for it if it has not ended: it never will."""
        self._began.cancel()

    @property
    def _began(self) -> concurrent.futures.Future[T]:
        assert self._future is not None  # noqa: S101 - set before anybody has the call
        return self._future

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Cancel the coroutine at a Ctrl-C that comes within, and add its notes."""
        try:
            yield
        except KeyboardInterrupt as stopped:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and this with it
                self._portal.start_task_soon(self._cancel)
            if self._future is not None:
                _settled(self._future)
            for note in self._notes:
                stopped.add_note(note)
            raise

    async def _main(self) -> T:
        with anyio.CancelScope() as self._scope:
            if self._is_cancelled:
                self._scope.cancel()
            try:
                return await self._function()
            except anyio.get_cancelled_exc_class() as stopped:
                self._notes += getattr(stopped, "__notes__", [])
                raise
        raise concurrent.futures.CancelledError

    async def _cancel(self) -> None:
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
