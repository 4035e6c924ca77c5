"""Who a program is, so that no other settles its jobs while it, or its guardian, lives.

An owner is known by process id, start time and boot, and holds a lock on a file
of its own. The lock belongs to the open file, so a guardian that was handed the
descriptor keeps it after its parent's death, and the kernel gives it back when
the last of them has gone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qawait import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that one client's jobs belong to, and the lock it holds."""

    name: str
    pid: int
    started: str
    boot: str
    lock: int

    def release(self) -> None:
        """Give the lock back, unless a guardian holds it too."""
        if self.lock in _held:
            _held.discard(self.lock)
            os.close(self.lock)

    def retire(self, folder: Path) -> None:
        """Give the lock back for good: nothing of this owner's is left to settle."""
        with contextlib.suppress(OSError):
            (folder / f"{self.name}.lock").unlink()
        self.release()


def claim(folder: Path) -> Owner:
    """Return a new owner for this process, with its lock held in `folder`.

    Raises:
        OSError: the folder cannot be written.
    """
    _sweep(folder)
    name = f"{os.getpid()}-{secrets.token_hex(6)}"
    lock = os.open(folder / f"{name}.lock", _FLAGS, 0o600)
    _held.add(lock)
    if not _try_lock(lock):
        os.close(lock)
        raise OSError(f"cannot lock {name}.lock")
    return Owner(name, os.getpid(), start_time(os.getpid()), boot_id(), lock)


_held: set[int] = set()
"""The locks of this process; a forked child gives its copies back, or it would hold them too."""


def _give_back_in_child() -> None:
    for lock in _held:
        with contextlib.suppress(OSError):
            os.close(lock)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_give_back_in_child)


def _sweep(folder: Path) -> None:
    """Remove what owners that died long ago have left; a lock's file is made again at need."""
    long_ago = time.time() - limits.JOURNAL_KEEP_SECONDS
    for path in folder.glob("*.lock"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < long_ago:
                with taken_over(folder, path.stem):
                    pass


@contextlib.contextmanager
def taken_over(folder: Path, name: str) -> Iterator[bool]:
    """Hold a dead owner's lock while its jobs are settled; false if it is not dead.

    The lock's file is removed afterwards if the lock was had.
    """
    path = folder / f"{name}.lock"
    try:
        lock = os.open(path, _FLAGS, 0o600)
    except OSError:
        yield False
        return
    try:
        free = _try_lock(lock)
        yield free
        if free:
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        os.close(lock)


def start_time(pid: int) -> str:
    """Return when a process was started, in the kernel's own unit; empty if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # the command's name may hold blanks and brackets; what follows it does not
    return stat.rpartition(")")[2].split()[19]


def boot_id() -> str:
    """Return what names this boot of the machine; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


if sys.platform == "win32":  # not run by the tests: they run on Linux

    def _try_lock(descriptor: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
