"""What encoding and decoding cost, beside IBM's own encoder and decoder, in one run.

Run it with `python benchmarks/codec.py` (about three minutes), or name the cases
that are wanted by the beginning of their names. The fetches are from a server in
a process of its own on the loopback, by `requests` as in IBM's client, and by the
connections of qawait; their memory includes the download. "The limit" is base64
and zlib alone, which nobody who reads this form can do without. Time and longest
stall (for which an event loop that wants to run every millisecond could not) are
those of the best of some rounds, as other programs share the machine; all sides
take turns in one process. The peak of the memory, above that at the start and
without the input, is of the first round in a fresh process. Nothing is imported
while it is measured. The last column compares each with the first row of its case.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ctypes
import functools
import gc
import json
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from qawait.ibm.body import Sink
    from qawait.ibm.wire import Reply, Request

ROUNDS = 7
SHOTS = 1_000_000
BITS = 100
CHUNK = 64 * 2**10


class Sample(NamedTuple):
    """What one row shows: milliseconds, milliseconds, MiB."""

    taken: float
    stall: float
    peak: float


# --- inputs ------------------------------------------------------------------------------------


def noise(*shape: int) -> Any:
    """Return bytes as random as the shots of a noisy circuit at worst."""
    import numpy as np

    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def sampler_body(pubs: int, shots: int) -> bytes:
    """Return the result of a sampler."""
    from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
    from qiskit_ibm_runtime import RuntimeEncoder

    packed = noise(shots, -(-BITS // 8))
    packed[:, 0] &= 15
    bins = [DataBin(meas=BitArray(packed, BITS)) for _ in range(pubs)]
    result = PrimitiveResult([SamplerPubResult(each) for each in bins], {"version": 2})
    return json.dumps(result, cls=RuntimeEncoder).encode()


def estimator_body(pubs: int, values: int) -> bytes:
    """Return the result of an estimator."""
    import numpy as np
    from qiskit.primitives import DataBin, PrimitiveResult, PubResult
    from qiskit_ibm_runtime import RuntimeEncoder

    some = np.random.default_rng(1).normal(size=(pubs, 2, values))
    bins = [DataBin(evs=evs, stds=stds, shape=(values,)) for evs, stds in some]
    results = [PubResult(each, {"shots": 4096}) for each in bins]
    result = PrimitiveResult(results, {"version": 2})
    return json.dumps(result, cls=RuntimeEncoder).encode()


AS_A_SAMPLER = {
    "version": "v0.1",
    "twirling": False,
    "meas_type": "classified",
    "shots": SHOTS,
    "options": {},
    "circuits_metadata": None,
}


def executor_body() -> bytes:
    """Return the result of the program `executor`, sent by a sampler."""
    packed = zlib.compress(noise(SHOTS * BITS // 8).tobytes())
    bits = {"data": base64.b64encode(packed).decode(), "shape": [SHOTS, BITS], "dtype": "bool"}
    metadata = {"scheduler_timing": None, "stretch_values": None}
    result: dict[str, Any] = {
        "schema_version": "v2.0",
        "data": [{"results": {"meas": bits}, "metadata": metadata}],
        "metadata": {"chunk_timing": []},
        "passthrough_data": {"post_processor": AS_A_SAMPLER},
        "semantic_role": "sampler_v2",
    }
    return json.dumps(result).encode()


def circuits(count: int, layers: int) -> list[Any]:
    """Return different circuits on 127 qubits, of 445 operations a layer."""
    from qiskit import QuantumCircuit

    made = []
    for number in range(count):
        circuit = QuantumCircuit(127, 127)
        for layer in range(layers):
            for qubit in range(127):
                circuit.rz(0.1 * layer + number, qubit)
                circuit.sx(qubit)
                circuit.rz(0.2 * layer, qubit)
            for qubit in range(layer % 2, 126, 2):
                circuit.cz(qubit, qubit + 1)
        circuit.measure(range(127), range(127))
        made.append(circuit)
    return made


BODIES: dict[str, Callable[[], bytes]] = {
    "sampler, 1 M shots x 100 bits": lambda: sampler_body(1, SHOTS),
    "sampler, 100 pubs x 4,096 shots x 100 bits": lambda: sampler_body(100, 4096),
    "estimator, 1,000 pubs x 10": lambda: estimator_body(1000, 10),
    "estimator, 1 pub x 1 M": lambda: estimator_body(1, 1_000_000),
    "executor, 1 M shots x 100 bits": executor_body,
    "fetch of sampler, 1 M shots x 100 bits": lambda: sampler_body(1, SHOTS),
    "fetch of estimator, 1,000 pubs x 10": lambda: estimator_body(1000, 10),
    "fetch of executor, 1 M shots x 100 bits": executor_body,
}
PUBS: dict[str, Callable[[], list[Any]]] = {
    "1 circuit, 127 qubits x 100 layers": lambda: circuits(1, 100),
    "10 circuits, 127 qubits x 30 layers": lambda: circuits(10, 30),
    "100 pubs of 1 circuit, 127 qubits x 10 layers": lambda: circuits(1, 10) * 100,
    "100 circuits, 127 qubits x 1 layer": lambda: circuits(100, 1),
}


# --- who does it -------------------------------------------------------------------------------


async def their_decoder(path: Path, body: bytes) -> None:
    """Decode with IBM's class, on the loop."""
    from qiskit_ibm_runtime import RuntimeDecoder

    del path
    json.loads(body, cls=RuntimeDecoder)


