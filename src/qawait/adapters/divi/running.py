"""`arun`: a divi program as something to await."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from qawait import limits
from qawait.adapters.divi import versions
from qawait.adapters.divi.backend import QawaitBackend
from qawait.errors import ConfigError
from qawait.jobs.waiting import outlast
from qawait.threads import in_thread, soon_in_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

ProgramT = TypeVar("ProgramT")


async def arun(program: ProgramT, /, *args: Any, **kwargs: Any) -> ProgramT:
    """Run a divi program, or an ensemble, in a thread of its own and return it.

    `args` and `kwargs` are those of its `run`. Cancelling the task that awaits this
    cancels the jobs that the program waits for, each once, lets it submit no more,
    and returns when it has ended, or after the bound on a cancel.

    Raises:
        ConfigError: the program's backend is no `QawaitBackend`.
    """
    backend = getattr(program, "backend", None)
    if not isinstance(backend, QawaitBackend):
        raise ConfigError(f"arun needs a program on a QawaitBackend, not {type(backend).__name__}")
    stop, ended, soon = threading.Event(), anyio.Event(), soon_in_loop()

    def run() -> None:
        try:
            with _on(program, backend.stoppable(stop)):
                versions.run(program, *args, **kwargs)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                soon(ended.set)

    try:
        await in_thread(run, limited=False)
    except anyio.get_cancelled_exc_class():
        stop.set()
        seconds = limits.CANCEL_BOUND_SECONDS + limits.LEAVE_SECONDS
        await outlast(ended.wait, ended.is_set, seconds=seconds)
        raise
    return program


@contextlib.contextmanager
def _on(program: Any, backend: QawaitBackend) -> Iterator[None]:
    """Have a program, and those it consists of, use another backend meanwhile."""
    parts = [program, *getattr(program, "programs", {}).values()]
    before = [part.backend for part in parts]
    for part in parts:
        part.backend = backend
    try:
        yield
    finally:
        for part, own in zip(parts, before, strict=True):
            part.backend = own
