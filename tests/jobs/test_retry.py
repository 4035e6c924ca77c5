"""Whether to try again: what may help, within attempts and a budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.errors import (
    AuthError,
    ConfigError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)
from qawait.jobs.retry import RetryBudget, backoff, is_transient, retry_pause


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("refused"),
        UnknownOutcomeError("lost"),
        ProtocolError("cut"),
        ThrottledError("slow down", status=429),
        RejectedError("sorry", status=503),
    ],
)
def test_passing_faults_are_tried_again(error: QawaitError) -> None:
    """Faults of the connection, 429 and 5xx may pass."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        AuthError("who?", status=401),
        RejectedError("no", status=400),
        RejectedError("gone", status=404),
        ConfigError("wrong call"),
    ],
)
def test_answers_are_not_tried_again(error: QawaitError) -> None:
    """An answer stays the same however often it is asked for."""
    assert not is_transient(error)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_below_a_cap(attempt: int, draw: float) -> None:
    """The pause is uniform between nothing and a ceiling that doubles up to the cap."""
    ceiling = min(limits.RETRY_CAP_SECONDS, limits.RETRY_BASE_SECONDS * 2.0 ** min(attempt, 99))
    assert backoff(attempt, draw) == pytest.approx(draw * ceiling)


def test_tries_are_limited() -> None:
    """After the last try the error is the caller's."""
    error, budget = NotSentError("refused"), RetryBudget()
    assert retry_pause(error, limits.RETRY_ATTEMPTS - 1, budget, 0.5) is not None
    assert retry_pause(error, limits.RETRY_ATTEMPTS, budget, 0.5) is None


def test_in_an_outage_retries_stop_by_themselves() -> None:
    """The bucket pays for 100 retries without a success, and then for none."""
    budget, retries = RetryBudget(), 0
    while retry_pause(NotSentError("refused"), 1, budget, 0.5) is not None:
        retries += 1
    assert retries == limits.RETRY_TOKENS // limits.RETRY_COST


def test_a_success_pays_back() -> None:
    """A call that succeeds returns what its retries cost, and the bucket never overflows."""
    budget = RetryBudget()
    paid = budget.pay(UnknownOutcomeError("lost"))
    assert paid == limits.RETRY_TIMEOUT_COST
    budget.refund(paid)
    budget.refund(0)
    assert budget.tokens == limits.RETRY_TOKENS


def test_retry_after_is_a_lower_bound() -> None:
    """The service's own pause is kept, however short ours would be."""
    error = ThrottledError("slow down", status=429)
    error.retry_after = 42.0
    pause = retry_pause(error, 1, RetryBudget(), 0.0)
    assert pause is not None
    assert pause[0] == 42.0