async def their_decoder_in_thread(path: Path, body: bytes) -> None:
    """Decode with IBM's class, in a thread."""
    from qiskit_ibm_runtime import RuntimeDecoder

    del path
    await asyncio.to_thread(json.loads, body, cls=RuntimeDecoder)


async def our_stream(path: Path, body: bytes) -> None:
    """Decode a body as it comes in, 64 KiB at a time."""
    from qawait.ibm.codec.decode import feed, finish
    from qawait.ibm.codec.stream import StreamDecoder

    del body
    decoder = StreamDecoder()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            await feed(decoder, chunk)
    await finish(decoder)


async def the_limit(path: Path, body: bytes) -> None:
    """Undo base64 and zlib of every array, all at once."""
    del path
    for text in _TEXT.findall(body):
        zlib.decompress(binascii.a2b_base64(text))


_TEXT = re.compile(rb'"(eJ[A-Za-z0-9+/=]{40,})"')


async def their_executor(path: Path, body: bytes) -> None:
    """Read bits with IBM's models."""
    del path
    _their_bits(body)


def _their_bits(body: bytes) -> None:
    from qiskit.primitives import BitArray
    from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder

    result = cast("Any", ExecutorResultDecoder.decode(cast("Any", body)))
    BitArray.from_bool_array(result[0]["meas"], order="little")


async def our_executor(path: Path, body: bytes) -> None:
    """Read bits as they come in, 64 KiB at a time."""
    from qawait.ibm.codec.decode import feed, finish
    from qawait.ibm.codec.executor import ExecutorDecoder

    del body
    decoder = ExecutorDecoder()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            await feed(decoder, chunk)
    _our_bits(await finish(decoder))


def _our_bits(result: Any) -> None:
    from qiskit.primitives import BitArray

    bits = result.items[0].results["meas"]
    BitArray(bits.array, bits.num_bits)


# --- from a server -----------------------------------------------------------------------------


async def their_fetch(path: Path, body: bytes) -> None:
    """Download and decode as IBM's client does, on the loop."""
    from qiskit_ibm_runtime import RuntimeDecoder

    del body
    json.loads(_downloaded(path), cls=RuntimeDecoder)


def _downloaded(path: Path) -> str:
    import requests

    return requests.get(origin(path), timeout=60).text


async def our_fetch(path: Path, body: bytes) -> None:
    """Download and decode at once."""
    del body
    await _our_result(path, None)


async def their_executor_fetch(path: Path, body: bytes) -> None:
    """Download and make a result as IBM's client does, on the loop."""
    from qawait.ibm.programs import runtime

    del body
    runtime.result_of("executor", _downloaded(path))  # theirs, reached through our seam


async def our_executor_fetch(path: Path, body: bytes) -> None:
    """Download at once, and make a result of what came."""
    del body
    result = await _our_result(path, "executor")
    assert result[0].data.meas.num_shots == SHOTS


