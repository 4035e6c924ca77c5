"""A world to act in: a service, clients that can be killed, and what outlives them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from qawait.testing.faults import Fault
from qawait.testing.loop import SimulatedProcess, VirtualLoop
from qawait.testing.service import SimulatedService
from qawait.testing.simulation import invariants
from qawait.testing.simulation.clients import QawaitClient, Surroundings
from qawait.testing.simulation.keeping import SimulatedGuardian, SimulatedJournal
from qawait.testing.simulation.plan import Action, Plan, Setting, Verb
from qawait.testing.simulation.trace import Trace
from qawait.testing.simulation.waiters import SiblingError, Waiter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from qawait.guard.journal import Row
    from qawait.guard.recovery import Policy
    from qawait.testing.simulation.clients import Design, SimulatedClient, SimulatedSubmit

T = TypeVar("T")

JOBS_END_WITHIN = 60.0
"""Virtual seconds in which every wait has to end once nothing goes wrong any more."""
GUARDIAN_ENDS_WITHIN = 70.0
_SUBMITS = 4  # that a plan can make; more show nothing new
_ROUNDS = 3


@dataclass(eq=False)
class Program:
    """One run of a user's program: a client in a process of its own, and its guardian."""

    name: str
    process: SimulatedProcess
    client: SimulatedClient
    guardian: SimulatedGuardian
    guardian_process: SimulatedProcess | None = None
    left: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether it was killed or has come to its end."""
        return self.process.is_killed or self.left is not None


class World:
    """Carries out actions, one after another, on a virtual loop.

    Close it after use. `finish` ends what is going on as a program would, and
    returns the trace.
    """

    def __init__(self, setting: Setting, design: Design = QawaitClient) -> None:
        self.setting = setting
        self.loop = VirtualLoop(setting.seed)
        self.service = SimulatedService(
            latency=setting.latency,
            connect_seconds=setting.connect_seconds,
            listing_lag=setting.listing_lag,
            cut_lands=setting.cut_lands,
            outcomes=setting.outcomes,
        )
        self.journal = SimulatedJournal(setting.disk_seconds)
        self.trace = Trace(self.service)
        self._design = design
        self._programs: list[Program] = []
        self._submits: list[SimulatedSubmit] = []
        self._log = _Errors(self.trace)
        self.loop.set_exception_handler(self._complain)

    # --- driving it ------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` outside of any simulated process."""
        with self._log:
            return self.loop.run_until_complete(work)

    def do(self, action: Action) -> None:
        """Carry out one action."""
        self.run(self.act(action))

    def finish(self) -> Trace:
        """End it all without further faults, and return the trace."""
        return self.run(self._finish())

    def close(self) -> None:
        """Free everything."""
        self.loop.close()
        for program in self._programs:
            for process in (program.process, program.guardian_process):
                if process is not None:
                    process.bury()

    async def play(self, plan: Plan) -> Trace:
        """Carry out a plan from beginning to end."""
        for action in plan.actions:
            await self.act(action)
        return await self._finish()

    # --- actions ---------------------------------------------------------------------------------

    async def act(self, action: Action) -> None:
        """Carry out one action, after its pause."""
        await anyio.sleep(action.pause)
        self.trace.note(action.verb.value)
        match action.verb:
            case Verb.SUBMIT:
                await self._submit(action)
            case Verb.JOIN | Verb.CANCEL | Verb.POLL | Verb.FETCH:
                self._do_to_job(action)
            case Verb.STOP:
                await self._stop(action)
            case Verb.FAULT:
                self._add_fault(action)
            case Verb.RECOVER:
                await self._recover("attach" if action.which % 2 else "cancel")
            case _:
                await self._end(action)

    async def _program(self) -> Program:
        if self._programs and not self._programs[-1].is_gone:
            return self._programs[-1]
        name = f"client{len(self._programs)}"
        guardian = SimulatedGuardian(pipe_seconds=self.setting.pipe_seconds)
        process = SimulatedProcess(self.loop, name)
        client = self._design(
            Surroundings(name, self.service, self.journal, guardian, self.setting)
        )
        program = Program(name, process, client, guardian)
        self._programs.append(program)
        await process.start(client.open())
        return program

    async def _submit(self, action: Action) -> None:
        if len(self._submits) >= _SUBMITS:
            return
        program = await self._program()
        several = 2 + action.which % 2 if action.shape in ("owned", "as_completed") else 1
        submits = [
            program.client.submit(f"tag{len(self._submits) + nth}", action.on_cancel)
            for nth in range(several)
        ]
        self._submits += submits
        self.trace.detached |= {one.tag for one in submits if one.on_cancel == "detach"}
        self._start(
            Waiter(
                what="run",
                client=program.name,
                submits=submits,
                work=lambda: program.client.run(submits, action.shape),
                shape=action.shape,
                limit=action.seconds if action.shape == "wait_for" else 0.0,
            ),
            program,
        )

    def _do_to_job(self, action: Action) -> None:
        program = self._programs[-1] if self._programs else None
        if program is None or program.is_gone:
            return
        mine = [
            submit
            for waiter in self.trace.waiters
            if waiter.client == program.name and waiter.what == "run"
            for submit in waiter.submits
            if submit.submitted is not None
        ]
        if not mine:
            return
        submit = mine[action.which % len(mine)]
        work = {
            Verb.JOIN: submit.result,
            Verb.CANCEL: submit.cancel,
            Verb.POLL: submit.poll,
            Verb.FETCH: submit.fetch,
        }[action.verb]
        waiter = Waiter(what=action.verb.value, client=program.name, submits=[submit], work=work)
        self._start(waiter, program)

    async def _stop(self, action: Action) -> None:
        waiters = [waiter for waiter in self.trace.waiters if not waiter.is_over]
        if waiters:
            waiter = waiters[action.which % len(waiters)]
            # by its own process: anyio delivers a cancellation again and again until it is dead
            program = next(one for one in self._programs if one.name == waiter.client)
            await program.process.start(waiter.stop(action.stop, action.seconds))

    def _start(self, waiter: Waiter, program: Program) -> None:
        self.trace.waiters.append(waiter)
        waiter.task = program.process.start(waiter.main())

    def _add_fault(self, action: Action) -> None:
        fault = Fault(
            action.call,
            self.service.count(action.call) + action.which,
            action.trouble,
            after=action.after,
            delay=action.delay,
            late=action.late,
            spoil=action.spoil,
            stale=action.stale,
        )
        self.service.faults = (*self.service.faults, fault)
        self.trace.note(str(fault))

    async def _end(self, action: Action) -> None:
        match action.verb:
            case Verb.LEAVE:
                await self._leave()
            case Verb.KILL:
                self._kill(lands=action.lands)
            case Verb.KILL_GUARDIAN:
                self._kill_guardian()
            case Verb.RESTART:
                self._kill(lands=action.lands)
                await self._program()
            case _:
                pass  # its pause was all

    # --- ends ------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        program = self._programs[-1] if self._programs else None
        if program is None or program.is_gone:
            return
        began = self.loop.time()
        try:
            await program.process.start(program.client.leave())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.trace.found(f"leaving raised {error!r}")
        program.left = self.loop.time()
        self.trace.left(program.name, began, program.left)
        # a clean end writes what is waiting before it closes journal and pipe
        await anyio.sleep(max(self.setting.disk_seconds, self.setting.pipe_seconds))
        self._trigger(program)

    def _kill(self, *, lands: bool) -> None:
        program = self._programs[-1] if self._programs else None
        if program is None or program.is_gone:
            return
        self.service.land(self.loop.time())
        self.journal.lose(program.name)
        program.guardian.lose()
        program.process.kill()
        if not lands:
            self.service.cut(program.name)
        for waiter in self.trace.waiters:
            waiter.is_dead = waiter.is_dead or waiter.client == program.name
        self.trace.killed[program.name] = self.loop.time()
        self._trigger(program)

    def _trigger(self, program: Program) -> None:
        if not program.guardian.is_dead:
            program.guardian_process = SimulatedProcess(self.loop, f"guardian of {program.name}")
            program.guardian_process.start(
                program.guardian.settle(
                    self.service, lambda tag, outcome: self.journal.settle(tag, None, outcome)
                )
            )

    def _kill_guardian(self) -> None:
        if self._programs:
            program = self._programs[-1]
            program.guardian.kill()
            if program.guardian_process is not None:
                program.guardian_process.kill()
                self.trace.killed[program.guardian_process.name] = self.loop.time()

    async def _recover(self, policy: Policy) -> None:
        rows = self._left_behind()
        program = await self._program()
        if rows:
            await program.process.start(program.client.recover(rows, policy))

    def _left_behind(self) -> list[Row]:
        dead = {program.name for program in self._programs if self._is_dead(program)}
        rows = self.journal.rows().values()
        return [
            row
            for row in rows
            if row.outcome is None and row.owner in dead and row.on_cancel == "cancel"
        ]

    def _is_dead(self, program: Program) -> bool:
        """Whether neither it nor its guardian holds its lock any more."""
        guardian = program.guardian_process
        settles = guardian is not None and not guardian.is_killed and bool(guardian.running())
        return program.is_gone and not settles

    async def _finish(self) -> Trace:
        self.service.faults = ()
        self.trace.note("no more faults")
        await self._until_over(self._waits_end, JOBS_END_WITHIN)
        self.trace.check_waits(self.loop.time())
        await self._leave()
        await self._until_over(self._guardians_end, GUARDIAN_ENDS_WITHIN)
        self._check_guardians()
        for _ in range(_ROUNDS):
            if self._left_behind():
                await self._recover("cancel")
                await self._leave()
                await self._until_over(self._guardians_end, GUARDIAN_ENDS_WITHIN)
        self.service.land(self.loop.time())
        self.trace.over = self.loop.time()
        self._check_tasks()
        return self.trace

    def _waits_end(self) -> bool:
        return all(waiter.is_over for waiter in self.trace.waiters)

    def _guardians_end(self) -> bool:
        return all(
            program.guardian_process is None
            or program.guardian_process.is_killed
            or not program.guardian_process.running()
            for program in self._programs
        )

    async def _until_over(self, is_over: Any, seconds: float) -> None:
        until = self.loop.time() + seconds
        pause = 0.01
        while not is_over() and self.loop.time() < until:
            await anyio.sleep(min(pause, until - self.loop.time()))
            pause = min(2 * pause, 1.0)

    def _check_guardians(self) -> None:
        """Where no guardian was killed or had to give up, nothing is left to recover."""
        guardians = [program.guardian for program in self._programs]
        if not any(guardian.was_killed or guardian.has_given_up for guardian in guardians):
            now = self.loop.time()
            self.service.land(now)
            for orphan in invariants.orphans(self.trace, now):
                self.trace.found(f"left by its guardian: {orphan}")

    def _check_tasks(self) -> None:
        for program in self._programs:
            if not program.process.is_killed:
                for task in program.process.running():
                    self.trace.found(f"a task was left on the loop: {task.get_name()}")

    def _complain(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        is_of_the_dead = "was destroyed but it is pending" in context["message"]
        if not (is_of_the_dead or isinstance(error, SiblingError)):
            self.trace.found(f"the loop complains: {context['message']} {error!r}")


class _Errors(logging.Handler):
    """Takes errors that qawait logs for findings: they are bugs of its own."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.ERROR)
        self._trace = trace
        self._logger = logging.getLogger("qawait")

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._trace.found(f"an error was logged: {record.getMessage()}: {cause!r}")

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
