from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qawait.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator


def command(*arguments: str) -> list[str]:
    """Return the command line of `qawait`."""
    return [sys.executable, "-m", "qawait", *arguments]


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Run an emulator as a user would, and give what it prints."""
    arguments = command("emulator", "--port", "0", "--token", "a key", "--canned")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield [process.stdout.readline().rstrip() for _ in range(7)]
        process.terminate()


def test_prints_exports_and_then_where_it_listens(lines: list[str]) -> None:
    """The output is six exports that a shell can take, and a comment with the address."""
    words = [shlex.split(line) for line in lines[:6]]
    assert {word[0] for word in words} == {"export"}
    variables = dict(word[1].split("=", 1) for word in words)
    assert variables["QISKIT_IBM_TOKEN"] == "a key"
    assert variables["QISKIT_IBM_URL"] == f"{variables['IAM_URL']}/experimental/api/v1"
    assert lines[6] == f"# listening on {variables['IAM_URL']}"


@pytest.mark.parametrize("arguments", [[], ["unheard-of"], ["--emulator"]])
def test_unknown_command_explains_itself(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that is not known ends with code 2 and the usage on stderr."""
    assert main(arguments) == 2
    assert "usage: qawait COMMAND" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` prints the usage to stdout and ends well."""
    assert main(["--help"]) == 0
    assert "emulator" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1"])
def test_other_hosts_are_no_choice(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command listens on loopback only."""
    with pytest.raises(SystemExit) as caught:
        main(["emulator", "--host", host])
    assert caught.value.code == 2
    assert "127.0.0.1" in capsys.readouterr().err


def test_taken_port_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use ends the command with code 1 and a message."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["emulator", "--port", port, "--canned"]) == 1
    assert "qawait emulator:" in capsys.readouterr().err


def test_interrupt_ends_quietly() -> None:
    """Ctrl-C ends the emulator without a traceback."""
    arguments = command("emulator", "--canned", "--json")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert "Traceback" not in errors


def test_emulator_itself_does_not_import_qiskit() -> None:
    """The process that answers starts without qiskit, Aer or an HTTP client."""
    script = (
        "import sys, qawait.emulator.cli, qawait.emulator.app, qawait.emulator.server;"
        "print([m for m in ('qiskit', 'qiskit_aer', 'qiskit_ibm_runtime', 'httpx', 'numpy')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
