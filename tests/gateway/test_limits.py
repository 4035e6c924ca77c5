"""What is refused: too much of anything, and circuits that are traps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qawait.errors import ConfigError
from qawait.gateway import Settings
from qawait.gateway.readers import Readers
from qawait.gateway.reading import Reader
from support.gateways import order, serving
from support.open import BELL_QASM3

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.emulator import Emulator
    from support.gateways import Server


def read(code: str, *, qubits: int = 100, instructions: int = 1_000) -> dict[str, Any]:
    """Return what the reading process would answer."""
    request = {"code": code, "qubits": qubits, "instructions": instructions}
    return Reader().answered(request)[0]


def test_a_circuit_is_measured() -> None:
    """The answer tells how large a circuit is."""
    size = {"qubits": 2, "clbits": 2, "instructions": 4, "depth": 3}
    assert read(BELL_QASM3) == {"circuit": size}


@pytest.mark.parametrize("version", ["OPENQASM 3.0;", "OPENQASM 2.0;"])
def test_including_a_file_does_not_read_it(version: str, tmp_path: Path) -> None:
    """An `include` of a file on disk is refused, and nothing of it is told."""
    secret = tmp_path / "secret.inc"
    secret.write_text("gate hidden q { x q; }\n")
    told = read(f'{version} include "{secret}"; qubit[1] q; hidden q[0];')
    assert "wrong" in told
    assert "hidden" not in told["wrong"]


def test_too_many_qubits_are_refused() -> None:
    """A circuit wider than it may be is told so."""
    assert "101 qubits" in read("OPENQASM 3.0; qubit[101] q;")["wrong"]


def doubling(levels: int) -> str:
    """Return a circuit of one gate, which is defined by two, which are defined by two each."""
    gates = "".join(f"gate g{n} q {{ g{n - 1} q; g{n - 1} q; }}\n" for n in range(1, levels + 1))
    start = 'OPENQASM 3.0; include "stdgates.inc"; gate g0 q { x q; }\n'
    return f"{start}{gates}qubit[1] q; g{levels} q[0];"


def test_too_many_instructions_are_refused() -> None:
    """Gates are counted as written out, however few lines define them."""
    assert f"{2**10} instructions" in read(doubling(10))["wrong"]


def test_loops_count_as_often_as_they_run() -> None:
    """Nested loops are counted as unrolled."""
    code = 'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; bit[1] c; '
    loops = "for int i in [1:100] { for int j in [1:100] { x q[0]; } } c[0] = measure q[0];"
    assert "10001 instructions" in read(code + loops)["wrong"]


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_circuit_that_takes_too_long_is_stopped() -> None:
    """Reading is ended at its time limit, by its process; the next circuit is read all the same."""
    readers = Readers(Settings(read_seconds=3.0))
    try:
        with pytest.raises(ConfigError, match="longer than 3 s"):
            await readers.size(doubling(40))
        assert (await readers.size(BELL_QASM3))["qubits"] == 2
    finally:
        await readers.close()


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_circuit_that_takes_too_much_memory_is_stopped() -> None:
    """Reading has a limit on its memory."""
    readers = Readers(Settings())
    try:
        with pytest.raises(ConfigError):
            await readers.size("OPENQASM 3.0; qubit[1000000000] q;")
        assert (await readers.size(BELL_QASM3))["qubits"] == 2
    finally:
        await readers.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[]", 400),
        ("{", 400),
        ("[" * 100_000, 400),
        ("{}", 422),
        (order(shots=0), 422),
        (order(shots=True), 422),
        (order(shots=10**9), 422),
        (order(backend=""), 422),
        (order(backend="a\nb"), 422),
        (order(name="n" * 121), 422),
        (order(on_cancel="stop"), 422),
        (order(more=1), 422),
        (order(code=""), 422),
        (order(code="\ud800"), 422),
        (order(code="x" * 300_000), 422),
        (order(code="x" * 2_000_000), 413),
    ],
)
def test_a_wrong_request_is_refused(server: Server, body: Any, status: int) -> None:
    """What cannot be a job is refused with a problem document, and makes none."""
    before = server.ask("GET", "/jobs?limit=1").json
    text = body if isinstance(body, str) else json.dumps(body)
    reply = server.ask("POST", "/run", text)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert server.ask("GET", "/jobs?limit=1").json == before


def test_only_json_is_taken(server: Server) -> None:
    """A form, which any page could post, is refused."""
    reply = server.ask("POST", "/run", "code=x", {"Content-Type": "text/plain"})
    assert reply.status == 415


@pytest.mark.parametrize(
    "path", ["/jobs?limit=x", "/jobs?before=-1", "/jobs?status=lost", "/run?wait=x"]
)
def test_a_wrong_query_is_refused(server: Server, path: str) -> None:
    """A parameter that cannot be meant is a 400."""
    reply = server.ask(
        "POST" if path.startswith("/run") else "GET", path, order() if "run" in path else None
    )
    assert reply.status == 400


def test_there_is_an_end_to_jobs_and_streams(emu: Emulator, tmp_path: Path) -> None:
    """One more than may be is told to come back later."""
    emu.hold()
    with serving(emu, tmp_path / "g", pending_jobs=1, streams=1) as server:
        job_id = server.submit()
        refused = server.ask("POST", "/run", order())
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        reading = server.begin("GET", f"/job/{job_id}/events")
        reading.getresponse().read1()
        assert server.ask("GET", "/events").status == 429
        reading.close()
        emu.release()
        server.wait_for(job_id, "DONE")
        server.submit()


def test_a_job_that_has_expired_is_gone(emu: Emulator, tmp_path: Path) -> None:
    """410 for whatever is asked of it."""
    with serving(emu, tmp_path / "g", keep_seconds=0) as server:
        reply = server.ask("POST", "/run?wait=60", order())
        path = f"/job/{reply.json['job_id']}"
        for what in ("status", "result", "events"):
            assert server.ask("GET", f"{path}/{what}").status == 410
        assert server.ask("POST", f"{path}/cancel").status == 410
