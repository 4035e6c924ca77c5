"""The guardian: settles jobs and sessions that a process left live when it died. It runs alone.

    python -I -S guardian_main.py PARENT_PID

Standard library only, without site, PYTHONPATH and working directory, so nothing
that lies about can be injected. It reads JSON from stdin, one object a line:

    {"conf": {…}}                          where the service is: see `guardian.Where`
    {"token": BEARER}                      the latest counts; it is never written anywhere
    {"open": {"tag": T, "id": null}}       a submit is about to be sent; or a job with its id
    {"live": {"tag": T, "id": ID}}         the service has given an id
    {"cancel": {"tag": T, "state": S}}     how far the parent got with its cancel
    {"close": {"tag": T}}                  settled, or not to be cancelled: forget it
    {"session": {"id": ID, "keeps_jobs": B, "is_asked": B}}
                                           open: whether jobs in it are to go on, and
                                           whether the parent has asked for its end
    {"session_end": {"id": ID}}            it takes no more jobs: forget it

Anything else is ignored. The end of the input or the parent's death, whichever is
first, is the trigger: each open job is found by its tag if its id is unknown,
queried, and cancelled if it is live; again only if the answer was lost and it still
is. Each open session is ended in the same way: its queued jobs are dropped unless
jobs in it are to go on. A refused bearer ends the run. Outcomes go to the journal.

On stdout it writes one line, `ready`. It ignores SIGINT, SIGTERM and SIGHUP. Exit
codes: 0 all is settled, 1 jobs are left to the journal, 2 all is settled but the
journal could not be told, 70 a bug. What is for macOS and Windows is not run by the
tests.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would take 0.6 MiB
    import socket
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Any

    Reply = tuple[int, dict[str, Any], float]

# --- limits; times are in seconds ---------------------------------------------------------------

CALL_SECONDS = 10.0  # for one request: an answer that drips holds up nothing else
CONNECT_SECONDS = 5.0
JOURNAL_SECONDS = 5.0
WINDOWS_SECONDS = 0.1  # between two looks at the pipe, which cannot be waited for there
LOOKS, LOOK_SECONDS = 5, 1.0  # looks for a submit that may still be landing, and between them
BACKOFF_BASE, BACKOFF_CAP, SHORT_SECONDS = 0.25, 8.0, 0.02
STREAK = 8  # failures in a row that end a round
QUERIES = 6  # queries without an answer after which the first cancel is sent all the same

WORKERS = 8  # 4 are fastest on the loopback, but a slow line carries more with more
FEW_JOBS = 4  # up to here each job is asked for by itself
PAGE, PAGES = 200, 500  # jobs in a page, the most the service gives; pages that are read
MAX_JOBS = 100_000
GIVEN_UP = float("inf")  # when a job is due that the service refuses to talk about
MAX_LINE = MAX_HEAD = 64 * 2**10
MAX_BODY = 4 * 2**20
CHUNK, MAX_READS = 16 * 2**10, 512  # a stranger who holds the pipe cannot keep it busy for ever

CLOSED, CLOSING = "CLOSED", '{"accepting_jobs":false}'
CANCELLED, FINAL, NEVER = "CANCELLED_BY_GUARDIAN", "FINAL", "NEVER_SUBMITTED"
LOST, OK, NO_CONTENT, UNAUTHORISED, NOT_FOUND, CONFLICT = 0, 200, 204, 401, 404, 409
ENDED = {OK: CANCELLED, NO_CONTENT: CANCELLED, NOT_FOUND: FINAL, CONFLICT: FINAL}
REFUSED = frozenset(range(400, 500)) - {NOT_FOUND, 408, CONFLICT, 425, 429}
STDIN, STDOUT = 0, 1

# --- what the parent has told -------------------------------------------------------------------


class Job:
    """A submit that is open, and what became of each job that it made at the service."""

    id: str | None = None
    cancel = "NONE"
    due = 0.0
    failures = looks = 0
    is_missed = False

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.found: dict[str, str | None] = {}

    @property
    def outcome(self) -> str | None:
        """What to write down; `None` while something about it is not settled."""
        outcomes = {FINAL} if self.cancel == "ACKED" else set(self.found.values()) or {NEVER}
        if None in outcomes or (self.id is None and self.looks < LOOKS):
            return None
        return CANCELLED if CANCELLED in outcomes else outcomes.pop()

    def row(self) -> tuple[object, ...]:
        """Return what the journal wants to know."""
        is_acked = self.cancel == "ACKED" or self.outcome == CANCELLED
        job_id, state = next(iter(self.found), None), "ACKED" if is_acked else "MOOT"
        return job_id, state, self.outcome, time.time(), self.tag


class Session:
    """A session that is open, to be ended whatever becomes of its jobs."""

    due = 0.0
    is_asked = False
    outcome: str | None = None

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.keeps_jobs = False

    def row(self) -> tuple[object, ...]:
        """Return what the journal wants to know."""
        return self.id, "NONE", self.outcome, time.time(), f"session:{self.id}"


class Book:
    """All that the parent has written, up to where it was torn off."""

    def __init__(self) -> None:
        self.conf: dict[str, Any] = {}
        self.token = ""
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, Session] = {}
        self._rest = b""
        self._is_oversized = False

    @property
    def entries(self) -> list[Job | Session]:
        """All that is open, sessions last."""
        return [*self.jobs.values(), *self.sessions.values()]

    def feed(self, piece: bytes) -> None:
        """Take in bytes as they come; a line counts once its newline is there."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if not self._is_oversized:
                self._read(line)
            self._is_oversized = False
        if len(self._rest) > MAX_LINE:
            self._rest, self._is_oversized = b"", True

    def _read(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return
        match message:
            case {"conf": dict(conf)}:
                self.conf = conf
            case {"token": str(token)}:
                self.token = token
            case {"open": {"tag": str(tag), **job}} | {"live": {"tag": str(tag), **job}}:
                self._open(tag, job.get("id"))
            case {"cancel": {"tag": str(tag), "state": str(state)}} if tag in self.jobs:
                self.jobs[tag].cancel = state
            case {"close": {"tag": str(tag)}}:
                self.jobs.pop(tag, None)
            case {"session": {"id": str(session_id), **how}}:
                if session_id in self.sessions or len(self.sessions) < MAX_JOBS:
                    session = self.sessions.setdefault(session_id, Session(session_id))
                    session.keeps_jobs = how.get("keeps_jobs") is True
                    session.is_asked = how.get("is_asked") is True
            case {"session_end": {"id": str(session_id)}}:
                self.sessions.pop(session_id, None)

    def _open(self, tag: str, job_id: object) -> None:
        if tag in self.jobs or len(self.jobs) < MAX_JOBS:
            job = self.jobs.setdefault(tag, Job(tag))
            if isinstance(job_id, str):
                job.id, job.found = job_id, {job_id: None}


# --- the trigger --------------------------------------------------------------------------------


def arrivals(has_died: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what the parent writes, until it closes its end or has died.

    A process that the parent forked may hold the pipe open, so its end alone
    would not do. What a killed parent had written is still read.
    """
    is_over = False
    while not is_over:
        is_over = has_died()
        for _ in range(MAX_READS):
            try:
                piece = read()
            except BlockingIOError:
                break
            if not piece:
                return
            yield piece


if sys.platform == "win32":

    def read() -> bytes:
        """Return what is to be read, nothing at the end; raise `BlockingIOError` otherwise."""
        import ctypes
        import msvcrt

        pipe, size = ctypes.c_void_p(msvcrt.get_osfhandle(STDIN)), ctypes.c_ulong()
        peek = ctypes.WinDLL("kernel32").PeekNamedPipe
        if peek(pipe, None, 0, None, ctypes.byref(size), None) and not size.value:
            raise BlockingIOError
        return os.read(STDIN, CHUNK) if size.value else b""

    def death_watch(parent: int) -> Callable[[], bool]:
        """Return a call that waits a while and tells whether the parent has died."""
        import ctypes

        kernel, seconds = ctypes.WinDLL("kernel32"), WINDOWS_SECONDS
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(kernel.OpenProcess(0x0010_0000, 0, parent))  # SYNCHRONIZE
        if handle.value:
            return lambda: kernel.WaitForSingleObject(handle, int(seconds * 1000)) == 0
        return lambda: kernel.SleepEx(int(seconds * 1000), 0) == 1  # never: its end has to do

else:

    def read() -> bytes:
        """Return what is to be read, as on Windows."""
        return os.read(STDIN, CHUNK)

    def death_watch(parent: int) -> Callable[[], bool]:
        """Return a call that waits for input or the parent's death, and tells if it was that."""
        os.set_blocking(STDIN, False)
        try:
            return watch(parent)
        except ProcessLookupError:
            return lambda: True


if sys.platform == "linux":

    def watch(parent: int) -> Callable[[], bool]:
        """Watch on Linux; where pidfds are missing or forbidden, the input's end has to do."""
        poll, descriptor = select.poll(), -1
        poll.register(STDIN, select.POLLIN)
        try:
            descriptor = os.pidfd_open(parent)
            poll.register(descriptor, select.POLLIN)
        except ProcessLookupError:
            raise
        except (OSError, AttributeError):
            pass
        return lambda: any(ready == descriptor for ready, _ in poll.poll())

elif sys.platform != "win32":

    def watch(parent: int) -> Callable[[], bool]:
        """Watch on macOS and the BSDs."""
        queue, exits, add = select.kqueue(), select.KQ_FILTER_PROC, select.KQ_EV_ADD
        queue.control([select.kevent(STDIN, select.KQ_FILTER_READ, add)], 0)
        queue.control([select.kevent(parent, exits, add, select.KQ_NOTE_EXIT)], 0)
        return lambda: any(event.filter == exits for event in queue.control(None, 2))


# --- HTTP ---------------------------------------------------------------------------------------


class Connection:
    """A kept connection: sends a request and reads the whole answer, within bounds."""

    def __init__(self, conf: dict[str, Any], token: str, context: ssl.SSLContext | None) -> None:
        self._conf = conf
        self._context = context
        self._headers = f"{conf['headers']}Authorization: Bearer {token}\r\n"
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._until = 0.0

    def ask(self, method: str, path: str, until: float) -> Reply:
        """Return status, JSON object and `Retry-After`, by a moment.

        Without a whole and sound answer the status is `LOST`; the request may
        have had its effect.
        """
        self._until = until
        try:
            return self._exchange(self._socket or self._connect(), method, path)
        except (OSError, ValueError, IndexError, RecursionError):
            self.close()
            return LOST, {}, 0.0

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def _connect(self) -> socket.socket:
        import socket

        (host, port), tunnel = self._conf["address"], self._conf["tunnel"]
        # As bytes, the name is not put through a codec that takes a while to load.
        address = (host.encode(), port)
        self._socket = socket.create_connection(address, min(CONNECT_SECONDS, self._left()))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tunnel:
            self._socket.sendall(tunnel.encode())
            if self._head()[0] != OK:
                raise ConnectionError
        if self._context is not None:
            name = self._conf["tls"]
            self._socket = self._context.wrap_socket(self._socket, server_hostname=name)
        return self._socket

    def _exchange(self, to: socket.socket, method: str, path: str) -> Reply:
        body = CLOSING if method == "PATCH" else ""
        length = "" if method == "GET" else f"Content-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        first = f"{method} {self._conf['prefix']}{path} HTTP/1.1\r\n"
        request = f"{first}{self._headers}{kind}{length}\r\n{body}"
        to.settimeout(self._left())
        to.sendall(request.encode("latin-1"))
        status, headers = self._head()
        if status == NO_CONTENT:
            content = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            content = b"".join(iter(self._chunk, b""))
        else:  # without a length, an answer cannot be told from a torn one
            content = self._exactly(int(headers.get("content-length", "-1")))
        if "close" in headers.get("connection", "").lower():
            self.close()
        record = json.loads(content) if method == "GET" and status == OK else {}
        if not isinstance(record, dict):
            raise ValueError("not an object")  # noqa: TRY004 - of the service's making, not ours
        return status, record, seconds_of(headers.get("retry-after", ""))

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _fill(self, most: int) -> None:
        if self._socket is None or len(self._buffer) > most:
            raise ValueError("an answer without end")
        self._socket.settimeout(self._left())
        piece = self._socket.recv(CHUNK)
        if not piece:
            raise ConnectionError
        self._buffer += piece

    def _until_mark(self, mark: bytes) -> str:
        while mark not in self._buffer:
            self._fill(MAX_HEAD)
        found, _, self._buffer = self._buffer.partition(mark)
        return found.decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        if not 0 <= size <= MAX_BODY:
            raise ValueError("no size for a body")
        while len(self._buffer) < size:
            self._fill(size)
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _chunk(self) -> bytes:
        found = self._exactly(int(self._until_mark(b"\r\n").partition(";")[0], 16))
        self._until_mark(b"\r\n")
        return found

    def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._until_mark(b"\r\n\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        if status < OK:  # 100 Continue and its like come before the answer
            return self._head()
        pairs = (line.partition(":") for line in lines)
        return status, {name.lower(): value.strip() for name, _, value in pairs}


def seconds_of(retry_after: str) -> float:
    """Return how long the service wants to be left alone; 0 if it does not say."""
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        from email.utils import mktime_tz, parsedate_tz

        date = parsedate_tz(retry_after)
        seconds = mktime_tz(date) - time.time() if date else 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


# --- settling -----------------------------------------------------------------------------------


class Settling:
    """Goes round the open jobs until each is settled or the time is up."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._deadline = time.monotonic() + book.conf["seconds"]
        self._context: ssl.SSLContext | None = None
        self._is_refused = False
        self._streak, self._hint = 0, 0.0

    def run(self) -> None:
        """Settle what can be settled; each round tries every job that is due once."""
        if self._book.conf["tls"]:
            import ssl

            trusted = self._book.conf["ca_file"]
            is_folder = trusted is not None and os.path.isdir(trusted)  # noqa: PTH112 - as above
            where = {"capath": trusted} if is_folder else {"cafile": trusted}
            self._context = ssl.create_default_context(**where)
        failures = 0
        while (due := self._due()) < self._deadline and self._left():
            time.sleep(max(0.0, due - time.monotonic()))
            self._round(time.monotonic())
            failures += self._streak > 0
            if self._due() < self._deadline:
                time.sleep(min(self._left(), max(self._hint, backoff(failures))))

    def _due(self) -> float:
        """Return when the next job is due; after the deadline if none is."""
        open_ones = (one.due for one in self._book.entries if one.outcome is None)
        return min(open_ones, default=GIVEN_UP)

    def _left(self) -> float:
        return 0.0 if self._is_refused else max(0.0, self._deadline - time.monotonic())

    def _round(self, now: float) -> None:
        from threading import Thread

        self._streak, self._hint = 0, 0.0
        todo = [one for one in self._book.entries if one.outcome is None and one.due <= now]
        known = {one.id for one in todo if isinstance(one, Job) and one.id is not None}
        live = self._survey(known) if len(known) > FEW_JOBS else set()
        crew = [Thread(target=self._work, args=(todo, live), daemon=True) for _ in todo[:WORKERS]]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(self._left())

    def _work(self, todo: list[Job | Session], live: set[str]) -> None:
        connection = self._connection()
        while todo and self._streak < STREAK and self._left():
            try:
                job = todo.pop()
            except IndexError:  # another thread was faster
                break
            if isinstance(job, Session):
                self._end(job, connection)
                continue
            if job.id is None:
                live = live | self._look(job, connection)
            for job_id in [one for one, outcome in job.found.items() if outcome is None]:
                self._settle(job, job_id, connection, is_seen_live=job_id in live)
        connection.close()

    def _connection(self) -> Connection:
        return Connection(self._book.conf, self._book.token, self._context)

    def _settle(self, job: Job, job_id: str, to: Connection, *, is_seen_live: bool) -> None:
        """Cancel a job if it is live; again only if the answer was lost and it still is."""
        path = f"/jobs/{quoted(job_id)}"
        if not is_seen_live or job.cancel != "NONE":
            status, record = self._ask(to, "GET", f"{path}?exclude_params=true")
            if status == NOT_FOUND and not job.is_missed:  # so new that it is not known everywhere
                job.is_missed, job.due = True, time.monotonic() + LOOK_SECONDS
                return
            if status in REFUSED:
                job.due = GIVEN_UP
                return
            if status == NOT_FOUND or (record and not is_live(record)):
                job.found[job_id] = FINAL
                return
            job.failures += not record
            if not record and (job.cancel != "NONE" or job.failures < QUERIES):
                return
        if self._left():
            job.cancel = "UNKNOWN"
            status, _ = self._ask(to, "POST", f"{path}/cancel")
            job.found[job_id] = ENDED.get(status)
            job.due = GIVEN_UP if status in REFUSED else 0.0

    def _end(self, session: Session, to: Connection) -> None:
        """End a session; again only if the answer was lost and it still takes jobs."""
        path = f"/sessions/{quoted(session.id)}"
        if session.is_asked:
            status, record = self._ask(to, "GET", path)
            has_ended = record.get("state") == "closed" or record.get("accepting_jobs") is False
            if status == NOT_FOUND or has_ended:
                session.outcome = CLOSED
            if status in REFUSED:
                session.due = GIVEN_UP
            if status != OK or has_ended:
                return
        session.is_asked = True
        how = ("PATCH", path) if session.keeps_jobs else ("DELETE", f"{path}/close")
        status, _ = self._ask(to, *how)
        session.outcome = CLOSED if status in ENDED else None
        session.due = GIVEN_UP if status in REFUSED else 0.0

    def _look(self, job: Job, to: Connection) -> set[str]:
        """Find what a submit without an answer made; return what of it is live."""
        path = f"/jobs?tags={quoted(job.tag)}&exclude_params=true&limit={PAGE}"
        status, page = self._ask(to, "GET", path)
        made = [record for record in listed(page) if job.tag in record["tags"]]
        job.looks += status == OK
        job.due = time.monotonic() + LOOK_SECONDS
        for record in made:
            job.found.setdefault(record["id"], None)
        return {record["id"] for record in made if is_live(record)}

    def _survey(self, known: set[str]) -> set[str]:
        """Return which jobs a listing shows live; what it does not show may be live too.

        Each page is of jobs older than the last: by offset, some would be skipped
        because others end meanwhile.
        """
        query = f"tags={quoted(self._book.conf['client_tag'])}&pending=true&exclude_params=true"
        connection, before = self._connection(), ""
        live: set[str] = set()
        for _ in range(PAGES):
            found = listed(self._ask(connection, "GET", f"/jobs?{query}&limit={PAGE}{before}")[1])
            fresh = {record["id"] for record in found if is_live(record)} - live
            live |= fresh
            if len(found) < PAGE or not fresh or known <= live:
                break
            before = f"&created_before={quoted(str(found[-1].get('created')))}"
        connection.close()
        return live

    def _ask(self, connection: Connection, method: str, path: str) -> tuple[int, dict[str, Any]]:
        until = min(self._deadline, time.monotonic() + CALL_SECONDS)
        status, record, hint = connection.ask(method, path, until)
        self._is_refused |= status == UNAUTHORISED
        is_answered = status in ((OK, NOT_FOUND) if method == "GET" else ENDED)
        self._streak = 0 if is_answered else self._streak + 1
        self._hint = max(self._hint, hint)
        return status, record


def backoff(failures: int) -> float:
    """Return a pause with full jitter, longer with each failed round."""
    from random import random

    ceiling = BACKOFF_BASE * 2.0 ** min(failures, 32) if failures else SHORT_SECONDS
    return random() * min(BACKOFF_CAP, ceiling)  # noqa: S311 - no secret


def is_live(record: dict[str, Any]) -> bool:
    """Whether a job may still run; a word that nobody documented means that it may."""
    state = record.get("state")
    word = state.get("status") if isinstance(state, dict) else None
    first = str(word or record.get("status")).lower().split(" ")[0]
    return first not in {"completed", "failed", "cancelled"}


def listed(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs of a page that can be told whose they are, newest first."""
    jobs = page.get("jobs")
    records = [one for one in jobs if isinstance(one, dict)] if isinstance(jobs, list) else []
    kinds = {"id": str, "tags": list}
    return [one for one in records if all(isinstance(one.get(k), t) for k, t in kinds.items())]


def quoted(text: str) -> str:
    """Return a text as a part of a URL."""
    kept = b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(chr(one) if one in kept else f"%{one:02X}" for one in text.encode())


# --- afterwards ---------------------------------------------------------------------------------


def write_down(path: str, settled: list[Job | Session]) -> bool:
    """Put outcomes into the journal, if it is there; return whether that went well."""
    import sqlite3

    change = (
        "UPDATE jobs SET job_id=?, cancel=?, outcome=?, ended=? WHERE tag=? AND outcome IS NULL"
    )
    try:
        os.stat(path)  # noqa: PTH116 - pathlib is not worth its memory here
        with sqlite3.connect(path, timeout=JOURNAL_SECONDS) as journal:
            journal.executemany(change, [one.row() for one in settled])
    except (sqlite3.Error, OSError):
        return False
    return True


def harden() -> None:
    """Let no signal of a terminal or a shutdown end this process, and nothing dump its memory."""
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the parent blocked them until here
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # 1.2 ms and 0.5 MiB

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def main() -> int:
    """Listen until the trigger, settle what is open, and return the exit code."""
    harden()
    book = Book()
    has_died = death_watch(int(sys.argv[-1]))
    os.write(STDOUT, b"ready\n")
    for piece in arrivals(has_died):
        book.feed(piece)
    if book.entries and book.conf and book.token:
        Settling(book).run()
    settled = [one for one in book.entries if one.outcome]
    journal = book.conf.get("journal")
    is_told = not (settled and journal) or write_down(journal, settled)
    return 1 if len(settled) < len(book.entries) else 0 if is_told else 2


if __name__ == "__main__":
    code = 70
    try:
        code = main()
    finally:
        os._exit(code)  # threads that are stuck, and tracebacks, end here
