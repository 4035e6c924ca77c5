"""A simulation is a function of its seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qawait.testing.simulation import Action, Plan, Setting, Trace, Verb, draw, simulate

SUBMITS = Plan(
    setting=Setting(latency=0.05),
    actions=tuple(Action(verb=Verb.SUBMIT) for _ in range(4)),
)


def with_seed(seed: int) -> Trace:
    """Simulate four submits at one moment, in the order of a seed."""
    return simulate(replace(SUBMITS, setting=replace(SUBMITS.setting, seed=seed)))


@pytest.mark.parametrize("first", range(0, 50, 10))
def test_the_same_seed_gives_the_same_trace(first: int) -> None:
    """Every event of a replay is at the same time and in the same place."""
    for seed in range(first, first + 10):
        assert simulate(draw(seed)).lines() == simulate(seed).lines()


def test_seeds_give_different_traces() -> None:
    """Fifty seeds of one plan make fifty different histories."""
    assert len({tuple(with_seed(seed).lines()) for seed in range(50)}) == 50


def test_seeds_give_different_interleavings() -> None:
    """What happens at the same moment happens in most of its orders."""
    orders = {
        tuple(request.what for request in with_seed(seed).service.ledger[:4]) for seed in range(50)
    }
    assert len(orders) >= 15


def test_a_trace_tells_what_was_done() -> None:
    """The lines of a trace name the actions, the requests and what waiters came to."""
    text = "\n".join(with_seed(0).lines())
    for word in ("submit", "client0 submit tag0", "no more faults", "run tag3"):
        assert word in text
