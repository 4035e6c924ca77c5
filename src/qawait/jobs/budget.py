"""What jobs may cost together: refused before the submit, cancelled when it is exceeded.

A job that has ended counts with what the service charged. Any other counts with
what the service expects it to use, or, as long as it expects nothing, with its
`max_execution_time`, which no job can exceed.
"""

from __future__ import annotations

import itertools
import math
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio

from qawait import limits
from qawait.errors import BudgetExceededError, ConfigError, QawaitError
from qawait.jobs import asking
from qawait.jobs.lifecycle import JobState
from qawait.jobs.waiting import Signal
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.jobs.driver import Driver
    from qawait.types import SubmitRequest, Update

_numbers: Final = itertools.count()


class Budget:
    """A number of seconds of quantum processor time, for all jobs of a client, scope or session.

    A submit that finds less than one second left raises `BudgetExceededError`, and
    nothing is sent. Each job is sent with a `max_execution_time` of at most what
    is left. When jobs turn out to cost more than expected, so that the live ones
    no longer fit, they are cancelled, each once, until the rest fits: queued ones
    before running ones, the newest first. Awaiting one of these raises
    `BudgetExceededError` too.

    One budget may be given to several clients and scopes of one event loop, and
    counts for as long as it exists.
    """

    def __init__(self, *, qpu_seconds: float) -> None:
        is_number = isinstance(qpu_seconds, int | float) and not isinstance(qpu_seconds, bool)
        if not is_number or not 0 < qpu_seconds < math.inf:
            message = f"qpu_seconds must be a number of seconds above 0, not {qpu_seconds!r:.100}"
            raise ConfigError(message)
        self.qpu_seconds = float(qpu_seconds)
        self._number = next(_numbers)
        self._spent = 0.0
        self._open: dict[Driver, float] = {}  # whose charge is not settled, and who got an id when
        self._changed = Signal()
        self._line: anyio.Lock | None = None

    def __repr__(self) -> str:
        known = f"{self.spent:g} s spent, {self.expected:g} s expected"
        return f"<Budget of {self.qpu_seconds:g} s: {known}>"

    @property
    def spent(self) -> float:
        """What the service has charged for the jobs that have ended, in seconds."""
        return self._spent

    @property
    def expected(self) -> float:
        """What the other jobs are expected to cost, in seconds."""
        return sum(map(_expected, self._open))

    @property
    def remaining(self) -> float:
        """What is left for further jobs, in seconds."""
        return max(self.qpu_seconds - self.spent - self.expected, 0.0)

    # --- one more job ----------------------------------------------------------------------------

    @property
    def line(self) -> anyio.Lock:
        """What lets one submit at a time be decided on."""
        if self._line is None:
            self._line = anyio.Lock()
        return self._line

    async def room(self, asked: float) -> float:
        """Return what is left, once there is as much as was asked for or no more to learn."""
        while self.remaining < asked:
            wait = max(map(self._ignorance, self._open), default=0.0)
            if wait <= 0:
                break
            with anyio.move_on_after(wait):
                await self._changed.wait()
        return self.remaining

    def _ignorance(self, driver: Driver) -> float:
        """Return for how long it is worth waiting to be told what this job will cost."""
        if driver.is_ended or driver.estimate is not None or not driver.shared.host.is_running:
            return 0.0
        if driver.state.job_id is None:
            return math.inf
        known_since = self._open[driver]
        return known_since + limits.BUDGET_ESTIMATE_SECONDS - anyio.current_time()

    def has(self, driver: Driver) -> bool:
        """Whether this job was taken in."""
        return driver in self._open

    def take(self, driver: Driver) -> None:
        """Count this job from now on."""
        self._open[driver] = math.inf

        def look(_: Update) -> None:
            if driver.state.job_id is not None and self._open.get(driver) == math.inf:
                self._open[driver] = anyio.current_time()
            if driver.estimate is not None:
                driver.updates.ignore(look)  # there is no more to learn before its end
            self._news()

        driver.updates.listen(look)
        driver.on_end(self._ended)

    def refusal(self, message: str, *, job_id: str | None = None) -> BudgetExceededError:
        """Return the error that says why a job cannot be paid for."""
        return BudgetExceededError(
            f"{message}: of {self.qpu_seconds:g} s, {self.spent:g} s are spent and "
            f"{self.expected:g} s expected",
            qpu_seconds=self.qpu_seconds,
            spent=self.spent,
            job_id=job_id,
        )

    # --- what becomes of the jobs ----------------------------------------------------------------

    def _news(self) -> None:
        """Tell who waits for it, and cancel what no longer fits."""
        self._changed.set()
        live = [job for job in self._open if not job.is_ended and not job.is_unwanted]
        live.sort(key=lambda job: job.status is not JobStatus.RUNNING)  # stable: the newest last
        while live and self.spent + self.expected > self.qpu_seconds:
            driver = live.pop()
            why = self.refusal("the budget was exceeded", job_id=driver.state.job_id)
            driver.why_cancelled = why
            driver.want_cancel()

    def _ended(self, driver: Driver) -> None:
        if not driver.is_ended:  # its client was closed, and nobody will tell what it costs
            self._changed.set()
            return
        seen = driver.snapshot
        if driver.state.job is JobState.NOT_SUBMITTED:
            self._close(driver, 0.0)
        elif seen is not None and seen.usage_seconds is not None:
            self._close(driver, seen.usage_seconds)
        elif driver.state.job is JobState.LOST or not driver.shared.host.is_running:
            self._changed.set()
        else:
            driver.shared.host.start_soon(lambda: self._settle(driver))

    async def _settle(self, driver: Driver) -> None:
        """Ask what an ended job was charged until the service has settled it."""
        give_up = anyio.current_time() + limits.USAGE_SECONDS
        pause = limits.POLL_FIRST_SECONDS
        usage = None
        while usage is None and anyio.current_time() < give_up:
            await anyio.sleep(pause)
            pause = min(pause * limits.POLL_FACTOR, limits.USAGE_CAP_SECONDS)
            with suppress(QawaitError):  # asked again
                usage = await asking.usage(driver)
        self._close(driver, _expected(driver) if usage is None else usage)

    def _close(self, driver: Driver, charge: float) -> None:
        if self._open.pop(driver, None) is not None:
            self._spent += charge
        self._news()


