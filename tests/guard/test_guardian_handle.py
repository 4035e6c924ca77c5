"""The parent's side of the guardian, on every loop."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import limits
from qawait.errors import ConfigError, GuardianError
from qawait.guard import guardian as parent_side
from qawait.guard.guardian import Guardian, Where
from qawait.secret import Secret
from support.guardians import opened, submit, wait_ended, where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator
    from support.emulated import Api

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the tests look into /proc"),
    pytest.mark.usefixtures("held"),
]

NOWHERE = Where(url="http://127.0.0.1:9/api/v1", headers={}, client_tag="C")


def descriptors() -> set[str]:
    """Return what this process holds open, but for the listing itself."""
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths


def state_of(pid: int) -> str:
    """Return the letter of a process's state; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(guardian: Guardian) -> bool:
    """Tell whether it is alive; a call, because a property would count as unchanging."""
    return guardian.is_alive


def pid_of(guardian: Guardian) -> int:
    """Return the process id of a guardian that was started."""
    assert guardian.pid is not None
    return guardian.pid


@pytest.mark.anyio
async def test_it_comes_and_goes_without_a_trace() -> None:
    """A guardian that is started and closed leaves no process, zombie or descriptor."""
    before = descriptors()
    guardian = Guardian(NOWHERE)
    await guardian.started()
    assert alive(guardian)
    pid = pid_of(guardian)
    await guardian.close()
    assert not alive(guardian)
    assert state_of(pid) == ""
    # A loop opens a few of its own when it first waits for a pipe.
    assert len(descriptors() - before) <= 3


@pytest.mark.anyio
async def test_many_starters_start_one() -> None:
    """However many submits need it first, one process is started."""
    guardian = Guardian(NOWHERE)
    pids = set()

    async def need() -> None:
        await guardian.started()
        pids.add(guardian.pid)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(need)
    assert len(pids) == 1
    await guardian.close()


@pytest.mark.anyio
async def test_closing_lets_it_settle_and_outlive_us(emu: Emulator, api: Api) -> None:
    """Closing returns soon; what is open is settled by a guardian that goes on without us."""
    job_id = submit(api, "T")
    api.credentials()
    rule = emu.route("GET /jobs/{id}").hang()
    guardian = Guardian(where(emu))
    await guardian.started()
    guardian.push_token(Secret(api.token))
    for message in opened("T", job_id):
        guardian.tell(message)
    pid = pid_of(guardian)
    with anyio.fail_after(limits.GUARDIAN_CLOSE_SECONDS + 2.0):
        await guardian.close()
    rule.release()
    del guardian
    gc.collect()
    await anyio.to_thread.run_sync(wait_ended, pid)
    assert emu.cancels(job_id) == 1


@pytest.mark.anyio
async def test_a_killed_guardian_is_noticed_and_replaced(emu: Emulator, api: Api) -> None:
    """A guardian killed by somebody is replaced, and the next one knows all that is open."""
    job_id = submit(api, "T")
    api.credentials()

    def replay() -> Iterator[dict[str, Any]]:
        yield {"token": api.token}
        yield from opened("T", job_id)

    guardian = Guardian(where(emu), replay=replay)
    await guardian.started()
    first = pid_of(guardian)
    os.kill(first, signal.SIGKILL)
    with anyio.fail_after(5):
        await guardian.wait_dead()
    assert not alive(guardian)
    guardian.tell({"closing": True})  # to nobody: neither raises nor blocks
    await guardian.flush()
    await guardian.relaunch()
    assert alive(guardian)
    assert pid_of(guardian) != first
    assert state_of(first) == ""
    assert emu.cancels(job_id) == 0
    await guardian.close()
    assert emu.cancels(job_id) == 1


