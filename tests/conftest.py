"""Fixtures for every test: the loops on which asynchronous tests run."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import hypothesis
import pytest
import trio.testing

from qawait.emulator.process import running
from qawait.testing import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qawait.emulator import Emulator

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

REAL_LOOPS = ["asyncio", "uvloop", "trio"]
if sys.version_info >= (3, 12):
    REAL_LOOPS.append("eager")
VIRTUAL_LOOPS = ["virtual-asyncio", "virtual-trio"]


def eager_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose tasks begin to run when they are made."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    return loop


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test marked `anyio` on every loop; with `virtual`, on virtual time."""
    if "anyio_backend" in metafunc.fixturenames:
        metafunc.parametrize("anyio_backend", _loops(metafunc.definition), indirect=True)


def _loops(test: pytest.Item) -> list[str]:
    loops = VIRTUAL_LOOPS if test.get_closest_marker("virtual") else REAL_LOOPS
    if test.get_closest_marker("asyncio_only"):
        return [loop for loop in loops if "trio" not in loop]
    return loops


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Return the loop a test runs on and its options, made anew for each test."""
    match request.param:
        case "virtual-asyncio":
            return "asyncio", {"loop_factory": VirtualLoop}
        case "virtual-trio":
            return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
        case "trio":
            return "trio", {}
        case "eager":
            return "asyncio", {"loop_factory": eager_loop}
        case name:
            return "asyncio", {"use_uvloop": name == "uvloop"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the journal of each test, and of the programs it starts, in a folder of its own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("QAWAIT_STATE", str(folder))
    return folder


@pytest.fixture(scope="session")
def started() -> Iterator[Emulator]:
    """Run one emulator in a process of its own."""
    with running(backends=("fez", "manila"), seed=7) as emulator:
        yield emulator


@pytest.fixture
def own_emu() -> Iterator[Emulator]:
    """Give a test an emulator of its own, where no guardian of an earlier test asks anything."""
    with running(backends=("manila",)) as emulator:
        yield emulator


@pytest.fixture
def emu(started: Emulator) -> Emulator:
    """Give a test the emulator as at its start."""
    started.reset()
    return started
