"""What two deaths left behind: found in the journal, settled at the next start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import CancelOutcome
from qawait.guard import journal
from support.emulated import Api
from support.killing import Program, guardians, program, until
from support.open import opened

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator
    from qawait.guard.recovery import Policy

pytestmark = pytest.mark.anyio


def kill_both(victim: Program) -> None:
    """Kill a program and its guardian so that neither can settle anything."""
    pids = guardians(victim.process.pid)
    assert pids
    os.kill(victim.process.pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not guardians(victim.process.pid), 5)
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.process.wait(5)


def left_behind(emu: Emulator, jobs: int = 2) -> list[str]:
    """Leave jobs running whose program and guardian are dead, and return their ids."""
    with program(emu, jobs=jobs) as victim:
        ids = victim.wait_submitted()
        kill_both(victim)
    assert len(emu.live()) == jobs
    return ids


def command(emu: Emulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m qawait recover` on the emulator."""
    return subprocess.run(
        [sys.executable, "-m", "qawait", "recover", *arguments],
        env={**os.environ, **emu.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_recover_cancels_what_two_deaths_left(emu: Emulator) -> None:
    """`client.recover()` cancels each live job of a dead program once, and only once."""
    ids = left_behind(emu)
    async with opened(emu) as client:
        found = await client.recover()
        assert {left.job_id for left in found} == set(ids)
        assert {left.outcome for left in found} == {"cancelled"}
        assert await client.recover() == []
    assert emu.live() == []
    assert [job.cancels for job in emu.jobs()] == [1, 1]


async def test_recover_leaves_detached_jobs_alone(emu: Emulator, state: Path) -> None:
    """A job that was meant to outlive its program is found, and not cancelled."""
    left_behind(emu, jobs=1)
    connection = journal.connect(state / "journal.sqlite3")
    connection.execute("UPDATE jobs SET on_cancel = 'detach'")
    connection.close()
    async with opened(emu) as client:
        assert [left.outcome for left in await client.recover()] == ["found"]
    assert len(emu.live()) == 1
    assert emu.jobs()[0].cancels == 0


async def test_two_recoveries_at_once_cancel_once(emu: Emulator) -> None:
    """Two programs that recover at the same time send one cancel for each job."""
    left_behind(emu, jobs=3)
    emu.route("POST /jobs/{id}/cancel").delay(0.2, times=None)
    async with opened(emu) as one, opened(emu) as other, anyio.create_task_group() as group:
        group.start_soon(one.recover)
        group.start_soon(other.recover)
    assert [job.cancels for job in emu.jobs()] == [1, 1, 1]


async def test_recover_attaches(emu: Emulator) -> None:
    """`client.recover("attach")` makes the jobs this client's own again, with their policy."""
    ids = left_behind(emu)
    async with opened(emu) as client:
        found = await client.recover("attach")
        assert {left.outcome for left in found} == {"attached"}
        jobs = [await client.attach(job_id) for job_id in ids]
        assert {job.on_cancel for job in jobs} == {"cancel"}
        assert len(emu.live()) == 2
    assert emu.live() == []
    assert [job.cancels for job in emu.jobs()] == [1, 1]


async def test_recover_lists_and_leaves_alone(emu: Emulator) -> None:
    """`client.recover("list")` tells what is there and sends no cancel."""
    left_behind(emu)
    async with opened(emu) as client:
        assert {left.outcome for left in await client.recover("list")} == {"found"}
        assert len(await client.recover("list")) == 2
    assert len(emu.live()) == 2
    assert {job.cancels for job in emu.jobs()} == {0}


async def test_a_submit_without_an_id_is_found_by_its_tag(emu: Emulator) -> None:
    """A job whose program died before it learnt the id is found and cancelled."""
    emu.route("POST /jobs").delay(1.0, when="after", anyway=True)
    with program(emu) as victim:
        victim.wait_posting()
        until(lambda: len(emu.jobs()) == 1, 5)
        kill_both(victim)
    async with opened(emu) as client:
        [left] = await client.recover()
    assert (left.outcome, left.job_id) == ("cancelled", emu.jobs()[0].id)
    assert emu.jobs()[0].cancels == 1


async def test_a_submit_that_never_arrived_is_forgotten(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intent of which the service knows nothing is settled as never submitted."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SPACING_SECONDS", 0.05)
    emu.route("POST /jobs").hang(when="headers")
    with program(emu) as victim:
        victim.wait_posting()
        kill_both(victim)
    emu.clear_faults()
    async with opened(emu) as client:
        assert [left.outcome for left in await client.recover()] == ["never submitted"]
        assert await client.recover() == []


async def test_jobs_of_living_programs_are_not_touched(emu: Emulator) -> None:
    """While their program lives, its jobs are neither listed nor cancelled."""
    with program(emu) as victim:
        victim.wait_submitted()
        async with opened(emu) as client:
            assert await client.recover() == []
        assert emu.jobs()[0].cancels == 0


async def test_a_job_that_ended_meanwhile_is_not_cancelled(emu: Emulator) -> None:
    """A job that has ended since is settled without a cancel."""
    ids = left_behind(emu, jobs=1)
    for job_id in ids:
        emu.script(job_id=job_id, outcome="complete", run_seconds=0)
    until(lambda: not emu.live(), 5)
    async with opened(emu) as client:
        assert [left.outcome for left in await client.recover()] == ["already final"]
    assert [job.cancels for job in emu.jobs()] == [0]


async def test_attaching_remembers_a_cancel_that_was_accepted(emu: Emulator, state: Path) -> None:
    """A job whose cancel the service took before both died is not cancelled a second time."""
    emu.script(outcome="complete", run_seconds=60, cancel_seconds=60, times=None)
    [job_id] = left_behind(emu, jobs=1)
    with closing(Api(emu)) as api:
        api.ask("POST", f"/jobs/{job_id}/cancel")
    connection = journal.connect(state / "journal.sqlite3")
    connection.execute("UPDATE jobs SET cancel = 'ACKED'")
    connection.close()
    async with opened(emu) as client:
        assert [left.outcome for left in await client.recover("attach")] == ["attached"]
        job = await client.attach(job_id)
        assert await job.cancel() is CancelOutcome.REQUESTED
        assert "cancel=ACKED" in repr(job)
    assert emu.cancels(job_id) == 1


@pytest.mark.parametrize(
    ("policy", "outcomes", "cancels"),
    [
        ("list", ["found", "found"], [0, 0]),
        ("cancel", ["cancelled", "cancelled"], [1, 1]),
        ("attach", ["attached", "cancelled"], [1, 1]),
    ],
)
async def test_two_jobs_of_one_submit_are_both_settled(
    emu: Emulator, policy: Policy, outcomes: list[str], cancels: list[int]
) -> None:
    """Should a lost submit have made two jobs, recovery leaves neither of them running."""
    emu.script(outcome="complete", run_seconds=60, times=None)
    emu.route("POST /jobs").delay(1.0, when="after", anyway=True)
    with program(emu) as victim:
        victim.wait_posting()
        until(lambda: len(emu.jobs()) == 1, 5)
        kill_both(victim)
    emu.clear_faults()
    with closing(Api(emu)) as api:
        api.submit(tags=list(emu.jobs()[0].tags))
    async with opened(emu) as client:
        found = await client.recover(policy)
        assert [left.outcome for left in found] == outcomes
        assert [left.job_id for left in found] == [job.id for job in emu.jobs()]
    assert [job.cancels for job in emu.jobs()] == cancels


def test_the_command_lists_and_cancels(emu: Emulator, state: Path) -> None:
    """`python -m qawait recover` shows what is left, and `--cancel` settles it."""
    ids = left_behind(emu)
    listed = command(emu)
    assert listed.returncode == 1, listed.stderr
    assert all(job_id in listed.stdout for job_id in ids)
    cancelled = command(emu, "--cancel", "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    rows: list[dict[str, Any]] = [json.loads(line) for line in cancelled.stdout.splitlines()]
    assert {row["job_id"] for row in rows} == set(ids)
    assert emu.live() == []
    assert command(emu).stdout == "nothing was left behind\n"
    assert journal.unsettled(state / "journal.sqlite3") == []


def test_the_command_says_when_the_service_is_away(state: Path) -> None:
    """Without an account the command says what is missing, and exits with 3."""
    home = {"HOME": str(state), "PATH": os.environ["PATH"]}
    told = subprocess.run(
        [sys.executable, "-m", "qawait", "recover"],
        env=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 3
    assert told.stderr.startswith("qawait: ")
