"""Submitting: requests, processor time and rate, beside IBM's client and a bare POST.

    python benchmarks/submit.py [--sizes 1,100,1000]

One small circuit is submitted so many times at once to a canned service on the
other processor. IBM's client runs in 32 threads; the bare POSTs of the same body
are what is left without circuits, tags, journal and guardian. Everybody has
submitted once before, and nobody polls. Processor time is that of the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loopback import certify, pinned, served
from measuring import cpu
from orders import BACKEND, Control, variables
from rows import Row, markdown, number
from waiters import HEADERS, Streams, environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import qawait

SIZES = (1, 100, 1000)
SHOTS = 128
AT_ONCE = 32
ROUNDS = 3
LIMIT_SECONDS = 120.0
NEVER_SECONDS = 3600.0


def circuit() -> Any:
    """Return a circuit that every backend takes as it is."""
    from qiskit import QuantumCircuit

    made = QuantumCircuit(1)
    made.x(0)
    made.measure_all()
    return made


async def bounded(count: int, call: Callable[[], Awaitable[object]], at_once: int) -> None:
    """Await so many calls, a bounded number at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with slots:
            await call()

    await asyncio.gather(*(one() for _ in range(count)))


class Submitter(ABC):
    """A way to submit."""

    def __init__(self, origin: str, body: bytes) -> None:
        self.origin = origin
        self.body = body

    @abstractmethod
    async def open(self) -> None:
        """Connect, and submit once."""

    @abstractmethod
    async def submit(self, count: int) -> None:
        """Submit so many jobs at once."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything."""


class IBM(Submitter):
    """IBM's client, whose `run` blocks a thread."""

    async def open(self) -> None:
        """Open the service and a sampler."""
        from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

        warnings.simplefilter("ignore")  # that the sampler of the service's side is deprecated
        self.sampler = SamplerV2(QiskitRuntimeService().backend(BACKEND))
        self.circuit = circuit()
        self.sampler.run([self.circuit], shots=SHOTS)

    async def submit(self, count: int) -> None:
        """Submit from as many threads as there are connections elsewhere."""
        if count == 1:
            self.sampler.run([self.circuit], shots=SHOTS)
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [
                pool.submit(self.sampler.run, [self.circuit], shots=SHOTS) for _ in range(count)
            ]
            for run in runs:
                run.result()

    async def close(self) -> None:
        """Leave the sessions to the end of the process."""


class Qawait(Submitter):
    """qawait as it comes: the intent on disk before the POST, a guardian beside."""

    guardian = True
    journal = True

    async def open(self) -> None:
        """Open a client that does not poll, and submit once."""
        import qawait

        schedule = qawait.PollSchedule(
            first=NEVER_SECONDS, queued_unknown=NEVER_SECONDS, queued_cap=NEVER_SECONDS
        )
        self.client = await qawait.connect(schedule=schedule, guardian=self.guardian)
        if not self.journal:
            options = replace(self.client._options, protect=None)  # noqa: SLF001 - as local() has it
            self.client._options = options  # noqa: SLF001 - see above
        self.circuit = circuit()
        await self._one()

    async def _one(self) -> qawait.Job[Any]:
        return await self.client.submit(
            self.circuit, backend=BACKEND, shots=SHOTS, optimization_level=None
        )

    async def submit(self, count: int) -> None:
        """Submit all at once; qawait bounds what is under way itself."""
        await asyncio.gather(*(self._one() for _ in range(count)))

    async def close(self) -> None:
        """Close the client, which cancels the jobs."""
        await self.client.aclose()


class QawaitAlone(Qawait):
    """The same without a guardian."""

    guardian = False


class QawaitBare(QawaitAlone):
    """The same without a journal too."""

    journal = False


class Httpx(Submitter):
    """Bare POSTs through httpx, 8 at a time, which suits its pool best."""

    async def open(self) -> None:
        """Open a client."""
        import httpx

        self.http = httpx.AsyncClient(base_url=f"{self.origin}/api/v1", headers=HEADERS)
        await self._one()

    async def _one(self) -> Any:
        kind = {"Content-Type": "application/json"}
        return (await self.http.post("/jobs", content=self.body, headers=kind)).json()

    async def submit(self, count: int) -> None:
        """Post."""
        await bounded(count, self._one, 8)

    async def close(self) -> None:
        """Close the client."""
        await self.http.aclose()


