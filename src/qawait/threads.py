"""Blocking work off the event loop, in threads that never keep a process from ending.

anyio's own worker threads are joined when the interpreter exits, and are told to
end by a callback of the loop. A loop that a third Ctrl-C has torn down runs no
callbacks, and the process would hang for ever; these threads are daemons instead.
"""

from __future__ import annotations

import contextlib
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def soon_in_loop() -> Callable[[Callable[[], object]], object]:
    """Return what runs a function soon in this loop, from any thread.

    Raises:
        RuntimeError: from what is returned, once the loop has ended.
    """
    token = current_token().native_token
    soon: Callable[[Callable[[], object]], object]
    soon = getattr(token, "call_soon_threadsafe", None) or token.run_sync_soon  # type: ignore[attr-defined]
    return soon


async def in_thread(function: Callable[[], T], *, limited: bool = True) -> T:
    """Return `function()`, computed in a thread of its own.

    A cancelled caller does not wait for it. As many run at once as anyio's own
    limiter allows, unless it is not `limited`: for what itself waits for such work.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []
    done, soon = anyio.Event(), soon_in_loop()

    def work() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            outcome.append((None, error))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            soon(done.set)

    limiter = anyio.to_thread.current_default_thread_limiter() if limited else nullcontext()
    async with limiter:
        threading.Thread(target=work, name="qawait-worker", daemon=True).start()
        await done.wait()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
