"""divi's own contract classes, which only its source distribution holds."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLE = "DIVI_SOURCE"
"""Names the folder of an unpacked source distribution of the divi that is installed."""


def unpack(folder: Path) -> Path:
    """Download and unpack the source distribution of the divi that is installed."""
    wanted = f"qoro-divi=={version('qoro-divi')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    choice = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), wanted]
    subprocess.run([*pip, *choice], check=True, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def contracts() -> Any:
    """Return divi's module of contract classes."""
    with _its_tests(os.environ[VARIABLE]):
        return importlib.import_module("tests.backends._circuit_runner_contracts")


@contextmanager
def _its_tests(folder: str) -> Iterator[None]:
    """Let `tests` be divi's, and ours again afterwards."""
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_of_tests(name)}
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if _is_of_tests(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def _is_of_tests(name: str) -> bool:
    return name == "tests" or name.startswith("tests.")
