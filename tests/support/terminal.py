"""Programs run in a terminal of a given size, and what they write to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
WITHIN = 30.0


class Terminal:
    """A program and the terminal that it writes to."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(self._master, 65_536):
                self._written += piece

    @property
    def raw(self) -> str:
        """All that was written, control codes included."""
        return self._written.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """All that was written, without control codes."""
        return _CODES.sub("", self.raw)

    @property
    def has_cursor(self) -> bool:
        """Whether the cursor is to be seen now."""
        return self.raw.rfind(SHOWN) >= self.raw.rfind(HIDDEN)

    def until(self, text: str) -> None:
        """Return once a text has been written."""
        deadline = time.monotonic() + WITHIN
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Return the exit code once the program has ended."""
        code = self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return code


@contextlib.contextmanager
def terminal(
    *arguments: str, env: dict[str, str], columns: int = 80, lines: int = 24
) -> Iterator[Terminal]:
    """Run a Python program in a terminal, and end it afterwards."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(WITHIN)
        os.close(master)