class Raw(Submitter):
    """Bare POSTs on bare streams: the limit."""

    async def open(self) -> None:
        """Open a connection."""
        self.streams = Streams(self.origin, None)
        await self._one()

    async def _one(self) -> Any:
        return await self.streams.send("POST", "/jobs", self.body)

    async def submit(self, count: int) -> None:
        """Post."""
        await bounded(count, self._one, AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self.streams.close()


SUBMITTERS: dict[str, type[Submitter]] = {
    "IBM's client": IBM,
    "qawait": Qawait,
    "qawait without guardian": QawaitAlone,
    "qawait without guardian and journal": QawaitBare,
    "httpx, bare POST": Httpx,
    "raw streams, bare POST": Raw,
}


# --- measuring, in a process of its own ----------------------------------------------------------


class Sample(NamedTuple):
    """What a submit took: milliseconds of a processor, milliseconds, requests."""

    spent: float
    took: float
    requests: float


async def sample(submitter: Submitter, control: Control, count: int) -> Sample:
    """Return what submitting so many at once took, for each of them."""
    control.ask("reset")
    began, used = time.perf_counter(), cpu()
    await submitter.submit(count)
    spent, took = cpu() - used, time.perf_counter() - began
    counts = control.ask("report")["counts"]
    assert counts["submit"] == count
    return Sample(spent / count * 1e3, took / count * 1e3, sum(counts.values()) / count)


async def work(submitter: Submitter, sizes: Sequence[int], control: Control) -> dict[str, Sample]:
    """Return, by size, the medians of some rounds; of the requests the most."""
    await submitter.open()
    found = {}
    for count in sizes:
        rounds = [
            await sample(submitter, control, count)
            for _ in range(ROUNDS if count > 1 else 10 * ROUNDS)
        ]
        found[str(count)] = Sample(
            statistics.median(each.spent for each in rounds),
            statistics.median(each.took for each in rounds),
            max(each.requests for each in rounds),
        )
    await submitter.close()
    return found


def worker(arguments: list[str]) -> None:
    """Measure one way and print the figures as JSON."""
    name, sizes, origin, orders, folder = arguments
    counts = [int(size) for size in sizes.split(",")]
    submitter = SUBMITTERS[name](origin, Path(folder, "body").read_bytes())
    print(json.dumps(asyncio.run(work(submitter, counts, Control(orders)))), flush=True)
    os._exit(0)  # threads of peers may hang


def measure(
    name: str, sizes: Sequence[int], origins: list[str], folder: Path
) -> dict[str, list[float]]:
    """Return what a worker prints."""
    counts = ",".join(map(str, sizes))
    done = subprocess.run(
        [sys.executable, __file__, "worker", name, counts, origins[0], origins[2], str(folder)],
        stdout=subprocess.PIPE,
        env=environment(str(folder)) | variables(origins[0]),
        timeout=LIMIT_SECONDS,
        check=True,
        preexec_fn=pinned(0),
    )
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def run(sizes: Sequence[int] = SIZES) -> list[Row]:
    """Measure all ways at all sizes and return the rows."""
    script = str(Path(__file__).with_name("canned.py"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        certify(folder)
        with served(folder, script, "0") as origins:
            (folder / "body").touch()
            measure("qawait", (1,), origins, folder)
            (folder / "body").write_text(Control(origins[2]).ask("body"))  # what qawait posts
            found = {name: measure(name, sizes, origins, folder) for name in SUBMITTERS}
    return [row for count in sizes for row in _rows(count, found)]


def _rows(count: int, found: dict[str, dict[str, list[float]]]) -> list[Row]:
    theirs, least = found["IBM's client"][str(count)][0], found["httpx, bare POST"][str(count)][0]
    rows = []
    for name in SUBMITTERS:
        spent, took, requests = found[name][str(count)]
        ratio = f"{number(spent / theirs)} of IBM's client, {number(spent / least)} of httpx"
        title = f"{count:,} submits at once" if count > 1 else "1 submit"
        rows += [
            Row(name=f"{title}: processor time", peer=name, value=spent, unit="ms", ratio=ratio),
            Row(name=f"{title}: time", peer=name, value=took, unit="ms each"),
        ]
        if name == "qawait":
            rows.append(
                Row(
                    name=f"{title}: requests for each",
                    peer=name,
                    value=requests,
                    aim="1",
                    holds=requests == 1,
                )
            )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    print(markdown(run(sizes)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2:])
    else:
        main()
