"""The simulation is able to fail: it finds the flaw of every naive client."""

from __future__ import annotations

import pytest

from qawait.testing.simulation import Design, QawaitClient, Verb, draw, simulate
from support.naive import JOB_PROMISES, ExceptClient, FinallyClient, RetryClient, ShieldClient

CANCELLED = (Verb.SUBMIT, Verb.STOP, Verb.STOP, Verb.ADVANCE)
LOST = (Verb.SUBMIT, Verb.FAULT, Verb.FAULT, Verb.ADVANCE)
RUNS = 500


def survived(design: Design, verbs: tuple[Verb, ...]) -> int:
    """Return how many plans a design survived before it broke a promise about jobs."""
    for seed in range(RUNS):
        broken = simulate(draw(seed, verbs), design).violations()
        if any(violation.startswith(JOB_PROMISES) for violation in broken):
            return seed
    return RUNS


@pytest.mark.parametrize(
    ("design", "verbs"),
    [
        (ExceptClient, CANCELLED),
        (FinallyClient, CANCELLED),
        (ShieldClient, CANCELLED),
        (RetryClient, LOST),
    ],
    ids=["except", "finally", "shield", "retry"],
)
def test_a_naive_client_is_found_out(
    design: Design, verbs: tuple[Verb, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A design with a known flaw survives only a few plans."""
    runs = survived(design, verbs)
    with capsys.disabled():
        print(f"\n{design.__name__} survived {runs} runs")
    assert runs < RUNS


@pytest.mark.parametrize("verbs", [CANCELLED, LOST], ids=["cancelled", "lost"])
def test_qawait_survives_the_same_plans(verbs: tuple[Verb, ...]) -> None:
    """What finds the naive clients out finds nothing in qawait."""
    assert survived(QawaitClient, verbs) == RUNS
