"""The journal: which jobs were meant, are live, have ended; on disk, for whoever comes after.

One SQLite file for all programs of a user, in the folder `folder.state_folder()`.
It holds no circuit, no key and no token. All writing is done by a thread of its
own, many rows to a commit, so the event loop never waits for the disk; an intent
is awaited until it is durable.

A disk that is full, read-only or corrupt is reported once and never loses or
blocks a submit: rows are whole, so the next one that can be written makes good.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Final

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.guard.folder import check_file, make_private
from qawait.threads import soon_in_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qawait.guard.owner import Owner

_log = logging.getLogger("qawait.journal")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS owners(
    name TEXT PRIMARY KEY, pid INTEGER, started TEXT, boot TEXT, opened REAL);
CREATE TABLE IF NOT EXISTS jobs(
    tag TEXT PRIMARY KEY, owner TEXT, url TEXT, instance TEXT, backend TEXT, on_cancel TEXT,
    intended REAL, job_id TEXT, cancel TEXT, outcome TEXT, ended REAL);
CREATE INDEX IF NOT EXISTS unsettled ON jobs(owner) WHERE outcome IS NULL;
"""


SESSION: Final = "session:"
"""What the tag of a session's row begins with; its id is where a job's is."""
CLOSED: Final = "CLOSED"
"""The outcome of a session that takes no more jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One job, or one session, as the journal knows it.

    `outcome` is `None` while nobody has seen how the job ended; times are
    seconds since the epoch.
    """

    tag: str
    owner: str
    url: str
    instance: str
    backend: str
    on_cancel: str
    intended: float
    job_id: str | None = None
    cancel: str = "NONE"
    outcome: str | None = None
    ended: float | None = None

    @property
    def is_session(self) -> bool:
        """Whether this is a session or batch."""
        return self.tag.startswith(SESSION)


_COLUMNS: Final = tuple(field.name for field in fields(Row))
_PUT: Final = (
    f"INSERT INTO jobs({', '.join(_COLUMNS)}) VALUES({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT(tag) DO UPDATE SET owner=excluded.owner, job_id=excluded.job_id, "
    "on_cancel=excluded.on_cancel, cancel=excluded.cancel, outcome=excluded.outcome, "
    "ended=excluded.ended"
)
_PRUNE: Final = "DELETE FROM jobs WHERE outcome IS NOT NULL AND ended < ?"
_PRUNE_OWNERS: Final = (
    "DELETE FROM owners WHERE opened < ? AND name NOT IN "
    "(SELECT owner FROM jobs WHERE outcome IS NULL)"
)
_UNSETTLED: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE outcome IS NULL ORDER BY intended"  # noqa: S608 - our own names
)


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to the journal, made if need be, pruned of old settled rows.

    Raises:
        ConfigError: the folder or file is a link or somebody else's.
        OSError, sqlite3.Error: it cannot be used.
    """
    make_private(path.parent)
    check_file(path)
    connection = sqlite3.connect(path, timeout=limits.JOURNAL_BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        old = time.time() - limits.JOURNAL_KEEP_SECONDS
        connection.execute(_PRUNE, (old,))
        connection.execute(_PRUNE_OWNERS, (old,))
    except BaseException:
        connection.close()
        raise
    return connection


def unsettled(path: Path) -> list[Row]:
    """Return the jobs of which nobody has seen the end, oldest first; none without a journal.

    Raises:
        ConfigError: the file is a link or somebody else's.
        sqlite3.Error: it cannot be read.
    """
    if not path.exists():
        return []
    with contextlib.closing(connect(path)) as connection:
        rows = connection.execute(_UNSETTLED).fetchall()
    return [Row(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def settle(path: Path, tag: str, job_id: str | None, outcome: str) -> None:
    """Take down how a job that was left behind has ended.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    with contextlib.closing(connect(path)) as connection:
        connection.execute(
            "UPDATE jobs SET job_id=?, outcome=?, ended=? WHERE tag=?",
            (job_id, outcome, time.time(), tag),
        )


class Journal:
    """Writes rows in the order in which they are put, on a thread of its own.

    `on_idle` is called on that thread about once a second while there is nothing to
    write: it goes on when the event loop does not.
    """

    def __init__(
        self, path: Path, owner: Owner, *, on_idle: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self.is_failing = False
        self._on_idle = on_idle
        self._owner = owner
        self._waiting: list[tuple[Row, Callable[[], None] | None]] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_warned = False
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="qawait-journal", daemon=True)
        self._thread.start()

    def put(self, row: Row, then: Callable[[], None] | None = None) -> None:
        """Write a row soon; `then` is called, on the writing thread, when it is on disk."""
        with self._changed:
            self._waiting.append((row, then))
            self._changed.notify()

    async def keep(self, row: Row) -> None:
        """Return when the row is on disk, or cannot be written, or has taken too long."""
        kept = anyio.Event()
        soon = soon_in_loop()

        def then() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                soon(kept.set)

        self.put(row, then)
        with anyio.move_on_after(limits.JOURNAL_KEEP_UP_SECONDS) as limit:
            await kept.wait()
        if limit.cancelled_caught:
            self._warn(TimeoutError("the disk does not keep up"))

    def close(self) -> None:
        """Write what is waiting and end the thread, within a bound."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(limits.JOURNAL_KEEP_UP_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or self._is_closing, limits.JOURNAL_IDLE_SECONDS
                )
                batch, self._waiting = self._waiting, []
                is_closing = self._is_closing
            if self._on_idle is not None and not batch:
                self._on_idle()
            self._write([row for row, _ in batch])
            for _, then in batch:
                if then is not None:
                    then()
            if is_closing and not self._waiting:
                break
        if self._connection is not None:
            self._connection.close()

    def _write(self, rows: list[Row]) -> None:
        if not rows:
            return
        try:
            self._commit(rows)
            self.is_failing = False
        except (sqlite3.Error, OSError, ConfigError) as error:
            self.is_failing = True
            self._warn(error)
            self._drop_connection(error)

    def _commit(self, rows: list[Row]) -> None:
        if self._connection is None:
            self._connection = self._connected()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_PUT, [astuple(row) for row in rows])
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _connected(self) -> sqlite3.Connection:
        owner = self._owner
        connection = connect(self.path)
        connection.execute(
            "INSERT OR REPLACE INTO owners VALUES(?, ?, ?, ?, ?)",
            (owner.name, owner.pid, owner.started, owner.boot, time.time()),
        )
        return connection

    def _drop_connection(self, error: Exception) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if type(error) is sqlite3.DatabaseError:
            self._set_aside()

    def _set_aside(self) -> None:
        """Keep a corrupt file for whoever wants to look at it, and make way for a new one."""
        aside = self.path.with_suffix(f".corrupt-{int(time.time())}")
        with contextlib.suppress(OSError):
            self.path.rename(aside)
            _log.warning("the corrupt journal was set aside as %s", aside.name)

    def _warn(self, error: Exception) -> None:
        if not self._is_warned:
            self._is_warned = True
            _log.warning(
                "the journal %s cannot be written (%s: %s); jobs go on without it",
                self.path,
                type(error).__name__,
                error,
            )
