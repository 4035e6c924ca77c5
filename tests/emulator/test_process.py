from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import emulator
from qawait.emulator import process as processes
from qawait.emulator.settings import Settings, changed, device_name
from qawait.errors import ConfigError
from support.emulated import FLIP, Api

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("asyncio", {}),
    ("asyncio", {"use_uvloop": True}),
    ("trio", {}),
)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            if after_name[1] == str(pid) and after_name[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(look: Callable[[], Any], within: float = 10.0) -> Any:
    """Return what `look` gives once that is true, or fail."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return seen


def all_gone(pids: list[int]) -> bool:
    """Tell whether none of the processes runs."""
    return not any(map(alive, pids))


def test_starts_fast_and_leaves_nothing() -> None:
    """An emulator answers within a second, and neither it nor its workers stay behind."""
    start = time.monotonic()
    with emulator.running() as emu:
        assert emu.jobs() == []
        assert time.monotonic() - start < 1.5
        family = [emu.pid, *until(lambda: children(emu.pid))]
    assert all_gone(family)


def test_handle_tells_where_it_is() -> None:
    """The handle has url, port, token and the six variables, and hides the token."""
    with emulator.running(execute=False, token="chosen-token") as emu:
        assert emu.token.reveal() == "chosen-token"
        assert emu.url == f"http://127.0.0.1:{emu.port}/experimental/api/v1"
        assert set(emu.env) == {
            "QISKIT_IBM_TOKEN",
            "QISKIT_IBM_INSTANCE",
            "QISKIT_IBM_URL",
            "IAM_URL",
            "GLOBAL_SEARCH_URL",
            "GLOBAL_CATALOG_URL",
        }
        assert "chosen-token" not in repr(emu)


def test_token_is_not_visible_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key nor the user's own account is in argv or environment of the child."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "the-users-own")
    with emulator.running(token="chosen-token") as emu:
        for pid in (emu.pid, *until(lambda: children(emu.pid))):
            for file in ("cmdline", "environ"):
                content = Path(f"/proc/{pid}/{file}").read_bytes()
                assert b"chosen-token" not in content
                assert b"the-users-own" not in content


def test_options_reach_the_emulator() -> None:
    """Keyword options become those of the command."""
    options: dict[str, Any] = {
        "queue_seconds": 0.5,
        "lanes": 2,
        "noise": True,
        "execute": False,
        "list_lag": 0.1,
        "pending_limit": 3,
        "seed": 5,
        "token_life": 60.0,
    }
    with emulator.running(backends=["manila"], **options) as emu:
        assert options.items() <= emu.settings().items()


def test_ends_although_requests_hang() -> None:
    """A hanging request does not keep the emulator up."""
    with emulator.running(execute=False) as emu:
        rule = emu.route("GET /versions").hang()
        request = b"GET /api/v1/versions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with socket.create_connection((emu.host, emu.port)) as sock:
            sock.sendall(request)
            until(lambda: rule.hits)
            start = time.monotonic()
            os.kill(emu.pid, signal.SIGTERM)
            until(lambda: not alive(emu.pid))
            assert time.monotonic() - start < 2


def test_killed_emulator_takes_its_workers_along() -> None:
    """Workers end even when the emulator is killed without a chance to clean up."""
    with emulator.running() as emu:
        workers = until(lambda: children(emu.pid))
        os.kill(emu.pid, signal.SIGKILL)
        until(lambda: all_gone(workers))


def test_computing_workers_die_too() -> None:
    """A worker in the midst of a long simulation ends with the emulator."""
    with emulator.running(backends="manila") as emu:
        api = Api(emu)
        flips = FLIP.replace("x $0;", "sx $0;" * 2000)
        api.submit(params={"pubs": [[flips, None, 90_000_000]], "version": 2})
        workers = until(lambda: children(emu.pid))
        until(lambda: emu.jobs()[0].status == "Running")
        api.close()
    assert all_gone(workers)


def test_dead_worker_fails_only_its_job() -> None:
    """A worker that dies fails the job it ran; the service and the next job go on."""
    with emulator.running(backends="manila", queue_seconds=0) as emu:
        api = Api(emu)
        victim = api.submit(params={"pubs": [[FLIP, None, 90_000_000]], "version": 2})
        emu.wait_for(victim, "Running")
        os.kill(until(lambda: children(emu.pid))[0], signal.SIGKILL)
        assert emu.wait_for(victim, "Failed").code == 9999
        assert api.ask("GET", f"/jobs/{victim}/results").body.startswith(b"Traceback")
        next_one = api.submit()
        emu.wait_for(next_one, "Completed", within=30)
        api.close()


OWNER = """
import sys, time
from qawait import emulator
with emulator.running(exit_with_parent={exits}) as emu:
    print(emu.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("exits", [True, False])
def test_dead_parent(*, exits: bool) -> None:
    """A killed parent takes the emulator along only if that was asked for."""
    script = OWNER.format(exits=exits)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
        owner.wait()
        if exits:
            until(lambda: not alive(pid))
        else:
            time.sleep(0.3)
            assert alive(pid)
            os.kill(pid, signal.SIGKILL)


def test_failure_to_start_says_why() -> None:
    """An option that makes no sense is a `ConfigError` with the emulator's own words."""
    with (
        pytest.raises(ConfigError, match="no snapshot of a backend ibm_nowhere"),
        emulator.running(backends="nowhere"),
    ):
        pass


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra's packages the error tells how to install them."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "starlette" else found(name)
    )
    with pytest.raises(ConfigError, match=r"starlette.*qawait\[local\]"), emulator.running():
        pass


async def start_and_stop(**options: Any) -> list[int]:
    """Start an emulator, look at it, stop it, and return the processes there were."""
    embedded = await emulator.start(**options)
    family = [embedded.emulator.pid, *children(embedded.emulator.pid)]
    assert await anyio.to_thread.run_sync(embedded.emulator.jobs) == []
    await emulator.stop(embedded)
    return family


@pytest.mark.parametrize(("loop", "options"), LOOPS)
def test_async_start_and_stop(loop: str, options: dict[str, Any]) -> None:
    """`start` and `stop` work on asyncio and trio, and leave no process."""
    family = anyio.run(
        functools.partial(start_and_stop, backends=["manila"]),
        backend=loop,
        backend_options=options,
    )
    assert all_gone(family)


@pytest.mark.parametrize(("loop", "options"), LOOPS)
def test_async_start_that_fails(loop: str, options: dict[str, Any]) -> None:
    """A failing `start` raises the reason, on asyncio and trio."""
    with pytest.raises(ConfigError, match="ibm_nowhere"):
        anyio.run(
            functools.partial(start_and_stop, backends=["nowhere"]),
            backend=loop,
            backend_options=options,
        )


async def start_and_leave() -> None:
    """Be cancelled while the emulator starts."""
    with anyio.move_on_after(0.05) as scope:
        await emulator.start()
    assert scope.cancelled_caught


@pytest.mark.parametrize(("loop", "options"), LOOPS)
def test_cancelled_start_leaves_nothing(loop: str, options: dict[str, Any]) -> None:
    """A `start` that is cancelled midway leaves no process behind."""
    before = set(children(os.getpid()))
    anyio.run(start_and_leave, backend=loop, backend_options=options)
    assert set(children(os.getpid())) <= before


async def turns_while_starting() -> int:
    """Count the turns of the loop while an emulator starts and stops."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0.001)
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await emulator.stop(await emulator.start(execute=False))
        group.cancel_scope.cancel()
    return turns


def test_start_does_not_block_the_loop() -> None:
    """While an emulator starts, other tasks run."""
    assert anyio.run(turns_while_starting) > 20


def test_start_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator that never answers is given up, and ended."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(processes, "START_SECONDS", 0.1)
    monkeypatch.setattr(processes, "_command", lambda *_, **__: sleep)
    before = set(children(os.getpid()))
    with pytest.raises(ConfigError, match="did not start within"), emulator.running():
        pass
    with pytest.raises(ConfigError, match="did not start within"):
        anyio.run(emulator.start)
    assert set(children(os.getpid())) <= before


@pytest.mark.parametrize("name", ["manila", "ibm_manila", "fake_manila", " Manila "])
def test_names_of_backends(name: str) -> None:
    """A backend may be named with or without its prefix."""
    assert device_name(name) == "ibm_manila"


@pytest.mark.parametrize("name", ["../etc", "", "ibm_", "a/b", "a b"])
def test_strange_names_are_refused(name: str) -> None:
    """A backend's name is a word, never a path."""
    with pytest.raises(ConfigError):
        device_name(name)


@pytest.mark.parametrize(
    "options",
    [{"lanes": 0}, {"queue_seconds": -1}, {"backends": ()}, {"backend_states": {"fez": "asleep"}}],
)
def test_settings_are_checked(options: dict[str, Any]) -> None:
    """Settings that make no sense are refused at once."""
    with pytest.raises(ConfigError):
        Settings(**options)


def test_fixed_settings_cannot_change() -> None:
    """What was decided at the start stays."""
    with pytest.raises(ConfigError, match="token"):
        changed(Settings(), {"token": "x"})


def test_settings_do_not_show_the_token() -> None:
    """The API key is not in the settings' repr."""
    settings = Settings()
    assert settings.token.reveal() not in repr(settings)