async def _our_result(path: Path, program: str | None) -> Any:
    from qawait.ibm.results import Results
    from qawait.ibm.transport import Transport

    transport = Transport(origin(path))

    async def ask(request: Request, *, sink: Callable[[], Sink]) -> Reply:
        return await transport.send(request, {}, sink=sink)

    fetched = await Results(ask, hide=lambda: ()).fetch("job", program, private=False)
    await transport.aclose()
    assert fetched is not None
    return fetched.value


def serve(path: Path) -> None:
    """Answer every request with a file, for as long as standard input is open."""
    body = path.read_bytes()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer % len(body))
                self.wfile.write(body)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        _port_file(path).write_text(str(server.server_address[1]))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("serving", flush=True)
        sys.stdin.read()
        server.shutdown()


def origin(path: Path) -> str:
    """Return where a file is served."""
    return f"http://127.0.0.1:{_port_file(path).read_text()}"


def _port_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.port")


@contextlib.contextmanager
def served(path: Path) -> Iterator[None]:
    """Serve a file from another process."""
    command = [sys.executable, "-P", __file__, "serve", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield
        finally:
            server.stdin.close()
            server.wait()


async def their_encoder(pubs: list[Any]) -> None:
    """Encode with IBM's class, on the loop."""
    from qiskit_ibm_runtime import RuntimeEncoder

    json.dumps({"pubs": [(pub.circuit, None, 1) for pub in pubs]}, cls=RuntimeEncoder)


async def their_encoder_in_thread(pubs: list[Any]) -> None:
    """Encode with IBM's class, in a thread."""
    await asyncio.to_thread(asyncio.run, their_encoder(pubs))


async def our_encoder(pubs: list[Any]) -> None:
    """Encode pub by pub."""
    from qawait.ibm.codec.encode import encode_params

    await encode_params(pubs, {"version": 2})


DECODERS: dict[str, Callable[[Path, bytes], Awaitable[None]]] = {
    "RuntimeDecoder": their_decoder,
    "RuntimeDecoder in a thread": their_decoder_in_thread,
    "qawait": our_stream,
    "the limit": the_limit,
}
EXECUTORS: dict[str, Callable[[Path, bytes], Awaitable[None]]] = {
    "IBM's models": their_executor,
    "qawait": our_executor,
    "the limit": the_limit,
}
FETCHES: dict[str, Callable[[Path, bytes], Awaitable[None]]] = {
    "requests and RuntimeDecoder": their_fetch,
    "qawait": our_fetch,
}
EXECUTOR_FETCHES: dict[str, Callable[[Path, bytes], Awaitable[None]]] = {
    "requests and IBM's models": their_executor_fetch,
    "qawait": our_executor_fetch,
}
ENCODERS: dict[str, Callable[[list[Any]], Awaitable[None]]] = {
    "RuntimeEncoder": their_encoder,
    "RuntimeEncoder in a thread": their_encoder_in_thread,
    "qawait": our_encoder,
}


def sides(case: str) -> list[str]:
    """Return who takes part in a case."""
    return list(ENCODERS if case in PUBS else _readers(case))


def _readers(case: str) -> dict[str, Callable[[Path, bytes], Awaitable[None]]]:
    if case.startswith("fetch"):
        return EXECUTOR_FETCHES if "executor" in case else FETCHES
    return EXECUTORS if case.startswith("executor") else DECODERS


# --- measuring, in a process of its own --------------------------------------------------------


def times(case: str, path: Path) -> None:
    """Print the milliseconds taken and stalled of each side, as JSON."""
    works = {side: _work(case, side, path) for side in sides(case)}
    _warm(path.parent)
    rounds = [[asyncio.run(timed(work)) for work in works.values()] for _ in range(ROUNDS)]
    best = [
        [min(values) for values in zip(*each, strict=True)] for each in zip(*rounds, strict=True)
    ]
    print(json.dumps(best))


def peak(case: str, path: Path, side: str) -> None:
    """Print the peak of the memory of one side, as JSON."""
    work = _work(case, side, path)
    _warm(path.parent)
    _forget_peak()
    before = _memory("VmRSS")
    asyncio.run(timed(work))
    print(json.dumps(_memory("VmHWM") - before))


def _warm(folder: Path) -> None:
    """Leave everything imported and run once."""
    import qiskit_ibm_runtime.decoders.executor.decoder
    import qiskit_ibm_runtime.execution_span  # noqa: F401 - so that no import is measured

    import qawait.ibm.codec.decode
    import qawait.ibm.codec.encode
    import qawait.ibm.results
    import qawait.ibm.transport  # noqa: F401 - so that no import is measured

    asyncio.run(warm_up(folder))


async def warm_up(folder: Path) -> None:
    """Run everything once, on very little."""
    small = sampler_body(1, 5)
    path = folder / "small"
    path.write_bytes(small)
    for decoder in DECODERS.values():
        await decoder(path, small)
    for encoder in ENCODERS.values():
        await encoder(_pubs(circuits(1, 1)))


def _work(case: str, side: str, path: Path) -> Callable[[], Awaitable[None]]:
    if case in PUBS:
        return functools.partial(ENCODERS[side], _pubs(PUBS[case]()))
    return functools.partial(_readers(case)[side], path, path.read_bytes())


def _pubs(some: list[Any]) -> list[Any]:
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    return [SamplerPub(circuit, shots=1) for circuit in some]


async def timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Return the milliseconds that a piece of work takes, and for which it stalls the loop."""
    gc.collect()
    gaps: list[float] = []
    beat = asyncio.ensure_future(_heart(gaps))
    await asyncio.sleep(0.02)
    gaps.clear()
    begun = time.perf_counter()
    await work()
    taken = time.perf_counter() - begun
    await asyncio.sleep(0.005)
    beat.cancel()
    return taken * 1e3, max(gaps) * 1e3


async def _heart(gaps: list[float]) -> None:
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - begun - 0.001)


def _forget_peak() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> float:
    """Return a line of this process's status, in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if name in line)


def dump_rate() -> None:
    """Print the microseconds per operation for which dumping a circuit holds the interpreter."""
    from qawait.ibm.codec.encode import dump_circuit

    (circuit,) = circuits(1, 100)
    rates = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        dump_circuit(circuit)
        rates.append((time.process_time() - begun) * 1e6 / len(circuit.data))
    print(json.dumps([min(rates), len(circuit.data)]))


# --- all rows ----------------------------------------------------------------------------------


def child(*arguments: str) -> Any:
    """Run this program for one measurement."""
    command = [sys.executable, "-P", __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def measured(case: str, path: Path) -> dict[str, Sample]:
    """Return what each side of a case takes."""
    if case in BODIES:
        path.write_bytes(BODIES[case]())
    with served(path) if case.startswith("fetch") else contextlib.nullcontext():
        taken = child("times", case, str(path))
        return {
            side: Sample(of_side[0], of_side[1], child("peak", case, str(path), side))
            for side, of_side in zip(sides(case), taken, strict=True)
        }


def show(case: str, side: str, sample: Sample, peer: Sample) -> None:
    """Print one line of the table."""
    ratios = " / ".join(f"{ours / theirs:.2f}" for ours, theirs in zip(sample, peer, strict=True))
    values = f"{sample.taken:.1f} ms | {sample.stall:.1f} ms | {sample.peak:.1f} MiB"
    print(f"| {case} | {side} | {values} | {ratios} |", flush=True)


def main(beginnings: list[str]) -> None:
    """Print the table, or those of its cases that begin so."""
    print("| | | time | longest stall | peak | to the first |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        wanted = [case for case in [*BODIES, *PUBS] if case.startswith(tuple(beginnings))]
        for number, case in enumerate(wanted):
            samples = measured(case, Path(folder) / str(number))
            for side, sample in samples.items():
                show(case, side, sample, next(iter(samples.values())))
    rate, size = child("dump_rate")
    print(f"\nDumping a circuit stalls the loop for {rate:.2f} µs per operation ({size} here).")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["times", case_, path_]:
            times(case_, Path(path_))
        case ["peak", case_, path_, side_]:
            peak(case_, Path(path_), side_)
        case ["serve", path_]:
            serve(Path(path_))
        case ["dump_rate"]:
            dump_rate()
        case _:
            main(sys.argv[1:] or [""])
