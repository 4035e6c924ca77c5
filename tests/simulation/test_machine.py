"""A state machine over the same world, which shrinks what it finds to the fewest steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from qawait.testing import Outcome
from qawait.testing.simulation import Action, QawaitClient, Setting, Trace, Verb, World
from qawait.testing.simulation.invariants import cancels, duplicates, late_cancels
from qawait.testing.simulation.plan import ERRORS, LATE, LATENCIES, SHAPES, SPOILS, STALE
from support.naive import JOB_PROMISES, ExceptClient, FinallyClient, ShieldClient

if TYPE_CHECKING:
    from qawait.testing.faults import Call, Spoil, Trouble
    from qawait.testing.simulation import Design, Surroundings
    from qawait.testing.simulation.clients import SimulatedClient
    from qawait.testing.simulation.plan import Shape, Stop
    from qawait.types import OnCancel

RUNS = int(os.environ.get("QAWAIT_SIM_RUNS", "10000"))
CHECKED = settings(
    max_examples=max(1, RUNS // 40),
    stateful_step_count=12,
    deadline=None,
    derandomize="QAWAIT_SIM_RUNS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

moments = st.sampled_from([0.0, 0.0001, 0.006, 0.02, 0.3, 1.0, 3.0])
places = st.integers(0, 3)


class Life(RuleBasedStateMachine):
    """The life of a few jobs, in which anything may be done at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @initialize(
        seed=st.integers(0, 99),
        latency=st.sampled_from(LATENCIES),
        connect=st.sampled_from([0.0, 0.03]),
        lag=st.sampled_from([0.0, 0.3]),
        cut_lands=st.booleans(),
        seconds=st.sampled_from([8.0, 1.0, 0.0]),
        outruns=st.booleans(),
    )
    def begin(
        self,
        seed: int,
        latency: float,
        connect: float,
        lag: float,
        seconds: float,
        *,
        cut_lands: bool,
        outruns: bool,
    ) -> None:
        """Make a world."""
        outcome = Outcome(queue_seconds=seconds, run_seconds=seconds, outruns_cancel=outruns)
        setting = Setting(
            seed=seed,
            latency=latency,
            connect_seconds=connect,
            listing_lag=lag,
            cut_lands=cut_lands,
            outcomes=(outcome, Outcome()),
        )
        self.world = World(setting, self.client)

    def client(self, around: Surroundings) -> SimulatedClient:
        """Return the client under test."""
        return QawaitClient(around)

    def do(self, action: Action) -> None:
        """Carry out one step."""
        assert self.world is not None
        self.world.do(action)

    @rule(
        pause=moments,
        shape=st.sampled_from(SHAPES),
        on_cancel=st.sampled_from(["cancel", "cancel", "detach"]),
        seconds=st.sampled_from([0.0, 0.01, 0.5]),
    )
    def submit(self, pause: float, shape: Shape, on_cancel: OnCancel, seconds: float) -> None:
        """Submit one or two jobs and wait for them."""
        self.do(
            Action(verb=Verb.SUBMIT, pause=pause, shape=shape, on_cancel=on_cancel, seconds=seconds)
        )

    @rule(
        pause=moments,
        which=places,
        stop=st.sampled_from(["once", "twice", "scope", "both", "sibling"]),
        again=st.sampled_from([0.0, 0.005]),
    )
    def stop(self, pause: float, which: int, stop: Stop, again: float) -> None:
        """Cancel a waiter: once, twice, by its scope, by both, by a failing sibling."""
        self.do(Action(verb=Verb.STOP, pause=pause, which=which, stop=stop, seconds=again))

    @rule(
        pause=moments,
        which=places,
        verb=st.sampled_from([Verb.JOIN, Verb.CANCEL, Verb.POLL, Verb.FETCH]),
    )
    def ask(self, pause: float, which: int, verb: Verb) -> None:
        """Wait for, cancel, poll or fetch a job."""
        self.do(Action(verb=verb, pause=pause, which=which))

    @rule(
        fault=st.sampled_from(
            [(call, *error) for call, errors in ERRORS.items() for error in errors]
        ),
        ahead=st.integers(0, 2),
        delay=st.sampled_from([0.0, 0.02, 1.0, 12.0]),
        late=st.sampled_from(LATE),
    )
    def lose(
        self, fault: tuple[Call, Trouble | None, bool], ahead: int, delay: float, late: float
    ) -> None:
        """Let a request go wrong that is still to come."""
        call, trouble, after = fault
        self.do(
            Action(
                verb=Verb.FAULT,
                which=ahead,
                call=call,
                trouble=trouble,
                after=after,
                delay=delay,
                late=late if after else 0.0,
            )
        )

    @rule(
        answer=st.sampled_from(
            [
                (call, spoil, stale)
                for call, ages in STALE.items()
                for stale in ages
                for spoil in SPOILS.get(call, (None,))
            ]
        ),
        ahead=st.integers(0, 2),
    )
    def mislead(self, answer: tuple[Call, Spoil | None, float], ahead: int) -> None:
        """Let a query that is still to come be told something stale or spoilt."""
        call, spoil, stale = answer
        fault = Action(
            verb=Verb.FAULT, which=ahead, call=call, trouble=None, spoil=spoil, stale=stale
        )
        self.do(fault)

    @rule(
        pause=moments,
        verb=st.sampled_from([Verb.KILL, Verb.RESTART, Verb.LEAVE]),
        lands=st.booleans(),
    )
    def end(self, pause: float, verb: Verb, *, lands: bool) -> None:
        """Kill the client, kill and restart it, or leave it properly."""
        self.do(Action(verb=verb, pause=pause, lands=lands))

    @rule(pause=moments)
    def kill_guardian(self, pause: float) -> None:
        """Kill the guardian."""
        self.do(Action(verb=Verb.KILL_GUARDIAN, pause=pause))

    @rule(pause=moments, which=st.integers(0, 1))
    def recover(self, pause: float, which: int) -> None:
        """Settle what dead clients left behind."""
        self.do(Action(verb=Verb.RECOVER, pause=pause, which=which))

    @rule(pause=st.sampled_from([0.1, 5.0, 30.0]))
    def advance(self, pause: float) -> None:
        """Let time pass."""
        self.do(Action(verb=Verb.ADVANCE, pause=pause))

    @invariant()
    def nothing_is_done_twice(self) -> None:
        """At no moment has a submit two jobs or a job a cancel too many."""
        if self.world is not None:
            trace = self.world.trace
            assert not [*duplicates(trace), *cancels(trace), *late_cancels(trace)]

    def broken(self, trace: Trace) -> list[str]:
        """Return the promises that were broken."""
        return trace.violations()

    def teardown(self) -> None:
        """End it all, and look at every promise."""
        if self.world is None:
            return
        try:
            assert self.broken(self.world.finish()) == []
        finally:
            self.world.close()


@pytest.mark.timeout(max(120, RUNS // 500))
def test_no_sequence_of_steps_breaks_a_promise() -> None:
    """Hypothesis finds no steps after which an invariant does not hold."""
    run_machine(Life, settings=CHECKED)


@pytest.mark.parametrize("flawed", [ExceptClient, FinallyClient, ShieldClient])
def test_the_machine_finds_a_flaw(flawed: Design) -> None:
    """The same steps break a promise of each naive client."""

    class NaiveLife(Life):
        def client(self, around: Surroundings) -> SimulatedClient:
            return flawed(around)

        def do(self, action: Action) -> None:
            if action.verb in (Verb.SUBMIT, Verb.STOP, Verb.ADVANCE):  # no kills, no faults
                super().do(action)

        def broken(self, trace: Trace) -> list[str]:
            return [one for one in trace.violations() if one.startswith(JOB_PROMISES)]

    first = settings(CHECKED, max_examples=200, phases=[Phase.generate], derandomize=True)
    with pytest.raises(AssertionError, match=r"an orphan|a second cancel"):
        run_machine(NaiveLife, settings=first)
