"""`python -m qawait serve`, as it is typed."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from support.gateways import order, serving

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator


def command(*arguments: str) -> list[str]:
    """Return the command line."""
    return [sys.executable, "-m", "qawait", "serve", "--port", "0", *arguments]


def test_it_serves_without_an_account() -> None:
    """`--local` runs a Bell pair on the embedded service, and SIGTERM ends it all."""
    with subprocess.Popen(
        command("--local", "--backends", "manila"), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("qawait gateway on http://127.0.0.1:")
            address = urlsplit(line.split()[-1])
            connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=60)
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/run?wait=50", json.dumps(order()), headers)
            counts = json.loads(connection.getresponse().read())["counts"]
            connection.close()
            assert sum(counts["c"].values()) == 64
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode in (0, -signal.SIGTERM)


def test_a_folder_in_use_is_refused(emu: Emulator, tmp_path: Path) -> None:
    """A second server on the same folder says so and exits with 3."""
    with serving(emu, tmp_path / "g"):
        ended = subprocess.run(
            command("--local", "--backends", "manila", "--folder", str(tmp_path / "g")),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 3
    assert "another gateway uses" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_program_is_told_in_json(emu: Emulator, tmp_path: Path) -> None:
    """With `--json` an error is one object on standard error."""
    with serving(emu, tmp_path / "g"):
        ended = subprocess.run(
            command("--local", "--json", "--folder", str(tmp_path / "g")),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "another gateway uses" in json.loads(ended.stderr)["message"]
