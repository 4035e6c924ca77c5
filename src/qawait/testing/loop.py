"""An asyncio event loop on virtual time, deterministic and without I/O.

Two young libraries, simloop and simloom, offer seeded loops with a simulated
network beneath them. Both need Python 3.12, are some weeks old, by one author
each, and replace asyncio's loop by thousands of lines of their own. What is
simulated here lies above the network, so this page of code, which leaves
asyncio's own loop in charge, is less to trust.

It relies on names that asyncio keeps to itself: a loop's `_ready`, `_scheduled`
and `_run_once`, a handle's `_context` and a task's `_log_destroy_pending`. A test
pins them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import selectors
import warnings
from collections import deque
from contextvars import ContextVar, copy_context
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Mapping
    from contextvars import Context

    from _typeshed import FileDescriptorLike

_process: ContextVar[SimulatedProcess | None] = ContextVar("process", default=None)
_CLOSES = 10  # a coroutine that awaits while it is closed has to be closed again


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs asyncio code in no time: the clock jumps to the next timer when all is idle.

    With a `seed`, the callbacks that are ready at the same moment run in an order
    drawn from it, and the same seed gives the same order again. Without one they
    run in asyncio's own order. `start` is what the clock shows at first.

    Raises:
        RuntimeError: every task waits for something that nothing will bring.
    """

    def __init__(self, seed: int | None = None, *, start: float = 0.0) -> None:
        self._virtual = start
        self._random = None if seed is None else random.Random(seed)  # noqa: S311 - not a secret
        self._has_killed = False
        super().__init__(_NoSelector(self))

    def time(self) -> float:
        """Return the virtual time in seconds since the loop was made."""
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Move the clock as an idle loop would, or as a suspended machine does."""
        self._virtual += max(0.0, seconds)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task, and keep it with the simulated process that it belongs to."""
        process = _process.get()
        if process is None:
            return super().create_task(coro, **options)
        options["context"] = options.get("context") or copy_context()
        task = super().create_task(coro, **options)
        process.tasks[task] = options["context"]
        return task

    def drop_killed(self) -> None:
        """Let nothing run any more that belongs to a process that was killed."""
        self._has_killed = True
        _drop(chain(self._ready, self._scheduled))  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        if self._random is not None and len(self._ready) > 1:  # type: ignore[has-type]
            shuffled: list[Any] = list(self._ready)  # type: ignore[has-type]
            self._random.shuffle(shuffled)
            self._ready = deque(shuffled)
        if self._has_killed:
            _drop(self._ready)
        super()._run_once()  # type: ignore[misc]


def _drop(handles: Iterable[Any]) -> None:
    for handle in handles:
        # asyncio clears the context of a handle that was cancelled
        process = handle._context.get(_process) if handle._context else None  # noqa: SLF001
        if process is not None and process.is_killed:
            handle.cancel()


class SimulatedProcess:
    """Tasks that can be killed together, as SIGKILL ends a process.

    Nothing of a killed process runs any more, no `finally` and no `except`; what
    it had sent to a `SimulatedService` is on the wire all the same.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.is_killed = False
        self.tasks: dict[asyncio.Task[Any], Context] = {}
        self._loop = loop

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task of this process, and so whatever it starts."""
        context = copy_context()
        context.run(_process.set, self)
        return context.run(self._loop.create_task, work)

    def running(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended."""
        return [task for task in self.tasks if not task.done()]

    def kill(self) -> None:
        """End every task where it stands."""
        self.is_killed = True
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001
        self._loop.drop_killed()

    def bury(self) -> None:
        """Free what the killed tasks held, once their loop has been closed.

        Python cannot but run their `finally` then, when it can no longer touch
        anything; what comes of that is nobody's concern.
        """
        with _unheard():
            for task in self.running():
                _close(task.get_coro())
        self.tasks.clear()


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _close(coroutine: Any) -> None:
    for _ in range(_CLOSES):
        with contextlib.suppress(BaseException):
            coroutine.close()
            return


def process_name() -> str:
    """Return the name of the simulated process whose code runs; empty outside of any."""
    process = _process.get()
    return process.name if process else ""


class _NoSelector(selectors.BaseSelector):
    """Never asks the kernel; an idle loop's time-out becomes a step of its clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[number] = key
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self._loop.advance(timeout)
        return []
