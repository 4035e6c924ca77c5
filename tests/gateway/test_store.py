"""What the gateway keeps on disk, and for how long."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from qawait import limits
from qawait.errors import ConfigError
from qawait.gateway import Settings
from qawait.gateway.jobs import Jobs
from qawait.gateway.problems import ProblemError
from qawait.gateway.record import Record
from qawait.gateway.store import Store
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from qawait.client import Client

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0


def record(number: int = 1, **changes: Any) -> Record:
    """Return a job that has just been accepted."""
    usual: dict[str, Any] = {"backend": "ibm_manila", "shots": 8, "on_cancel": "detach"}
    return Record(job_id=f"j{number}", number=number, created=NOW, **{**usual, **changes})


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Store, list[Record]]]:
    """Open a store while the block runs."""
    store = Store(folder)
    found = await store.open()
    try:
        yield store, found
    finally:
        await store.close()


async def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    """Jobs come back oldest first, with their codes and their results."""
    async with opened(tmp_path) as (store, found):
        assert found == []
        await store.keep(record(2), "code two")
        await store.keep(record(1), "code one")
        await store.keep_result(record(2, status=JobStatus.DONE), b"{}")
    async with opened(tmp_path) as (store, found):
        assert [each.number for each in found] == [1, 2]
        assert found[1].status is JobStatus.DONE
        assert await store.code("j1") == "code one"
        assert await store.result("j2") == b"{}"
        assert await store.result("j1") is None


async def test_a_large_result_is_a_file(tmp_path: Path) -> None:
    """A result beyond what the database takes is a file of its own, private and removable."""
    body = b"x" * (limits.GATEWAY_INLINE_BYTES + 1)
    async with opened(tmp_path) as (store, _):
        await store.keep_result(record(), body)
        path = tmp_path / "results" / "j1.json"
        assert path.read_bytes() == body
        assert tmp_path.stat().st_mode & 0o077 == 0
        assert await store.result("j1") == body
        store.empty(record())
        assert await store.result("j1") is None
        assert not path.exists()


async def test_a_folder_is_one_gateway_s(tmp_path: Path) -> None:
    """A second gateway on the same folder is refused, and told why."""
    async with opened(tmp_path):
        with pytest.raises(ConfigError, match="another gateway"):
            await Store(tmp_path).open()
    async with opened(tmp_path) as (_, found):
        assert found == []


async def test_one_write_that_fails_harms_no_other(tmp_path: Path) -> None:
    """What cannot be written fails alone, whatever is written with it."""
    async with opened(tmp_path) as (store, _):
        await store.keep(record(1), "code")
        with pytest.raises(OSError, match="disk"):
            await store.keep(record(1), "the same job's code again")
        await store.keep(record(2), "code")
    async with opened(tmp_path) as (_, found):
        assert [each.number for each in found] == [1, 2]


class Clock:
    """A clock that stands still."""

    now = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@asynccontextmanager
async def kept(
    folder: Path, *records: Record, **settings: Any
) -> AsyncIterator[tuple[Jobs, Clock]]:
    """Run a gateway's jobs, all of which have ended before."""
    async with opened(folder) as (store, _):
        for each in records:
            await store.keep(each, "code")
            await store.keep_result(each, b"{}")
    clock = Clock()
    jobs = Jobs(cast("Client", None), Settings(folder=folder, **settings), clock)
    async with jobs.running():
        yield jobs, clock


def done(number: int, **changes: Any) -> Record:
    """Return a job that is done and is kept for an hour."""
    usual = {"status": JobStatus.DONE, "ended": NOW, "expires": NOW + 3600, "result_bytes": 2}
    return record(number, **{**usual, **changes})


async def test_a_job_expires(tmp_path: Path) -> None:
    """A job is gone (410) from the moment of its expiry, and stays so after it was swept."""
    async with kept(tmp_path, done(1)) as (jobs, clock):
        assert await jobs.result(jobs.get("j1")) == b"{}"
        clock.now += 3600
        for _ in range(2):
            with pytest.raises(ProblemError) as gone:
                jobs.get("j1")
            assert gone.value.status == 410
            jobs.sweep()
        assert await jobs.store.result("j1") is None
        assert list(jobs.listed(before=None, status=None)) == []


async def test_results_are_bounded(tmp_path: Path) -> None:
    """Beyond the bytes that are kept, the oldest results expire before their time."""
    async with kept(tmp_path, done(1), done(2), done(3), keep_bytes=4) as (jobs, _):
        jobs.sweep()
        assert [each.number for each in jobs.listed(before=None, status=None)] == [3, 2]


async def test_jobs_are_bounded(tmp_path: Path) -> None:
    """Beyond the jobs that are kept, the oldest are forgotten altogether."""
    async with kept(tmp_path, done(1), done(2), keep_jobs=1) as (jobs, _):
        jobs.sweep()
        with pytest.raises(ProblemError) as unknown:
            jobs.get("j1")
        assert unknown.value.status == 404
    async with opened(tmp_path) as (_, found):
        assert [each.number for each in found] == [2]


async def test_a_job_s_changes_are_bounded(tmp_path: Path) -> None:
    """A job that changes without end keeps its first and its last changes."""
    async with kept(tmp_path, done(1)) as (jobs, clock):
        changing = jobs.get("j1")
        for _ in range(10 * limits.GATEWAY_EVENTS_PER_JOB):
            clock.now += 1
            jobs.changes.add(changing)
        assert len(changing.events) == limits.GATEWAY_EVENTS_PER_JOB
        assert changing.events[0]["time"] == NOW + 1
        assert changing.events[-1]["time"] == clock.now
