"""An emulator in a process of its own: started, awaited until it answers, and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from qawait.errors import ConfigError
from qawait.secret import Secret

from .handle import Emulator
from .settings import require_packages

START_SECONDS = 30.0
STOP_SECONDS = 5.0
MAX_LINE_BYTES = 65_536
# The account of whoever starts an emulator is no business of the emulator's.
_KEPT_BACK = ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}


def _command(options: dict[str, Any], *, exit_with_parent: bool) -> list[str]:
    """Return the command line; the API key is never part of it."""
    command = [sys.executable, "-P", "-m", "qawait", "emulator", "--json"]
    for name, value in options.items():
        command += _option(name, value)
    return command + ["--token-stdin"] + (["--exit-with-parent"] if exit_with_parent else [])


def _option(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if name == "execute":
        return [] if value else ["--canned"]
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ",".join(value)
    return [flag, str(value)]


def _token_line(token: Secret | str | None) -> bytes:
    revealed = token.reveal() if isinstance(token, Secret) else token or ""
    return revealed.encode() + b"\n"


def _emulator(line: bytes, errors: IO[bytes]) -> Emulator:
    """Return the emulator that announced itself, or raise what it said instead."""
    if not line.endswith(b"\n"):
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip() or "it said nothing"
        raise ConfigError(f"the emulator did not start: {said}")
    announced = json.loads(line)
    return Emulator(announced["env"], announced["pid"])


@contextlib.contextmanager
def running(
    *,
    token: Secret | str | None = None,
    exit_with_parent: bool = False,
    **options: Any,
) -> Iterator[Emulator]:
    """Run an emulator while the block runs; it listens on a random loopback port.

    Options are those of `python -m qawait emulator`, with underscores. The API
    key is random unless given. `ConfigError` tells why it could not start.
    """
    require_packages()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
            _command(options, exit_with_parent=exit_with_parent),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            # Ctrl-C is for the client, whose last requests still need the service.
            start_new_session=True,
        ) as process,
    ):
        try:
            emulator = _emulator(_first_line(process, _token_line(token)), errors)
            with contextlib.closing(emulator):
                yield emulator
        finally:
            _end(process)


def _first_line(process: subprocess.Popen[bytes], token: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ConfigError("the emulator was started without pipes")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(token)
        process.stdin.flush()
    deadline = time.monotonic() + START_SECONDS
    if not select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
        raise ConfigError(f"the emulator did not start within {START_SECONDS} s")
    # It prints its only line at once, so what can be read is all of it.
    return process.stdout.readline(MAX_LINE_BYTES)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@dataclasses.dataclass(frozen=True, slots=True)
class Embedded:
    """An emulator started by `start`, and the process it runs in."""

    emulator: Emulator
    process: anyio.abc.Process
    errors: IO[bytes] = dataclasses.field(repr=False)


async def start(*, token: Secret | str | None = None, **options: Any) -> Embedded:
    """Start an emulator that ends when this process does, without blocking the loop.

    Options are those of `running`. Raises `ConfigError` when it cannot start;
    cancelled meanwhile, it leaves no process behind. End it with `stop`.
    """
    require_packages()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    process: anyio.abc.Process | None = None
    try:
        process = await _forked(_command(options, exit_with_parent=True), errors)
        line = await _announcement(process, _token_line(token))
        return Embedded(_emulator(line, errors), process, errors)
    except BaseException:
        if process is not None:
            await _stop(process)
        errors.close()
        raise


async def _forked(command: list[str], errors: IO[bytes]) -> anyio.abc.Process:
    """Return a new process, also when cancelled: cut in two, this leaves one that nobody knows."""
    processes = []
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            command, stderr=errors, env=_environment(), start_new_session=True
        )
        processes.append(process)
    return processes[0]


async def _announcement(process: anyio.abc.Process, token: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ConfigError("the emulator was started without pipes")
    output = BufferedByteReceiveStream(process.stdout)
    try:
        with anyio.fail_after(START_SECONDS):
            await process.stdin.send(token)
            return await output.receive_until(b"\n", MAX_LINE_BYTES) + b"\n"
    except TimeoutError:
        raise ConfigError(f"the emulator did not start within {START_SECONDS} s") from None
    except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return b""


async def stop(embedded: Embedded) -> None:
    """End an emulator and its workers, even when the caller is being cancelled."""
    embedded.emulator.close()
    await _stop(embedded.process)
    embedded.errors.close()


async def _stop(process: anyio.abc.Process) -> None:
    with anyio.CancelScope(shield=True):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(STOP_SECONDS):
            await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.aclose()
