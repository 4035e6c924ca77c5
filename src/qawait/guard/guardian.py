"""The parent's side of the guardian: a process that settles our jobs once we have died.

The guardian is a session of its own, started with the standard library only. It
learns everything through a pipe, the bearer token included: nothing secret is in
its arguments or environment. When the pipe ends, or this process does, it settles
what is open; so the pipe of a guardian that is no longer wanted ends only after
the guardian, and a forked child gives its copy of the pipe back at once.

On Windows the pipe blocks instead of filling a buffer here; the tests run on Linux.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait import limits
from qawait.errors import GuardianError
from qawait.guard.where import Where
from qawait.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from qawait.secret import Secret

__all__ = ["Guardian", "Where"]

_PROGRAM: Final = Path(__file__).with_name("guardian_main.py")
# Run as a script it would be compiled at each start: 6 ms and 1.3 MiB more than from the cache.
_CACHED: Final = (
    "import sys; from importlib.machinery import SourceFileLoader as Loader; "
    "exec(Loader('__main__', sys.argv[1]).get_code('__main__'))"
)
# Where programs and certificates are; LD_LIBRARY_PATH is what some builds of Python start by.
_KEPT: Final = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
_WITHOUT: Final = "pass guardian=False to go without, and jobs outlive a killed process"


@dataclass(slots=True)
class _Ends:
    """Our ends of a guardian's pipes; -1 is closed."""

    input: int = -1
    output: int = -1

    def close(self, *, is_waited_for: bool = True) -> None:
        """Close both, after waking whoever waits for them."""
        for end in (self.input, self.output):
            if end >= 0:
                if is_waited_for:
                    anyio.notify_closing(end)
                os.close(end)
        self.input = self.output = -1


class _Process(subprocess.Popen[bytes]):
    """A process that may outlive its object: without a warning, and reaped when it has ended."""

    def __del__(self) -> None:
        if getattr(self, "returncode", 0) is None and self.poll() is None:
            _outliving.append(self)


_outliving: list[_Process] = []


def _reap() -> None:
    """Let the kernel forget those that have ended since."""
    _outliving[:] = [process for process in _outliving if process.poll() is None]


