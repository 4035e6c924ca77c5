"""The journal: durable, private, and never in a submit's way."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import time
from typing import TYPE_CHECKING

import pytest

from qawait import limits
from qawait.errors import ConfigError
from qawait.guard import journal
from qawait.guard.folder import state_folder
from qawait.guard.journal import Journal, Row
from qawait.guard.owner import Owner, claim, start_time, taken_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a journal in a folder that does not exist yet."""
    return tmp_path / "state" / "journal.sqlite3"


@pytest.fixture
def owner(path: Path) -> Iterator[Owner]:
    """Give a test an owner with its lock held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = claim(path.parent)
    yield owner
    owner.release()


@pytest.fixture
def writer(path: Path, owner: Owner) -> Iterator[Journal]:
    """Give a test a journal that is closed afterwards."""
    writer = Journal(path, owner)
    yield writer
    writer.close()


def row(tag: str = "tag", **changes: object) -> Row:
    """Return a row of a job that was just meant."""
    fields: dict[str, object] = {
        "tag": tag,
        "owner": "somebody",
        "url": "https://service/api/v1",
        "instance": "crn:v1:…",
        "backend": "ibm_fez",
        "on_cancel": "cancel",
        "intended": time.time(),
    }
    return Row(**{**fields, **changes})  # type: ignore[arg-type]


async def test_what_was_kept_is_on_disk(path: Path, writer: Journal) -> None:
    """A row is there for another program as soon as `keep` has returned."""
    await writer.keep(row())
    assert [found.tag for found in journal.unsettled(path)] == ["tag"]


async def test_a_later_row_replaces_an_earlier(path: Path, writer: Journal) -> None:
    """The latest state of a job is what the journal holds; its intent keeps its time."""
    await writer.keep(row(intended=1.0))
    await writer.keep(row(intended=2.0, job_id="j1", cancel="SENT"))
    [found] = journal.unsettled(path)
    assert (found.job_id, found.cancel, found.intended) == ("j1", "SENT", 1.0)


async def test_a_settled_job_is_not_listed(path: Path, writer: Journal) -> None:
    """A job of which somebody has seen the end is nobody's to settle."""
    await writer.keep(row(outcome="DONE", ended=time.time()))
    assert journal.unsettled(path) == []


async def test_old_settled_rows_are_pruned(path: Path, writer: Journal) -> None:
    """Rows of jobs that ended long ago are gone after the next opening; live ones stay."""
    long_ago = time.time() - limits.JOURNAL_KEEP_SECONDS - 1
    await writer.keep(row("old", outcome="DONE", ended=long_ago))
    await writer.keep(row("new", outcome="DONE", ended=time.time()))
    await writer.keep(row("live", intended=long_ago))
    connection = journal.connect(path)
    tags = {tag for (tag,) in connection.execute("SELECT tag FROM jobs")}
    connection.close()
    assert tags == {"new", "live"}


async def test_folder_and_file_are_private(path: Path, writer: Journal) -> None:
    """Nobody else can read the folder or the file."""
    await writer.keep(row())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A journal that is a link to some other file is not followed."""
    target = tmp_path / "target"
    target.touch()
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "journal.sqlite3").symlink_to(target)
    with pytest.raises(ConfigError, match="link"):
        journal.connect(folder / "journal.sqlite3")


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    """A folder that is a link is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="link"):
        journal.connect(tmp_path / "state" / "journal.sqlite3")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(path: Path) -> None:
    """A journal that belongs to another user is not used."""
    path.parent.mkdir(mode=0o700, parents=True)
    path.touch()
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="another user"):
        journal.connect(path)


async def test_a_disk_that_cannot_be_written_is_reported_once(
    path: Path, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal that cannot be opened warns once, and `keep` returns all the same."""
    path.mkdir()  # no file can be made here
    writer = Journal(path, owner)
    for number in range(3):
        await writer.keep(row(f"tag{number}"))
    writer.close()
    assert writer.is_failing
    assert caplog.text.count("jobs go on without it") == 1


async def test_a_full_disk_makes_good_later(
    path: Path, writer: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that could not be written are made good by the next one of the same job."""

    def full(_: object, __: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_commit", full)
        await writer.keep(row())
    await writer.keep(row(job_id="j1"))
    assert [found.job_id for found in journal.unsettled(path)] == ["j1"]


async def test_a_corrupt_file_is_set_aside(path: Path, owner: Owner) -> None:
    """A file that is no journal is kept under another name, and a new one is begun."""
    path.write_bytes(b"this is no database" * 100)
    writer = Journal(path, owner)
    await writer.keep(row("lost"))
    await writer.keep(row("kept"))
    writer.close()
    assert [found.tag for found in journal.unsettled(path)] == ["kept"]
    assert len(list(path.parent.glob("journal.corrupt-*"))) == 1


async def test_two_programs_share_one_journal(path: Path, writer: Journal) -> None:
    """Rows of two writers end up in the same file."""
    other_owner = claim(path.parent)
    other = Journal(path, other_owner)
    await writer.keep(row("one"))
    await other.keep(row("two"))
    other.close()
    other_owner.release()
    assert {found.tag for found in journal.unsettled(path)} == {"one", "two"}


async def test_it_holds_no_secret_and_no_circuit(path: Path, writer: Journal) -> None:
    """The journal has these columns and no others."""
    await writer.keep(row())
    connection = journal.connect(path)
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(jobs)")}
    connection.close()
    assert columns == {
        "tag", "owner", "url", "instance", "backend", "on_cancel",
        "intended", "job_id", "cancel", "outcome", "ended",
    }  # fmt: skip


def test_a_living_owner_cannot_be_taken_over(path: Path, owner: Owner) -> None:
    """While its process lives, an owner's jobs are its own."""
    with taken_over(path.parent, owner.name) as is_dead:
        assert not is_dead


def test_a_dead_owner_can_be_taken_over_once(path: Path, owner: Owner) -> None:
    """When the lock is free its jobs may be settled, by one program at a time."""
    owner.release()
    with taken_over(path.parent, owner.name) as is_dead:
        assert is_dead
        with taken_over(path.parent, owner.name) as again:
            assert not again
    assert not (path.parent / f"{owner.name}.lock").exists()


def test_the_lock_lives_on_in_whoever_was_handed_it(path: Path, owner: Owner) -> None:
    """A guardian that holds the descriptor keeps the owner's jobs its own."""
    held = os.dup(owner.lock)
    owner.release()
    with taken_over(path.parent, owner.name) as is_dead:
        assert not is_dead
    os.close(held)


def test_a_forked_child_does_not_hold_the_lock(path: Path, owner: Owner) -> None:
    """When an owner dies, a child that it forked does not keep its jobs from recovery."""
    ready, child_is_ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(child_is_ready, b"!")
        signal.pause()
    os.read(ready, 1)
    owner.release()
    with taken_over(path.parent, owner.name) as is_dead:
        assert is_dead
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(child_is_ready)


def test_an_owner_knows_when_it_was_started(owner: Owner) -> None:
    """Process id and start time together name a process for good."""
    assert (owner.pid, owner.started) == (os.getpid(), start_time(os.getpid()))
    assert owner.started.isdigit()


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"QAWAIT_STATE": "/q"}, "/q"),
        ({"XDG_STATE_HOME": "/x"}, "/x/qawait"),
    ],
)
def test_the_folder_can_be_chosen(variables: dict[str, str], folder: str) -> None:
    """`QAWAIT_STATE` names the folder itself, `XDG_STATE_HOME` the one above it."""
    assert str(state_folder(variables)) == folder
