"""The doctor names what is wrong with a set-up, and how to mend it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qawait import limits
from qawait.__main__ import main
from qawait.console.examination import versions
from qawait.guard import journal
from support.terminal import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.emulator import Emulator

Look = dict[str, dict[str, Any]]
KEY = "a key that no report may show"


@pytest.fixture(autouse=True)
def healthy(emu: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Emulator:
    """Set up an account with which all is well."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    return emu


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Callable[[], Look]:
    """Run the doctor, and give what it found by name; of two findings the worse."""

    def looked() -> Look:
        code = main(["doctor", "--json"])
        out, err = capsys.readouterr()
        assert err == ""
        found: Look = {}
        for line in out.splitlines():
            finding = json.loads(line)
            found[finding["name"]] = finding
        is_wrong = any(finding["state"] == "problem" for finding in found.values())
        assert code == int(is_wrong)
        return found

    return looked


def problems(found: Look) -> list[str]:
    """Return the names of what is wrong; each says how to mend it."""
    wrong = [finding for finding in found.values() if finding["state"] == "problem"]
    assert all(finding["said"] and finding["mend"] for finding in wrong)
    return [finding["name"] for finding in wrong]


def account_file(home: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file of saved accounts."""
    path = home / ".qiskit" / "qiskit-ibm.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def closed_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_all_is_well(healthy: Emulator, look: Callable[[], Look]) -> None:
    """With a good set-up every check is well, and nothing was submitted."""
    found = look()
    assert problems(found) == []
    assert set(found) == {
        "versions",
        "state",
        "journal",
        "account",
        "key",
        "instance",
        "clock",
        "guardian",
    }
    assert {finding["state"] for finding in found.values()} == {"ok"}
    assert healthy.ledger("POST", "/jobs") == []


def test_no_account(look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch) -> None:
    """How to give or save one; what needs one is skipped."""
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    found = look()
    assert problems(found) == ["account"]
    assert "no account was found" in found["account"]["said"]
    assert "save_account" in found["account"]["mend"]
    assert found["key"]["state"] == "skipped"


def test_a_malformed_account_file(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which file, and that it is not JSON."""
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    path = account_file(tmp_path, '{"default": {')
    found = look()
    assert problems(found) == ["account"]
    assert str(path) in found["account"]["said"]
    assert "is not JSON" in found["account"]["said"]


def test_an_account_file_that_others_may_read(look: Callable[[], Look], tmp_path: Path) -> None:
    """The command that makes it private."""
    path = account_file(tmp_path, "{}", 0o644)
    found = look()
    assert problems(found) == ["accounts"]
    assert found["accounts"]["mend"] == f"chmod 600 {path}"


def test_a_wrong_api_key(look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch) -> None:
    """That IAM refuses it and where to make another; the key itself is not told."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", KEY)
    found = look()
    assert problems(found) == ["key"]
    assert "does not accept the API key" in found["key"]["said"]
    assert "make a new API key" in found["key"]["mend"]
    assert KEY not in json.dumps(found)


def test_a_host_that_cannot_be_reached(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That IAM is not reached, with the settings that say where it is."""
    monkeypatch.setenv("IAM_URL", f"http://127.0.0.1:{closed_port()}")
    found = look()
    assert problems(found) == ["key"]
    assert "IAM_URL" in found["key"]["mend"]


def test_a_service_that_cannot_be_reached(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM answers and the service does not: the finding is the service's."""
    monkeypatch.setenv("QISKIT_IBM_URL", f"http://127.0.0.1:{closed_port()}/api/v1")
    found = look()
    assert problems(found) == ["service"]
    assert "QISKIT_IBM_URL" in found["service"]["mend"]
    assert found["key"]["state"] == "ok"


def test_a_wrong_instance(
    healthy: Emulator, look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRN that the service does not know, and which those of the account are."""
    strange = healthy.instance[:-4] + "ff::"
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", strange)
    found = look()
    assert problems(found) == ["instance"]
    assert healthy.instance in found["instance"]["mend"]


def test_an_instance_s_name_that_nobody_knows(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up, and it is said that there is none such."""
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "nowhere")
    found = look()
    assert problems(found) == ["instance"]
    assert "nowhere" in found["instance"]["said"]


@pytest.mark.parametrize(("shift", "word"), [(600, "ahead of"), (-600, "behind")])
def test_a_clock_that_is_wrong(
    look: Callable[[], Look],
    monkeypatch: pytest.MonkeyPatch,
    shift: float,
    word: str,
) -> None:
    """By how much, in which direction, and the command that sets it."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    found = look()
    assert problems(found) == ["clock"]
    assert word in found["clock"]["said"]
    assert "timedatectl" in found["clock"]["mend"]


def test_a_state_folder_that_cannot_be_written(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which folder, and the variable that names another."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("QAWAIT_STATE", str(tmp_path / "file" / "state"))
    found = look()
    assert problems(found) == ["state"]
    assert "QAWAIT_STATE" in found["state"]["mend"]
    assert found["journal"]["state"] == "skipped"


def test_a_journal_that_is_locked(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    """That somebody holds it, and how to find out who."""
    monkeypatch.setattr(limits, "JOURNAL_BUSY_SECONDS", 0.01)
    with closing(journal.connect(state / "journal.sqlite3")) as held:
        held.execute("BEGIN EXCLUSIVE")
        found = look()
    assert problems(found) == ["journal"]
    assert "locked" in found["journal"]["said"]
    assert "fuser" in found["journal"]["mend"]


def test_a_journal_that_is_no_database(look: Callable[[], Look], state: Path) -> None:
    """The command that moves it away."""
    state.mkdir(0o700)
    (state / "journal.sqlite3").write_text("this is no database" * 100)
    found = look()
    assert problems(found) == ["journal"]
    assert "damaged" in found["journal"]["said"]
    assert found["journal"]["mend"].startswith("move it away: mv ")


def test_a_journal_with_a_broken_page(look: Callable[[], Look], state: Path) -> None:
    """Damage inside is found too."""
    path = state / "journal.sqlite3"
    with closing(journal.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("CREATE TABLE filler AS SELECT hex(randomblob(9000)) AS stuff")
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(-page, os.SEEK_END)
        file.write(b"\xff" * page)
    assert problems(look()) == ["journal"]


def test_a_journal_with_open_jobs_is_no_problem(look: Callable[[], Look], state: Path) -> None:
    """What has not been seen to end is noted, with the command that shows it."""
    with closing(journal.connect(state / "journal.sqlite3")) as connection:
        connection.execute("INSERT INTO jobs(tag, owner, intended) VALUES('t', 'o', 1)")
    found = look()
    assert problems(found) == []
    assert found["journal"]["state"] == "note"
    assert "qawait recover" in found["journal"]["mend"]


def test_a_guardian_that_cannot_start(
    look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why not, and what going without means."""
    monkeypatch.setattr("qawait.guard.guardian._PROGRAM", Path("/nowhere/guardian_main.py"))
    found = look()
    assert problems(found) == ["guardian"]
    assert "/nowhere/guardian_main.py" in found["guardian"]["said"]
    assert "guardian=False" in found["guardian"]["mend"]


def test_packages_that_are_too_old() -> None:
    """Each with the version it has, the one it needs, and the command that gets it."""
    required = ["httpx>=0.27.2", "numpy>=2.0", "rich>=13.9; extra == 'console'", "qiskit>=2.1"]
    found = {"httpx": "0.27.2", "numpy": "1.26.4", "qiskit": "2.1.0rc1"}

    def installed(package: str) -> str:
        if package not in found:
            raise importlib.metadata.PackageNotFoundError(package)
        return found[package]

    [finding] = versions(required, installed)
    assert (finding.state, finding.mend) == ("problem", "pip install 'numpy>=2.0'")
    assert "1.26.4" in finding.said
    [missing] = versions(["anyio>=4.11"], installed)
    assert "anyio is not installed" in missing.said


def test_it_is_read_in_a_terminal(healthy: Emulator, tmp_path: Path) -> None:
    """A line for each check, its remedy below it, and colours for those who want them."""
    account_file(tmp_path, "{}", 0o604)
    env = {**healthy.env, "HOME": str(tmp_path)}
    with terminal("-m", "qawait", "doctor", env=env, columns=120) as shown:
        assert shown.end() == 1
        assert "\x1b[31mPROBLEM" in shown.raw
        assert "mend: chmod 600" in shown.text
    mode = stat.S_IMODE((tmp_path / ".qiskit" / "qiskit-ibm.json").stat().st_mode)
    assert mode == 0o604


def test_nothing_is_left_behind(look: Callable[[], Look], state: Path) -> None:
    """The doctor leaves no lock and no row."""
    look()
    assert list(state.glob("*.lock")) == []
    with closing(sqlite3.connect(state / "journal.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