@pytest.mark.anyio
async def test_relaunching_one_that_lives_cancels_nothing(emu: Emulator, api: Api) -> None:
    """The one that is replaced is ended before its pipe could tell it to act."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Guardian(where(emu), replay=lambda: [{"token": api.token}])
    await guardian.started()
    for message in opened("T", job_id):
        guardian.tell(message)
    first = pid_of(guardian)
    await guardian.relaunch()
    await anyio.to_thread.run_sync(wait_ended, first)
    await guardian.close()
    assert emu.cancels(job_id) == 0


@pytest.mark.anyio
async def test_telling_never_waits(emu: Emulator, api: Api) -> None:
    """What a stopped guardian does not take is kept, in order, until it goes on."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Guardian(where(emu))
    await guardian.started()
    os.kill(pid_of(guardian), signal.SIGSTOP)
    for number in range(12_000):
        guardian.tell({"open": {"tag": f"{number:0100}", "id": None}})
        guardian.tell({"close": {"tag": f"{number:0100}"}})
    guardian.push_token(Secret(api.token))
    for message in opened("T", job_id):
        guardian.tell(message)
    os.kill(pid_of(guardian), signal.SIGCONT)
    with anyio.fail_after(5):
        await guardian.flush()
    await guardian.close()
    assert emu.cancels(job_id) == 1


@pytest.mark.anyio
async def test_one_that_takes_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian that takes nothing any more is ended, so that it is replaced, never obeyed."""
    monkeypatch.setattr(limits, "GUARDIAN_BACKLOG_BYTES", 4 * 2**16)
    guardian = Guardian(NOWHERE)
    await guardian.started()
    os.kill(pid_of(guardian), signal.SIGSTOP)
    for number in range(12_000):
        guardian.tell({"open": {"tag": f"{number:0150}", "id": None}})
    with anyio.fail_after(5):
        await guardian.wait_dead()
    assert not alive(guardian)
    await guardian.close()


@pytest.mark.anyio
async def test_a_flush_that_takes_too_long_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush is bounded: after it the guardian is ended, and the watchdog replaces it."""
    monkeypatch.setattr(limits, "GUARDIAN_FLUSH_SECONDS", 0.1)
    guardian = Guardian(NOWHERE)
    await guardian.started()
    os.kill(pid_of(guardian), signal.SIGSTOP)
    for number in range(8_000):
        guardian.tell({"open": {"tag": f"{number:0150}", "id": None}})
    with anyio.fail_after(5):
        await guardian.flush()
        await guardian.wait_dead()
    await guardian.close()


@pytest.mark.anyio
async def test_telling_from_many_threads_tears_no_line(emu: Emulator, api: Api) -> None:
    """Messages from many threads at once arrive whole."""
    ids = [submit(api, f"T{n}") for n in range(8)]
    api.credentials()
    guardian = Guardian(where(emu), replay=lambda: [{"token": api.token}])
    await guardian.started()

    def tell(number: int) -> None:
        for other in range(500):
            guardian.tell({"open": {"tag": f"{number}-{other}", "id": None}})
            guardian.tell({"close": {"tag": f"{number}-{other}"}})
        guardian.tell({"open": {"tag": f"T{number}", "id": ids[number]}})

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    await guardian.flush()
    await guardian.close()
    assert [emu.cancels(job_id) for job_id in ids] == [1] * 8


@pytest.mark.anyio
async def test_letting_go_needs_no_loop(emu: Emulator, api: Api) -> None:
    """Let go from another thread, it settles what is open."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Guardian(where(emu), replay=lambda: [{"token": api.token}, *opened("T", job_id)])
    await guardian.started()
    await anyio.to_thread.run_sync(guardian.let_go)
    await anyio.to_thread.run_sync(wait_ended, pid_of(guardian))
    assert emu.cancels(job_id) == 1
    await guardian.close()


@pytest.mark.anyio
async def test_a_forgotten_guardian_ends(emu: Emulator) -> None:
    """A guardian that is dropped without being closed ends without a warning or a zombie."""
    guardian = Guardian(where(emu))
    await guardian.started()
    pid = pid_of(guardian)
    del guardian
    gc.collect()
    await anyio.to_thread.run_sync(wait_ended, pid)
    parent_side._reap()
    assert state_of(pid) == ""


@pytest.mark.anyio
async def test_it_inherits_what_it_is_handed() -> None:
    """It keeps the descriptors it is handed open, and no others."""
    kept, _ = ends = os.pipe()
    os.set_inheritable(ends[1], True)  # noqa: FBT003 - takes no keywords; as careless code does
    guardian = Guardian(NOWHERE, pass_fds=(kept,))
    await guardian.started()
    found = {int(name) for name in os.listdir(f"/proc/{guardian.pid}/fd")}  # noqa: PTH208 - names
    assert kept in found
    assert ends[1] not in found
    await guardian.close()
    for end in ends:
        os.close(end)


@pytest.mark.anyio
async def test_a_forked_child_has_no_part_in_it() -> None:
    """In a forked child the guardian is closed, and the parent's goes on."""
    guardian = Guardian(NOWHERE)
    await guardian.started()
    child = os.fork()
    if child == 0:
        guardian.tell({"closing": True})
        os._exit(0 if guardian.is_closed and not guardian.is_alive else 1)
    _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
    assert status == 0
    assert alive(guardian)
    await guardian.close()


