"""Thousands of lives of jobs, each drawn from a seed, and none of them breaks a promise.

QAWAIT_SIM_RUNS=1000000   how many seeds are tried
QAWAIT_SIM_SEED=404       only this one
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qawait.testing.simulation import simulate

RUNS = int(os.environ.get("QAWAIT_SIM_RUNS", "10000"))
SEED = os.environ.get("QAWAIT_SIM_SEED")
CHUNK = max(250, RUNS // 1000)
LINES = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
KEPT = [int(line.split("#")[0]) for line in LINES if line.split("#")[0].strip()]


def check(seed: int) -> None:
    """Fail with everything one needs to look at a seed again."""
    broken = simulate(seed).violations()
    if broken:
        command = f"QAWAIT_SIM_SEED={seed} python -m pytest -n0 tests/simulation/test_seeds.py"
        pytest.fail("\n  ".join([f"seed {seed} broke a promise:", *broken]) + f"\n{command}")


@pytest.mark.parametrize("first", [] if SEED else range(0, RUNS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    """Whatever is done to a client, and whatever goes wrong, every invariant holds."""
    for seed in range(first, min(first + CHUNK, RUNS)):
        check(seed)


@pytest.mark.parametrize("seed", [int(SEED)] if SEED else KEPT)
def test_seeds_that_once_found_something_find_nothing(seed: int) -> None:
    """A bug that a seed has found does not come back."""
    check(seed)
