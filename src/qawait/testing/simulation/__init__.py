"""Simulated lives of jobs: a plan is drawn from a seed, carried out, and checked."""

from __future__ import annotations

from qawait.testing.simulation.clients import Design, QawaitClient, Surroundings
from qawait.testing.simulation.plan import Action, Plan, Setting, Verb, draw
from qawait.testing.simulation.trace import Trace
from qawait.testing.simulation.world import World

__all__ = [
    "Action",
    "Design",
    "Plan",
    "QawaitClient",
    "Setting",
    "Surroundings",
    "Trace",
    "Verb",
    "World",
    "draw",
    "simulate",
]


def simulate(plan: Plan | int, design: Design = QawaitClient) -> Trace:
    """Carry out a plan, or that of a seed, and return what happened.

    `Trace.violations()` tells which promises were broken.
    """
    if isinstance(plan, int):
        plan = draw(plan)
    world = World(plan.setting, design)
    try:
        return world.run(world.play(plan))
    finally:
        world.close()