def _expected(driver: Driver) -> float:
    """Return what a job whose charge is not settled counts for."""
    if driver.is_unwanted and not driver.is_ended and driver.status is not JobStatus.RUNNING:
        return 0.0  # it is being cancelled and has used nothing
    most = driver.request.max_execution_time if driver.request else None
    known = [seconds for seconds in (driver.estimate, most) if seconds is not None]
    return min(known, default=0.0)


async def admit(driver: Driver, request: SubmitRequest) -> SubmitRequest:
    """Take a job into its budgets and return what to send: it may use what is left at most.

    Raises:
        BudgetExceededError: one of them has less than a second left.
    """
    budgets = [budget for budget in _in_order(driver.budgets) if not budget.has(driver)]
    if not budgets:
        return request
    asked = request.max_execution_time or limits.DEFAULT_EXECUTION_SECONDS
    async with AsyncExitStack() as stack:
        for budget in budgets:
            await stack.enter_async_context(budget.line)
        for budget in budgets:
            asked = min(asked, math.floor(await budget.room(asked)))
            if asked < 1:
                raise budget.refusal("the budget has too little left for another job")
        driver.request = request = replace(request, max_execution_time=asked)
        for budget in budgets:
            budget.take(driver)
    return request


def _in_order(budgets: Iterable[Budget]) -> list[Budget]:
    """Return each budget once, in an order that is everybody's, so that no two wait for another."""
    return sorted(set(budgets), key=lambda budget: budget._number)  # noqa: SLF001 - its own module
