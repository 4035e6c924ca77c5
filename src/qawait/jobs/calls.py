"""Calls to the service, tried again where that may help and the budget allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.jobs.retry import RetryBudget, retry_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Calls:
    """Retries for all calls of one client, paid from one budget."""

    def __init__(self, random: Callable[[], float], budget: RetryBudget | None = None) -> None:
        self.random = random
        self.budget = budget or RetryBudget()

    async def retrying(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call()` gives; only for calls that may safely be repeated.

        Raises:
            QawaitError: the last try's error.
        """
        attempt, paid = 1, 0
        while True:
            try:
                result = await call()
            except QawaitError as error:
                retry = retry_pause(error, attempt, self.budget, self.random())
                if retry is None:
                    raise
                await anyio.sleep(retry[0])
                attempt, paid = attempt + 1, paid + retry[1]
            else:
                self.budget.refund(paid)
                return result

    def pause(self, error: QawaitError, attempt: int) -> float | None:
        """Return the seconds before try `attempt` + 1, or `None` to give up."""
        retry = retry_pause(error, attempt, self.budget, self.random())
        return None if retry is None else retry[0]

    async def unthrottled(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call()` gives, waiting as long as the service says it is too early.

        A throttled request had no effect, so this is safe for submits too.

        Raises:
            ThrottledError: the service still throttles after `limits.THROTTLED_SECONDS`.
        """
        give_up = anyio.current_time() + limits.THROTTLED_SECONDS
        while True:
            try:
                return await call()
            except ThrottledError as error:
                pause = self._throttled_pause(error)
                if anyio.current_time() + pause > give_up:
                    raise
            await anyio.sleep(pause)

    def _throttled_pause(self, error: ThrottledError) -> float:
        pause = error.retry_after
        if pause is None:
            pause = limits.THROTTLED_PAUSE_SECONDS
        return pause * (1 + limits.POLL_JITTER * self.random())