class Guardian:
    """One client's guardian process.

    `replay` gives all that a new one must be told: token and open jobs. It is
    called at each start. The process inherits the descriptors `pass_fds` and
    keeps them open as long as it lives.
    """

    def __init__(
        self,
        where: Where,
        *,
        replay: Callable[[], Iterable[Mapping[str, Any]]] = tuple,
        pass_fds: Iterable[int] = (),
    ) -> None:
        self._where = where.message()
        self._replay = replay
        self._pass_fds = tuple(pass_fds)
        self._process: _Process | None = None
        self._ends = _Ends()
        self._backlog = bytearray()
        self._is_closed = False
        # Reentrant: a garbage collection amid `tell` may run code that tells something.
        self._lock = threading.RLock()
        self._launching = anyio.Lock()
        self._flushing = anyio.Lock()
        self._was_up = anyio.Event()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "alive" if self.is_alive else "dead"
        return f"<Guardian {state} pid={self.pid}>"

    def __del__(self) -> None:
        # The loop may have ended without closing us; then nobody waits for the pipes any more.
        if hasattr(self, "_ends"):
            self._ends.close(is_waited_for=False)

    @property
    def pid(self) -> int | None:
        """The process id; `None` before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def is_closed(self) -> bool:
        """Whether it has been let go, so that it will act on what it knows or has ended."""
        return self._is_closed

    @property
    def is_alive(self) -> bool:
        """Whether the process runs and is listening to us."""
        return self._ends.input >= 0 and self._process is not None and self._process.poll() is None

    async def started(self) -> None:
        """Return once the process listens; it is started if nobody has done so yet.

        One that has died since is for the watchdog to relaunch.

        Raises:
            GuardianError: it cannot be started; the message says what to do.
        """
        async with self._launching:
            if not self._was_up.is_set():
                await self._launch()

    async def relaunch(self) -> None:
        """Start another process in the place of this one, and tell it everything.

        Raises:
            GuardianError: it cannot be started.
        """
        async with self._launching:
            await self._discard()
            await self._launch()

    async def _launch(self) -> None:
        if self._is_closed:
            raise GuardianError("the guardian is closed")
        try:
            # Most of the 5-10 ms is spent waiting for the new process.
            with anyio.CancelScope(shield=True):
                await in_thread(self._spawn)
            self._introduce()
            await self._hear_ready()
            await self.flush()
        except BaseException:
            await self._discard()
            raise
        self._was_up.set()

    def _spawn(self) -> None:
        """Start the process, in a thread."""
        _reap()
        ends, theirs = _Ends(), _Ends()
        try:
            theirs.input, ends.input = os.pipe()
            ends.output, theirs.output = os.pipe()
            process = _popen(_command(), theirs, self._pass_fds)
        except OSError as error:
            ends.close(is_waited_for=False)
            reason = error.strerror or type(error).__name__
            raise GuardianError(f"the guardian cannot be started ({reason}): {_WITHOUT}") from None
        except BaseException:
            ends.close(is_waited_for=False)
            raise
        finally:
            theirs.close(is_waited_for=False)
        if sys.platform != "win32":
            os.set_blocking(ends.input, False)
            os.set_blocking(ends.output, False)
            _widen(ends.input)
        self._process, self._ends = process, ends
        _guardians.add(self)

    def _introduce(self) -> None:
        """Tell everything, before anything that is told from now on."""
        with self._lock:
            self._backlog.clear()
            for message in ({"conf": self._where}, *self._replay()):
                self._write(message)

    async def _hear_ready(self) -> None:
        said = b""
        with anyio.move_on_after(limits.GUARDIAN_START_SECONDS):
            said = await _heard(self._ends.output)
        if not said:
            seconds = f"{limits.GUARDIAN_START_SECONDS:g} s"
            raise GuardianError(f"the guardian did not start within {seconds}: {_WITHOUT}")

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell something, after all that was told before, without waiting.

        What the pipe does not take is kept and sent with the next message or by
        `flush`. A dead guardian is told nothing: the next one is by `replay`.
        """
        with self._lock:
            if self._ends.input >= 0:
                self._write(message)

    def push_token(self, token: Secret) -> None:
        """Give it the bearer token that is valid now."""
        self.tell({"token": token.reveal()})

    def _write(self, message: Mapping[str, Any]) -> None:
        self._backlog += json.dumps(message).encode() + b"\n"
        self._push()
        if len(self._backlog) > limits.GUARDIAN_BACKLOG_BYTES:
            self._give_up()

    def _push(self) -> None:
        while self._backlog and self._ends.input >= 0:
            try:
                sent = os.write(self._ends.input, self._backlog[: limits.GUARDIAN_WRITE_BYTES])
            except BlockingIOError:
                return
            except OSError:
                self._give_up()
                return
            del self._backlog[:sent]

    def _give_up(self) -> None:
        """End a guardian that hears nothing; alive, it would act on what it knew once."""
        self._backlog.clear()
        if self._process is not None:
            self._process.kill()

    async def flush(self) -> None:
        """Return once all that was told is in the pipe, where it outlives us.

        A guardian that takes nothing for too long is ended, to be relaunched.
        """
        if not self._backlog:
            return
        async with self._flushing:
            with anyio.move_on_after(limits.GUARDIAN_FLUSH_SECONDS) as limit:
                await self._drain()
            if limit.cancelled_caught:
                self._give_up()

    async def _drain(self) -> None:
        while self._backlog and self._ends.input >= 0:
            with contextlib.suppress(anyio.ClosedResourceError):
                await anyio.wait_writable(self._ends.input)
            with self._lock:
                self._push()

    async def wait_dead(self) -> None:
        """Return once a process that was started is gone, whatever ended it."""
        await self._was_up.wait()
        while self._ends.output >= 0:
            with contextlib.suppress(anyio.ClosedResourceError):
                if not await _heard(self._ends.output):
                    break
        await self._reaped()

    async def _reaped(self) -> None:
        # Nothing portable tells of an end without a signal handler or a thread.
        with anyio.move_on_after(limits.GUARDIAN_CLOSE_SECONDS):
            while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110
                await anyio.sleep(limits.GUARDIAN_REAP_SECONDS)

    async def close(self) -> None:
        """End it by ending its input; one that has jobs to settle goes on, and outlives us."""
        self._is_closed = True
        with anyio.CancelScope(shield=True):
            async with self._launching:
                await self.flush()
                self._end_input()
                await self._reaped()
        self._ends.close()
        _guardians.discard(self)
        _reap()

    def let_go(self) -> None:
        """End its input where no loop runs any more, from any thread: it settles what is open."""
        self._is_closed = True
        self._end_input(is_waited_for=False)

    def _end_input(self, *, is_waited_for: bool = True) -> None:
        with self._lock:
            descriptor, self._ends.input = self._ends.input, -1
        _Ends(input=descriptor).close(is_waited_for=is_waited_for)

    async def _discard(self) -> None:
        """Make an end of this process, before its pipe could tell it to act."""
        with anyio.CancelScope(shield=True):
            if self._process is not None:
                self._process.kill()
                await self._reaped()
        with self._lock:
            self._backlog.clear()
            self._ends.close()
        self._process = None

    def forget_in_child(self) -> None:
        """Give back what a forked child has of the pipes: it must not keep them open."""
        self._ends.close(is_waited_for=False)
        self._process = None
        self._is_closed = True


