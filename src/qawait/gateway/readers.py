"""The parent's side of the processes that read circuits: a few, each with a time limit."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from qawait import limits
from qawait.errors import ConfigError, QawaitError
from qawait.gateway.reading import LENGTH

if TYPE_CHECKING:
    from qawait.gateway.settings import Settings
    from qawait.ibm.backend import Backend

_log = logging.getLogger("qawait.gateway")
_KEPT_BACK: Final = ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QAWAIT_GATEWAY_TOKEN")
"""Variables that are no business of a process that reads what strangers send."""


class ReaderError(QawaitError):
    """The process that reads circuits has failed; the circuit may be all right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job's input as the service takes it, and how large its circuit is."""

    program: str
    params: bytes = field(repr=False)
    circuit: dict[str, int]


class Readers:
    """Reads and transpiles circuits in processes of their own, `settings.readers` at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[_Child] = []
        self._places = anyio.Semaphore(max(1, settings.readers))
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether a process waits for something to read."""
        return bool(self._idle)

    async def size(self, code: str) -> dict[str, int]:
        """Return how large a circuit is.

        Raises:
            ConfigError: it cannot be read, or is larger than it may be.
        """
        answer, _ = await self._ask({"code": code})
        size: dict[str, int] = answer["circuit"]
        return size

    async def draw(self, code: str) -> dict[str, Any]:
        """Return how large a circuit is, and its drawing as text.

        Raises:
            ConfigError: it cannot be read, or is larger than it may be.
        """
        answer, _ = await self._ask({"code": code, "draws": True})
        return answer

    async def prepare(self, code: str, shots: int, backend: Backend) -> Prepared:
        """Return a circuit transpiled for a backend, as the service takes it.

        Raises:
            ConfigError: it cannot be read or made to run there, or is larger than it may be.
        """
        request = {"code": code, "shots": shots}
        answer, params = await self._ask(request, backend)
        return Prepared(program=answer["program"], params=params, circuit=answer["circuit"])

    async def warm(self) -> None:
        """Start the first process, so that the first circuit need not wait for it."""
        with contextlib.suppress(ReaderError):
            async with self._places:
                self._idle.append(await _started(self._settings.read_seconds))

    async def close(self) -> None:
        """End the processes; nothing can be read any more."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().stop()

    async def _ask(
        self, request: dict[str, Any], backend: Backend | None = None
    ) -> tuple[dict[str, Any], bytes]:
        bounds = {"qubits": self._settings.qubits, "instructions": self._settings.instructions}
        async with self._places:
            if self._is_closed:
                raise ReaderError("the gateway is being stopped")
            child = self._idle.pop() if self._idle else await _started(self._settings.read_seconds)
            try:
                answer, params = await child.ask({**request, **bounds}, backend)
            except BaseException:  # its next answer would be the one to this request
                await child.stop()
                raise
            await self._give_back(child)
        if "wrong" in answer:
            raise ConfigError(answer["wrong"])
        return answer, params

    async def _give_back(self, child: _Child) -> None:
        if self._is_closed or child.asked >= limits.READER_CIRCUITS:
            await child.stop()
        else:
            self._idle.append(child)


class _Child:
    """One process, which answers one request at a time."""

    def __init__(self, process: anyio.abc.Process, seconds: float) -> None:
        if process.stdin is None or process.stdout is None:
            raise ReaderError("a reading process was started without pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._seconds = seconds
        self._told: dict[str, str] = {}
        self.asked = 0

    async def ask(
        self, request: dict[str, Any], backend: Backend | None
    ) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request, and the bytes that follow it.

        Raises:
            ConfigError: it takes longer than it may.
            ReaderError: the process has ended.
        """
        self.asked += 1
        if backend is not None:
            request["backend"] = self._introduced(backend)
        try:
            with anyio.fail_after(self._seconds):
                body = json.dumps(request).encode()
                await self._stdin.send(LENGTH.pack(len(body)) + body)
                return await self.receive()
        except TimeoutError:
            raise ConfigError(
                f"the circuit takes longer than {self._seconds:g} s to be read and transpiled"
            ) from None
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ConfigError("the circuit ended the process that was to read it") from None

    async def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next answer."""
        answer: dict[str, Any] = json.loads(await self._part())
        return answer, await self._part()

    async def _part(self) -> bytes:
        size = LENGTH.unpack(await self._stdout.receive_exactly(LENGTH.size))[0]
        if size > limits.READER_ANSWER_BYTES:
            raise ConfigError(f"the circuit's input for the service has {size} bytes: too many")
        return await self._stdout.receive_exactly(size) if size else b""

    def _introduced(self, backend: Backend) -> dict[str, Any]:
        """Return how a backend is named to the process: with its description the first time."""
        key = f"{backend.name}/{id(backend.configuration)}"
        if self._told.get(backend.name) == key:
            return {"key": key}
        self._told[backend.name] = key
        about = {"configuration": backend.configuration, "properties": backend.calibration}
        return {"key": key, **about}

    async def stop(self) -> None:
        """End the process at once."""
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._process.aclose()


async def _started(seconds: float) -> _Child:
    environment = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
    process = await anyio.open_process(
        [sys.executable, "-P", "-m", "qawait.gateway.reading"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment, "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for the server
    )
    child = _Child(process, seconds)
    try:
        with anyio.fail_after(limits.READER_START_SECONDS):
            await child.receive()
    except (TimeoutError, anyio.IncompleteRead, anyio.BrokenResourceError):
        await child.stop()
        _log.warning("a process that reads circuits did not start")
        raise ReaderError("the process that reads circuits did not start") from None
    except BaseException:
        await child.stop()
        raise
    return child
