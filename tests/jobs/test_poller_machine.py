"""A state machine over the poller: whatever is watched, hurried or forgotten, it keeps its word."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from qawait import limits
from qawait.errors import QawaitError, ThrottledError
from qawait.jobs.poller import Poller
from qawait.jobs.schedule import PollSchedule
from qawait.testing import Fault, SimulatedService, Spoil, Trouble, VirtualLoop
from qawait.types import JobStatus, SubmitRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.testing.faults import Call
    from qawait.types import Snapshot

CHECKED = settings(
    max_examples=120,
    phases=[Phase.generate],
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TAG = "client"
LATENCY = 0.1
SCHEDULE = PollSchedule()
CAP = SCHEDULE.queued_unknown * (1 + SCHEDULE.jitter) + 2 * SCHEDULE.tick
"""The longest time without an answer about a job, but for the time that requests take."""
PAUSE = 20.0


@dataclass(eq=False)
class Watched:
    """A job that is watched, and when the poller last had word of it."""

    job_id: str
    is_tagged: bool
    heard: float
    status: JobStatus = JobStatus.QUEUED
    estimate: float | None = None
    session_id: str | None = None
    on_end: Callable[[Watched], None] = field(default=lambda _: None)

    def seen(self, snapshot: Snapshot) -> None:
        """Take note of an answer."""
        self.heard = anyio.current_time()
        self.status = snapshot.status or self.status
        if self.status.is_final:
            self.on_end(self)

    def missed(self, _: QawaitError) -> None:
        """Take note of a failure."""
        self.heard = anyio.current_time()

    def confirm(self) -> bool:
        """Leave it to the poller."""
        return False


def paused() -> QawaitError:
    """Return a 429 that asks for a pause."""
    error = ThrottledError("slow down", status=429)
    error.retry_after = PAUSE
    return error


class Polling(RuleBasedStateMachine):
    """A poller in whose life anything may happen at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.service = SimulatedService(latency=LATENCY, queue_seconds=120, run_seconds=60)
        draw = random.Random(1).random
        self.poller = Poller(self.service, SCHEDULE, draw, tag=TAG)
        self.watched: dict[str, Watched] = {}
        self.forgotten: dict[str, float] = {}
        self.quiet_until = 0.0
        self.made = 0
        self.polling = self.loop.create_task(self.poller.run())

    def do(self, what: Callable[[], object]) -> None:
        """Call `what` on the loop."""

        async def done() -> None:
            what()

        self.loop.run_until_complete(done())

    @rule(count=st.sampled_from([1, 3, 30, 90]), is_tagged=st.booleans())
    def watch(self, count: int, *, is_tagged: bool) -> None:
        """Submit some jobs, or attach to them, and watch them."""
        self.loop.run_until_complete(
            self._watch(min(count, 30 if not is_tagged else 250), is_tagged=is_tagged)
        )

    async def _watch(self, count: int, *, is_tagged: bool) -> None:
        for _ in range(count):
            if len(self.watched) > 200:
                return
            request = SubmitRequest(
                program="sampler",
                backend="sim",
                params={},
                tag=f"tag{self.made}",
                tags=(TAG,) if is_tagged else (),
            )
            self.made += 1
            self.service._create(request, anyio.current_time())
            job_id = f"job{self.made - 1}"
            watched = Watched(job_id, is_tagged, anyio.current_time(), on_end=self._forget)
            self.watched[job_id] = watched
            self.poller.watch(watched)
            await anyio.sleep(0.001)

    def _forget(self, watched: Watched) -> None:
        self.watched.pop(watched.job_id, None)
        self.forgotten[watched.job_id] = self.loop.time()
        self.poller.forget(watched)

    @rule(which=st.integers(0, 500))
    def forget(self, which: int) -> None:
        """Forget a job that is live."""
        if self.watched:
            watched = list(self.watched.values())[which % len(self.watched)]
            self.do(lambda: self._forget(watched))

    @rule(which=st.integers(0, 500), count=st.sampled_from([1, 20]))
    def hurry(self, which: int, count: int) -> None:
        """Want to know some jobs at once."""
        live = list(self.watched.values())
        first = which % max(1, len(live))
        for one in live[first : first + count]:
            self.do(partial(self.poller.hurry, one))

    @rule()
    def refresh(self) -> None:
        """Wake up after the machine slept."""
        self.do(self.poller.refresh)

    @rule(
        call=st.sampled_from(["status", "pending", "ended"]),
        error=st.sampled_from([None, Trouble.LOST, Trouble.UNAVAILABLE, paused]),
        spoil=st.sampled_from([None, *Spoil]),
        stale=st.sampled_from([0.0, 20.0]),
        delay=st.sampled_from([0.0, 3.0]),
    )
    def fault(
        self,
        call: Call,
        error: Callable[[], QawaitError] | None,
        spoil: Spoil | None,
        stale: float,
        delay: float,
    ) -> None:
        """Let the next request of a kind go wrong."""
        fault = Fault(
            call,
            self.service.count(call),
            error,
            delay=delay,
            spoil=None if call == "status" else spoil,
            stale=stale,
        )
        self.service.faults = (*self.service.faults, fault)

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0, 15.0]))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(anyio.sleep(seconds))

    @invariant()
    def nobody_is_left_alone(self) -> None:
        """Every watched job was heard of within its cap, a pause of the service and a delay."""
        now = self.loop.time()
        paused = any(isinstance(r.error, ThrottledError) for r in self.service.ledger)
        slack = (3.0 + 1.0) * 3 + (3 * PAUSE if paused else 0.0)
        for watched in self.watched.values():
            assert now - watched.heard <= CAP + slack, watched.job_id

    @invariant()
    def requests_are_bounded(self) -> None:
        """Never are more requests under way than agreed."""
        under_way = sum(1 for request in self.service.ledger if request.answered is None)
        assert under_way <= limits.POLLS_IN_FLIGHT

    @invariant()
    def nothing_is_asked_about_the_forgotten(self) -> None:
        """A job that is forgotten is asked for no more, but by what was under way or in a turn."""
        for request in self.service.ledger:
            if request.call == "status" and request.what in self.forgotten:
                assert request.time <= self.forgotten[request.what] + 1e-6, request

    @invariant()
    def a_pause_is_kept(self) -> None:
        """After a 429 that asks for one, nothing is sent before it is over."""
        for refusal in self.service.ledger:
            if refusal.answered is None or not isinstance(refusal.error, ThrottledError):
                continue
            for request in self.service.ledger:
                is_early = refusal.answered < request.time < refusal.answered + PAUSE - 1e-6
                assert not is_early, (refusal, request)

    @invariant()
    def the_calendar_is_bounded(self) -> None:
        """Planning anew leaves little behind."""
        entries = sum(len(there) for there in self.poller._calendar._at.values())
        assert entries <= 4 * len(self.watched) + 50

    def teardown(self) -> None:
        """End it."""
        self.polling.cancel()
        self.loop.run_until_complete(anyio.lowlevel.checkpoint())
        self.loop.close()


def test_the_poller_keeps_its_word() -> None:
    """Hypothesis finds no steps after which an invariant does not hold."""
    run_machine(Polling, settings=CHECKED)