_guardians: weakref.WeakSet[Guardian] = weakref.WeakSet()


def _in_child() -> None:
    for guardian in tuple(_guardians):
        guardian.forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _command() -> list[str]:
    """Return the command line; raise `GuardianError` if there is no Python to run."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise GuardianError(f"no Python interpreter to run the guardian with: {_WITHOUT}")
    if not _PROGRAM.is_file():
        raise GuardianError(f"{_PROGRAM} is not a file to run the guardian from: {_WITHOUT}")
    # No site, PYTHONPATH or working directory: nothing that lies about is imported.
    options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *options, "-c", _CACHED, str(_PROGRAM), str(os.getpid())]


def _popen(command: list[str], ends: _Ends, pass_fds: tuple[int, ...]) -> _Process:
    options: dict[str, Any] = {
        "stdin": ends.input,
        "stdout": ends.output,
        "stderr": subprocess.DEVNULL,
        "close_fds": True,
        "cwd": Path(sys.executable).anchor or "/",
        "env": {name: os.environ[name] for name in _KEPT if name in os.environ},
    }
    return _apart(command, options, pass_fds)


if sys.platform == "win32":

    def _apart(command: list[str], options: dict[str, Any], _: tuple[int, ...]) -> _Process:
        """Start a process that no end of a console or of a job object takes along."""
        apart = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            flags = apart | subprocess.CREATE_BREAKAWAY_FROM_JOB
            return _Process(command, creationflags=flags, **options)
        except PermissionError:  # our job object lets nothing out
            return _Process(command, creationflags=apart, **options)

    def _widen(_descriptor: int) -> None: ...

    async def _heard(descriptor: int) -> bytes:
        return await in_thread(lambda: os.read(descriptor, 64))

else:

    def _apart(command: list[str], options: dict[str, Any], kept: tuple[int, ...]) -> _Process:
        """Start a process in a session of its own, with signals held off until it ignores them."""
        held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            return _Process(command, start_new_session=True, pass_fds=kept, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _widen(descriptor: int) -> None:
        """Let the pipe hold much: what is in it outlives us, what is in our backlog does not."""
        import fcntl

        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, limits.GUARDIAN_PIPE_BYTES)

    async def _heard(descriptor: int) -> bytes:
        """Return what the guardian says, nothing at its end."""
        while True:
            await anyio.wait_readable(descriptor)
            with contextlib.suppress(BlockingIOError):
                return os.read(descriptor, 64)
