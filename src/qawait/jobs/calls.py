"""Calls to the service, tried again where that may help and the budget allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from qawait.errors import QawaitError
from qawait.jobs.pacing import Pace
from qawait.jobs.retry import RetryBudget, retry_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Calls:
    """Retries for all calls of one client, paid from one budget, and the pace of its submits."""

    def __init__(
        self,
        random: Callable[[], float],
        budget: RetryBudget | None = None,
        *,
        submits_per_minute: int | None = None,
    ) -> None:
        self.random = random
        self.budget = budget or RetryBudget()
        self.pace = Pace(random, submits_per_minute)

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
