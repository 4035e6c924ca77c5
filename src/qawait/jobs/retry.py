"""Whether to try a failed call again, and after how long.

The numbers are those of AWS's "standard" retry mode: at most three tries, full
jitter, and a bucket of tokens per client that each retry pays from and each
success refills. In an outage the bucket empties and retries stop by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qawait import limits
from qawait.errors import (
    AuthError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)

_SERVER_ERROR = 500


def is_transient(error: QawaitError) -> bool:
    """Whether asking the same question again may get an answer."""
    if isinstance(error, AuthError):
        return False
    if isinstance(error, ThrottledError):
        return True
    if isinstance(error, RejectedError):
        return error.status >= _SERVER_ERROR
    return isinstance(error, NotSentError | UnknownOutcomeError | ProtocolError)


def backoff(attempt: int, random: float) -> float:
    """Return the seconds before try number `attempt` + 1: full jitter over 2^attempt."""
    ceiling: float = limits.RETRY_BASE_SECONDS * 2 ** min(attempt, _ENOUGH_DOUBLINGS)
    return random * min(limits.RETRY_CAP_SECONDS, ceiling)


_ENOUGH_DOUBLINGS = 32


@dataclass(slots=True)
class RetryBudget:
    """A client's bucket of retry tokens: never below zero, never above its size."""

    size: int = limits.RETRY_TOKENS
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.size

    def pay(self, error: QawaitError) -> int | None:
        """Take the price of one retry and return it; `None` when the bucket has too little."""
        lost = isinstance(error, UnknownOutcomeError)
        price = limits.RETRY_TIMEOUT_COST if lost else limits.RETRY_COST
        if self.tokens < price:
            return None
        self.tokens -= price
        return price

    def refund(self, paid: int) -> None:
        """Give back what the retries of a call that succeeded cost, or one token."""
        self.tokens = min(self.size, self.tokens + max(paid, 1))


def retry_pause(
    error: QawaitError,
    attempt: int,
    budget: RetryBudget,
    random: float,
) -> tuple[float, int] | None:
    """Return the pause before the next try and its price, or `None` to give up.

    `attempt` is the number of tries so far. A `Retry-After` of the service is a
    lower bound of the pause.
    """
    if not is_transient(error) or attempt >= limits.RETRY_ATTEMPTS:
        return None
    paid = budget.pay(error)
    if paid is None:
        return None
    hint = error.retry_after if isinstance(error, ThrottledError) else None
    return max(backoff(attempt, random), hint or 0.0), paid
