"""Where the journal lives: a folder that is this user's alone."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's folder for qawait's state.

    `QAWAIT_STATE` names it; otherwise it lies in `XDG_STATE_HOME`, on Windows in
    `LOCALAPPDATA`, or in `~/.local/state`.
    """
    variables = os.environ if environ is None else environ
    if variables.get("QAWAIT_STATE"):
        return Path(variables["QAWAIT_STATE"])
    if sys.platform == "win32" and variables.get("LOCALAPPDATA"):
        return Path(variables["LOCALAPPDATA"]) / "qawait"
    base = variables.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "qawait"


def make_private(folder: Path) -> None:
    """Make the folder, readable by its user only.

    Raises:
        ConfigError: it is a link, or belongs to somebody else.
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_own(folder, stat.S_ISDIR)
    if sys.platform != "win32" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def check_file(path: Path) -> None:
    """Make sure that a file, if it is there, is a plain one of this user's, and private.

    Raises:
        ConfigError: it is a link, no plain file, or belongs to somebody else.
    """
    try:
        _check_own(path, stat.S_ISREG)
    except FileNotFoundError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    else:
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _check_own(path: Path, is_kind: Callable[[int], bool]) -> None:
    found = path.lstat()
    if not is_kind(found.st_mode):
        raise ConfigError(f"{path} is a link, or not what it should be: remove it")
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user: set QAWAIT_STATE to a folder of yours")
