"""Waiting on the client's loop for what a `threading.Event` of another thread may end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from qawait import limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")


class StoppedError(Exception):
    """What was waited for was stopped by its event; its notes say what became of the job."""


async def until(reached: Callable[[], bool]) -> None:
    """Return soon after `reached()` has come true in whatever thread."""
    while not reached():  # noqa: ASYNC110 - an event of another thread wakes no loop
        await anyio.sleep(limits.EVENT_LOOK_SECONDS)


async def _nothing() -> None:
    """Stands for what need not be done."""


async def unless(
    stopped: Callable[[], bool],
    work: Callable[[], Awaitable[T]],
    *,
    beside: Callable[[], Coroutine[Any, Any, None]] = _nothing,
) -> T:
    """Return `await work()`, which is cancelled as soon as `stopped()`; `beside` runs meanwhile.

    Raises:
        StoppedError: it was cancelled, and has come to its end.
    """
    scope = anyio.CancelScope()
    notes: list[str] = []
    outcome: list[T] = []
    failure: Exception | None = None

    async def watch() -> None:
        await until(stopped)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        group.start_soon(beside)
        with scope:
            try:
                outcome.append(await work())
            except anyio.get_cancelled_exc_class() as cancelled:
                notes += getattr(cancelled, "__notes__", [])
                raise
            except Exception as error:  # noqa: BLE001 - raised again outside of the group
                failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not outcome:
        raise StoppedError("; ".join(notes))
    return outcome[0]