@pytest.mark.anyio
async def test_its_repr_tells_its_state() -> None:
    """The repr says whether it lives, and nothing of what it was told."""
    guardian = Guardian(NOWHERE)
    assert repr(guardian) == "<Guardian dead pid=None>"
    await guardian.started()
    guardian.push_token(Secret("the-bearer"))
    assert repr(guardian) == f"<Guardian alive pid={guardian.pid}>"
    await guardian.close()
    assert repr(guardian).startswith("<Guardian closed")


# --- when it cannot be started ------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("executable", ["", None, "/nowhere/python", "/bin/false", "/bin/true"])
async def test_without_a_python_it_says_what_to_do(
    executable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no interpreter to run it, the error says how to go on without."""
    monkeypatch.setattr(sys, "executable", executable)
    before = descriptors()
    guardian = Guardian(NOWHERE)
    with pytest.raises(GuardianError, match="guardian=False"):
        await guardian.started()
    assert not alive(guardian)
    assert len(descriptors() - before) <= 3
    await guardian.close()


@pytest.mark.anyio
async def test_a_frozen_program_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a frozen program, whose executable is no interpreter, it is not started."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(GuardianError, match="guardian=False"):
        await Guardian(NOWHERE).started()


@pytest.mark.anyio
async def test_one_that_never_listens_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that starts and says nothing is ended after a bound."""
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    monkeypatch.setattr(limits, "GUARDIAN_START_SECONDS", 0.1)
    guardian = Guardian(NOWHERE)
    with pytest.raises(GuardianError, match="did not start"):
        await guardian.started()
    assert guardian.pid is None


@pytest.mark.anyio
async def test_a_cancelled_start_leaves_nothing() -> None:
    """A start that is cancelled leaves no process, and the next one succeeds."""
    guardian = Guardian(NOWHERE)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await guardian.started()
    assert not alive(guardian)
    await guardian.started()
    assert alive(guardian)
    await guardian.close()


@pytest.mark.anyio
async def test_a_closed_one_is_not_started_again() -> None:
    """A guardian that was closed cannot be relaunched."""
    guardian = Guardian(NOWHERE)
    await guardian.close()
    with pytest.raises(GuardianError, match="closed"):
        await guardian.relaunch()


def test_a_proxy_is_worked_out() -> None:
    """A plain service is asked through the proxy by full URLs, an encrypted one by a tunnel."""
    given: dict[str, Any] = {
        "headers": {},
        "client_tag": "C",
        "proxy": Secret("http://u:p%40@p:3128"),
    }
    plain = where_at("http://service/api/v1", **given)
    assert (plain["address"], plain["prefix"]) == (("p", 3128), "http://service/api/v1")
    assert "Proxy-Authorization: Basic dTpwQA==\r\n" in plain["headers"]
    secure = where_at("https://service/api/v1", **given)
    assert secure["tunnel"].startswith("CONNECT service:443 HTTP/1.1\r\nHost: service:443\r\n")
    assert (secure["tls"], secure["prefix"]) == ("service", "/api/v1")
    assert "Proxy-Authorization" not in secure["headers"]


def where_at(url: str, **given: Any) -> dict[str, Any]:
    """Return what is told of a service at a URL, as JSON would have it."""
    message = Where(url=url, **given).message()
    json.dumps(message)
    return message


def test_what_cannot_be_told_is_refused() -> None:
    """A proxy that is not HTTP, and a header of two lines, are refused before any start."""
    with pytest.raises(ConfigError):
        where_at("http://s", headers={}, client_tag="C", proxy=Secret("socks5://p"))
    with pytest.raises(ConfigError):
        where_at("http://s", headers={"A": "b\r\nC: d"}, client_tag="C")
