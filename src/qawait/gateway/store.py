"""The gateway's jobs on disk: one SQLite file, and one file for each large result.

One thread does all of it, in order, many changes to a commit, so the event loop
never waits for the disk. A job that was accepted is on disk before its caller
has the answer.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import anyio

from qawait import limits
from qawait.errors import ConfigError
from qawait.gateway.record import Record
from qawait.guard.folder import check_file, make_private
from qawait.threads import in_thread, soon_in_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
Work: TypeAlias = "Callable[[sqlite3.Connection], Any]"
Then: TypeAlias = "Callable[[Any, BaseException | None], None]"

_log = logging.getLogger("qawait.gateway")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs(job_id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS codes(job_id TEXT PRIMARY KEY, code TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results(job_id TEXT PRIMARY KEY, body BLOB NOT NULL);
PRAGMA user_version = 1;
"""
_VERSION: Final = 1
_PUT: Final = "INSERT OR REPLACE INTO jobs VALUES(?, ?)"


class Store:
    """What a gateway must not forget; `folder` is one gateway's alone while it is open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work: queue.SimpleQueue[tuple[Work, Then | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> list[Record]:
        """Return the jobs known from before, oldest first.

        Raises:
            ConfigError: another gateway has the folder, or it cannot be used.
        """
        opened: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        failure: list[Exception] = []
        ready, soon = anyio.Event(), soon_in_loop()

        def main() -> None:
            try:
                opened.put(self._connect())
            except (sqlite3.Error, OSError, ConfigError) as error:
                failure.append(error)
            soon(ready.set)
            if not failure:
                self._run(opened.get())

        self._thread = threading.Thread(target=main, name="qawait-gateway-store", daemon=True)
        self._thread.start()
        await ready.wait()
        if failure:
            raise ConfigError(_refusal(self._folder, failure[0])) from failure[0]
        return await self._done(_load)

    def put(self, record: Record) -> None:
        """Write a job as it is now, soon."""
        self._work.put((functools.partial(_put, record.job_id, record.to_json()), None))

    async def keep(self, record: Record, code: str | None = None) -> None:
        """Return when the job as it is now, and its code if given, is on disk.

        Raises:
            OSError: it cannot be written.
        """
        text = record.to_json()

        def work(connection: sqlite3.Connection) -> None:
            _put(record.job_id, text, connection)
            if code is not None:
                connection.execute("INSERT INTO codes VALUES(?, ?)", (record.job_id, code))

        await self._done(work)

    async def code(self, job_id: str) -> str:
        """Return the OpenQASM text of a job.

        Raises:
            OSError: it cannot be read.
        """

        def work(connection: sqlite3.Connection) -> str:
            row = connection.execute("SELECT code FROM codes WHERE job_id = ?", (job_id,))
            return str(row.fetchone()[0])

        return await self._done(work)

    async def keep_result(self, record: Record, body: bytes) -> None:
        """Return when the job's result is on disk, and the job as it is now.

        Raises:
            OSError: it cannot be written.
        """
        text = record.to_json()

        def work(connection: sqlite3.Connection) -> None:
            if len(body) > limits.GATEWAY_INLINE_BYTES:
                self._write_file(record.job_id, body)
            else:
                row = (record.job_id, body)
                connection.execute("INSERT OR REPLACE INTO results VALUES(?, ?)", row)
            _put(record.job_id, text, connection)

        await self._done(work)

    async def result(self, job_id: str) -> bytes | None:
        """Return the body of a job's result; `None` if there is none.

        Raises:
            OSError: it cannot be read.
        """

        def work(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT body FROM results WHERE job_id = ?", (job_id,))
            found = row.fetchone()
            if found is not None:
                return bytes(found[0])
            with contextlib.suppress(FileNotFoundError):
                return self._file(job_id).read_bytes()
            return None

        return await self._done(work)

    def empty(self, record: Record) -> None:
        """Forget a job's code and result, soon."""
        text = record.to_json()

        def work(connection: sqlite3.Connection) -> None:
            self._remove(record.job_id, connection)
            _put(record.job_id, text, connection)

        self._work.put((work, None))

    def forget(self, job_id: str) -> None:
        """Forget a job altogether, soon."""

        def work(connection: sqlite3.Connection) -> None:
            self._remove(job_id, connection)
            connection.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))

        self._work.put((work, None))

    async def close(self) -> None:
        """Write what is left to write and give the folder back."""
        if self._thread is None or not self._thread.is_alive():
            return
        with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
            await self._done(lambda _: None)
            thread = self._thread
            self._work.put(None)
            await in_thread(thread.join)

    # --- on the store's thread -------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        make_private(self._folder)
        make_private(self._folder / "results")
        path = self._folder / "gateway.sqlite3"
        check_file(path)
        connection = sqlite3.connect(
            path, timeout=limits.JOURNAL_BUSY_SECONDS, isolation_level=None
        )
        try:
            # the file is locked for as long as the connection lives, a killed process's included
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            _check_version(connection, path)
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self, connection: sqlite3.Connection) -> None:
        while (first := self._work.get()) is not None:
            batch = [first]
            while len(batch) < limits.GATEWAY_BATCH and not self._work.empty():
                following = self._work.get()
                if following is None:
                    self._work.put(None)
                    break
                batch.append(following)
            _commit(connection, batch)
        connection.close()

    def _file(self, job_id: str) -> Path:
        return self._folder / "results" / f"{job_id}.json"

    def _write_file(self, job_id: str, body: bytes) -> None:
        path = self._file(job_id)
        partial = path.with_suffix(".partial")
        partial.write_bytes(body)
        partial.replace(path)

    def _remove(self, job_id: str, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM codes WHERE job_id = ?", (job_id,))
        connection.execute("DELETE FROM results WHERE job_id = ?", (job_id,))
        self._file(job_id).unlink(missing_ok=True)

    # --- on the loop -----------------------------------------------------------------------------

    async def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returned, once it has been committed."""
        done, soon = anyio.Event(), soon_in_loop()
        outcome: list[tuple[Any, BaseException | None]] = []

        def then(value: Any, error: BaseException | None) -> None:
            outcome.append((value, error))
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                soon(done.set)

        self._work.put((work, then))
        await done.wait()
        value, error = outcome[0]
        if error is not None:
            raise OSError(f"the gateway's disk failed: {error}") from error
        return value  # type: ignore[no-any-return]


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
        raise ConfigError(f"{path} was written by another version of qawait")


def _put(job_id: str, text: str, connection: sqlite3.Connection) -> None:
    connection.execute(_PUT, (job_id, text))


def _load(connection: sqlite3.Connection) -> list[Record]:
    rows = connection.execute("SELECT record FROM jobs").fetchall()
    return sorted((Record.from_json(text) for (text,) in rows), key=lambda record: record.number)


def _commit(connection: sqlite3.Connection, batch: list[tuple[Work, Then | None]]) -> None:
    """Carry out a batch in one transaction; if that fails, each part has failed."""
    values: list[Any] = []
    error: BaseException | None = None
    try:
        connection.execute("BEGIN IMMEDIATE")
        values += [work(connection) for work, _ in batch]
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError, TypeError) as failed:
        error = failed
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
    if error is not None and len(batch) > 1:  # one that fails must not take the others with it
        for part in batch:
            _commit(connection, [part])
        return
    if error is not None:
        _log.warning("the gateway's disk failed (%s: %s)", type(error).__name__, error)
    for place, (_, then) in enumerate(batch):
        if then is not None:
            then(None if error else values[place], error)


def _refusal(folder: Path, error: Exception) -> str:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return f"another gateway uses {folder}: give this one a folder of its own"
    return f"the gateway cannot use {folder}: {error}"
