"""The client: owns drivers, poller and connections, and what can be asked of a service."""

from __future__ import annotations

import contextlib
import random
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import anyio

from qawait import limits
from qawait.browsing import Browser
from qawait.errors import ConfigError, GuardianError, NotSentError
from qawait.guard import recovery
from qawait.guard.assembly import journal_path
from qawait.guard.watchdog import Watchdog
from qawait.ibm.listing import JobListing, check_limit, check_tags, first_page
from qawait.ibm.wire.jobs import JobFilter
from qawait.jobs import caller, completed
from qawait.jobs.calls import Calls
from qawait.jobs.completed import AsCompleted
from qawait.jobs.driver import Driver
from qawait.jobs.fetching import KeptResults
from qawait.jobs.host import TaskHost
from qawait.jobs.job import Job, ResultT, checked_timeout
from qawait.jobs.lifecycle import Event, JobState
from qawait.jobs.poller import Poller
from qawait.jobs.schedule import PollSchedule
from qawait.jobs.session import NoSessionKeeper
from qawait.jobs.shared import Shared
from qawait.jobs.tags import client_tag, submit_tag
from qawait.jobs.updates import UpdateStream
from qawait.jobs.waiting import is_urgent, outlast
from qawait.runner import JobOptions, Runner, budgets_of, check_policy
from qawait.scope import Scope
from qawait.sessions import SessionMaker
from qawait.types import ResultCache, Stage, SubmitRequest, Update

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from qawait.guard.assembly import Protection
    from qawait.guard.guardian import Guardian
    from qawait.guard.journal import Row
    from qawait.guard.recovery import LeftBehind, Policy
    from qawait.ibm.backend import Backend
    from qawait.ibm.service import IBMService
    from qawait.jobs.budget import Budget
    from qawait.jobs.session import SessionKeeper
    from qawait.launching import Launcher
    from qawait.panels.panel import Panel
    from qawait.runner import Prepare
    from qawait.types import InstanceUsage, JobStatus, OnCancel, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What a client is opened with.

    `protect` makes what outlives the process, given the tag on all of the client's
    jobs; `None` where the service ends with the process. `is_mine` tells whether
    a journal's row is of this client's account. `until_gone` returns when the
    service has ended on its own. `submits_per_minute` and `budget` are limits
    for all of its jobs together.
    """

    protect: Callable[[str], Protection] | None
    is_mine: Callable[[Row], bool]
    on_cancel: OnCancel = "cancel"
    submits_per_minute: int | None = None
    budget: Budget | None = None
    schedule: PollSchedule = field(default_factory=PollSchedule)
    results: ResultCache = field(default_factory=ResultCache)
    clean_up: Callable[[], Awaitable[object]] | None = None
    until_gone: Callable[[], Awaitable[object]] | None = None


class Client(Runner, Browser, SessionMaker):
    """A connection to one instance of the service; owns every job submitted through it.

    Opened by `connect` or `local`. Leaving it, by `async with` or `aclose`,
    applies the policy of each job that is still live, then closes connections.
    """

    def __init__(self, service: IBMService, options: ClientOptions) -> None:
        draw = random.Random().random  # noqa: S311 - jitter is no secret
        Browser.__init__(self, service, Calls(draw, submits_per_minute=options.submits_per_minute))
        SessionMaker.__init__(self)
        self._options = options
        self._tag = client_tag()  # on all of its jobs, to ask for them together
        self._budgets = budgets_of(options.budget)
        self._host = TaskHost(clean_up=self._close_all, when_cut=self._entrust)
        self._host.when_stopped(self._wake_sessions)
        self._poller = Poller(service, options.schedule, draw, tag=self._tag)
        results = KeptResults(options.results.memory_bytes)
        self._shared = Shared(service, self._host, self._poller, self._calls, results=results)
        self._watchdog = Watchdog(drivers=lambda: self._owned, poller=self._poller)
        self._protection: Protection | None = None
        self._owned: set[Driver] = set()
        self._disown = self._owned.discard  # one for all jobs
        self._panels: set[Panel] = set()  # those that show what is still to come
        self._by_id: weakref.WeakValueDictionary[str, Driver] = weakref.WeakValueDictionary()
        self._is_closing = False

    @classmethod
    async def open(cls, service: IBMService, options: ClientOptions) -> Self:
        """Return a client that is ready."""
        client = cls(service, options)
        try:
            await client._host.start()
        except BaseException:  # cancelled while it was opened
            with anyio.CancelScope(shield=True):
                await client._host.stop()
            raise
        client._host.keep_running(client._poller.run)
        client._host.keep_running(client._watchdog.run)
        if options.until_gone is not None:
            client._host.start_soon(client._notice_end)
        return client

    def __repr__(self) -> str:
        live = sum(1 for driver in self._owned if not driver.is_ended)
        state = "closed" if self._is_closing else f"{live} live jobs"
        return f"<Client {self._service!r} {state}>"

    # --- jobs ------------------------------------------------------------------------------------

    async def attach(self, job_id: str, *, on_cancel: OnCancel = "detach") -> Job[Any]:
        """Return a handle on a job that exists already, whoever submitted it.

        Raises:
            RejectedError: the instance has no such job (`status` is 404).
        """
        self._check_usable()
        check_policy(on_cancel)
        known = self._by_id.get(job_id)
        if known is not None:
            return self._attached_again(known, on_cancel)
        snapshot = await self._calls.retrying(lambda: self._service.status(job_id))
        self._service.keep_warm()
        return self._attached(snapshot, on_cancel)

    def _attached_again(self, known: Driver, on_cancel: OnCancel) -> Job[Any]:
        """Return a handle on a job that is followed already; a cancelling policy takes over."""
        if on_cancel == "cancel" and known.on_cancel == "detach" and not known.is_ended:
            self._protect()
            known.on_cancel = "cancel"
            self._own(known)
            self._shared.keeper.note(known)
        return Job(known)

    job = attach
    """The name that qiskit-ibm-runtime gives to `attach`."""

    def jobs(  # noqa: PLR0913 - one name for each filter of the service
        self,
        *,
        limit: int | None = None,
        skip: int = 0,
        pending: bool | None = None,
        backend: str | None = None,
        program: str | None = None,
        tags: Sequence[str] = (),
        session_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        oldest_first: bool = False,
        include_mocks: bool = False,
    ) -> JobListing[Job[Any]]:
        """Return an async iterator over the instance's jobs that meet every condition given.

        `limit` bounds their number, after the first `skip` are left out; `pending`
        is true for queued and running jobs, false for ended ones; `tags` must all
        be on the job. Times without a zone are local, and count themselves. Dry
        runs are listed with `include_mocks`.

        Jobs that come, end or are deleted meanwhile make no other be missed or
        given twice. Each page is one request, made when it is needed.

        Raises:
            ConfigError: a condition is not of its type; nothing has been sent.
        """
        self._check_usable()
        check_limit(limit)
        check_tags(tags)
        which = JobFilter(
            pending=pending,
            backend=backend,
            program=program,
            tags=tuple(tags),
            session_id=session_id,
            created_after=created_after,
            created_before=created_before,
            sort="ASC" if oldest_first else "DESC",
            include_mocks=include_mocks,
        )
        return JobListing(
            self._service,
            self._calls,
            first_page(which, skip=skip),
            most=limit,
            make=lambda snapshot: self._attached(snapshot, "detach"),
        )

    def as_completed(self, jobs: Iterable[Job[ResultT]]) -> AsCompleted[ResultT]:
        """Return an async iterator over `jobs`, each as soon as it has ended."""
        self._check_usable()
        return AsCompleted(jobs)

    async def wait_all(
        self,
        jobs: Iterable[Job[Any]],
        timeout: float | None = None,  # noqa: ASYNC109 - it leaves the jobs alone
    ) -> list[JobStatus]:
        """Wait for the end of all `jobs` and return their final statuses, in their order.

        A `timeout`, in seconds, leaves the jobs alone when it passes. Cancelling
        the task that awaits this applies the policy of each job that is left.

        Raises:
            DeadlineExceededError: the timeout passed.
            QawaitError: waiting for one of them makes no sense, as for `Job.wait`.
        """
        self._check_usable()
        given = list(jobs)
        await completed.wait_all(given, seconds=checked_timeout(timeout))
        return [job.status for job in given]

    async def wait_any(
        self,
        jobs: Iterable[Job[ResultT]],
        timeout: float | None = None,  # noqa: ASYNC109 - it leaves the jobs alone
    ) -> Job[ResultT]:
        """Wait until one of `jobs` has ended and return it; the others go on.

        The rest is as for `wait_all`.

        Raises:
            ConfigError: there are no jobs.
            DeadlineExceededError: the timeout passed.
        """
        self._check_usable()
        return await completed.wait_any(jobs, seconds=checked_timeout(timeout))

    def scope(
        self,
        *,
        max_pending: int | None = None,
        on_cancel: OnCancel | None = None,
        budget: Budget | None = None,
    ) -> Scope:
        """Return a scope that owns the jobs submitted through it.

        A normal exit of its `async with` waits for them; an exception or a
        cancellation cancels each live one once. At most `max_pending` of them
        are on their way at a time, and all of them together may cost `budget`.
        """
        self._check_usable()
        if on_cancel is not None:
            check_policy(on_cancel)
        policy = on_cancel or self._options.on_cancel
        return Scope(self, max_pending=max_pending, on_cancel=policy, budget=budget)

    def panel(self) -> Panel:
        """Return a live panel of this client's jobs, those to come included; see `qawait.panel`.

        Raises:
            ConfigError: `rich` is needed and not installed.
        """
        self._check_usable()
        from qawait.panels.panel import Panel, usual_view

        return Panel(
            [Job(driver) for driver in self._owned],
            host=self._host,
            clock=self._shared.wall_clock,
            view=usual_view(),
            growing=self._panels,
        )

    async def recover(self, policy: Policy = "cancel") -> list[LeftBehind]:
        """Settle what earlier programs of this user left behind on this instance.

        `policy` is `"cancel"`, `"attach"` (the jobs become this client's again,
        each with its own policy) or `"list"`. Jobs of programs that still run,
        or whose guardian does, are not touched.

        Raises:
            QawaitError: the service cannot be asked.
        """
        self._check_usable()
        if policy not in ("cancel", "attach", "list"):
            raise ConfigError(f'policy must be "cancel", "attach" or "list", not {policy!r}')

        async def settle(row: Row) -> list[LeftBehind]:
            if row.is_session:
                session = await recovery.settle_session(
                    row, policy, service=self._service, calls=self._calls
                )
                return [session]
            return await recovery.settle(
                row, policy, service=self._service, calls=self._calls, take=self._take
            )

        return await recovery.recover(journal_path(), self._options.is_mine, settle)

    def _take(self, snapshot: Snapshot, row: Row) -> None:
        policy: OnCancel = "detach" if row.on_cancel == "detach" else "cancel"
        self._attached(snapshot, policy, is_cancelled=recovery.was_accepted(row))

    async def usage(self) -> InstanceUsage:
        """Return how much of its quantum processor time the instance has used.

        Raises:
            QawaitError: the service could not be asked.
        """
        self._check_usable()
        return await self._calls.retrying(self._service.usage)

    # --- the end ---------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Apply the policy of each live job and close every connection; again does nothing."""
        await self.leave(None)

    async def leave(self, error: BaseException | None) -> None:
        """Close as `aclose` does, because of `error`, which gets a note about each job."""
        self._host.check_loop()
        self._is_closing = True
        absorbed = None
        if not (is_urgent(error) and self._entrust()):
            patient = None if is_urgent(error) else error
            self._end_sessions()
            absorbed = await caller.leave(self._owned, patient)
            later = await self._settle_sessions(patient)
            absorbed = absorbed or later
        self._note_what_goes_on()
        later = await outlast(
            self._host.stop, lambda: self._host.is_stopped, seconds=limits.LEAVE_SECONDS
        )
        caller.raise_absorbed(absorbed or later, error)

    def _note_what_goes_on(self) -> None:
        if self._protection is not None:
            for driver in self._owned:
                if driver.on_cancel == "detach" and not driver.is_ended:
                    self._protection.guard.leave_running(driver)

    def _entrust(self) -> bool:
        """Leave what is live to the guardian, if there is one: nobody is to be kept waiting."""
        if self._protection is None or self._protection.guardian is None:
            return False
        self._protection.guardian.let_go()
        return True

    async def _notice_end(self) -> None:
        """Tell everybody when a service that ends on its own has ended."""
        if self._options.until_gone is not None:
            await self._options.until_gone()
        for driver in tuple(self._owned):
            ended = NotSentError("the embedded service has ended, and its jobs with it")
            if driver.state.job in (JobState.LIVE, JobState.UNKNOWN):
                driver.end_without_job(Event.GONE, ended)
            else:
                driver.worry(ended)

    async def _close_all(self) -> None:
        try:
            await self._service.aclose()
        finally:
            if self._protection is not None:
                await self._protection.close()
            if self._options.clean_up is not None:
                await self._options.clean_up()

    def _check_usable(self) -> None:
        if self._is_closing:
            raise ConfigError("this client is closed: open a new one with qawait.connect()")
        self._host.check_loop()

    # --- submitting ------------------------------------------------------------------------------

    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
        own: Callable[[Driver], object] | None = None,
        session_id: str | None = None,
    ) -> Driver:
        """Prepare and submit one job; return its driver once there is an id."""
        self._check_usable()
        self._protect()
        progress = _Progress(options.on_update)

        async def target() -> Backend:
            progress.tell(Stage.AUTHENTICATING)
            await self._calls.retrying(self._service.tokens.token)
            progress.tell(Stage.FETCHING_BACKEND)
            return await self._backends.ready(backend)

        program = await prepare(target, lambda: progress.tell(Stage.TRANSPILING))
        described = await (target() if not progress.stages else self._backends.ready(backend))
        options = options.within(program.environment)
        request = SubmitRequest(
            program=program.name,
            backend=await self._backends.mock_of(described) if options.dry_run else described.name,
            params=program.params,
            tag=submit_tag(),
            tags=(*options.tags, self._tag),
            max_execution_time=options.max_execution_time or limits.DEFAULT_EXECUTION_SECONDS,
            private=options.private,
            session_id=session_id,
            log_level=program.environment.log_level,
            image=program.environment.image,
            calibration_id=described.calibration_id,
        )
        self._check_usable()
        driver = Driver(
            self._shared,
            request,
            on_cancel=options.on_cancel or self._options.on_cancel,
            delivers=delivers,
            budgets=() if options.dry_run else (*self._budgets, *options.budgets),
        )
        if options.on_update is not None:
            driver.updates.listen(options.on_update)
        if own is not None:
            own(driver)
        self._own(driver)
        driver.submit()
        await caller.wait_identified(driver)
        self._by_id[driver.job_id] = driver
        return driver

    def _protect(self) -> None:
        """Begin to make what outlives this process, once there is something to outlive it."""
        if self._protection is not None or self._options.protect is None:
            return
        self._protection = self._options.protect(self._tag)
        guard, guardian = self._protection.guard, self._protection.guardian
        self._shared.keeper = guard
        self._service.tokens.on_token = guard.push_token
        if self._service.tokens.current is not None:
            guard.push_token(self._service.tokens.current)
        if guardian is not None:
            self._watchdog.guardian = guardian
            self._host.start_soon(lambda: _started(guardian))

    def _session_keeper(self) -> SessionKeeper:
        self._protect()
        return NoSessionKeeper() if self._protection is None else self._protection.guard

    @property
    def _launcher(self) -> tuple[Launcher, OnCancel]:
        return self, self._options.on_cancel

    def _own(self, driver: Driver) -> None:
        self._owned.add(driver)
        driver.on_end(self._disown)
        for panel in self._panels:
            panel.add(driver)

    def _attached(
        self, snapshot: Snapshot, on_cancel: OnCancel, *, is_cancelled: bool = False
    ) -> Job[Any]:
        known = self._by_id.get(snapshot.job_id)
        if known is not None:
            return self._attached_again(known, on_cancel)
        driver = Driver(self._shared, None, on_cancel=on_cancel)
        self._by_id[snapshot.job_id] = driver
        if on_cancel == "cancel":
            self._protect()
            self._own(driver)
        driver.attach(snapshot, is_cancelled=is_cancelled)
        return Job(driver)


class _Progress:
    """The stages before there is a job, told to `on_update`."""

    def __init__(self, on_update: Callable[[Update], object] | None) -> None:
        self.stages: list[Stage] = []
        self._stream = UpdateStream()
        if on_update is not None:
            self._stream.listen(on_update)

    def tell(self, stage: Stage) -> None:
        self.stages.append(stage)
        self._stream.publish(Update(stage=stage, time=time.time()))


async def _started(guardian: Guardian) -> None:
    with contextlib.suppress(GuardianError):  # the submit that needs it raises it
        await guardian.started()
