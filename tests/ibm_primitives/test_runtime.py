"""The seam to qiskit-ibm-runtime, and results that its code reads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.codec.decode import feed, finish
from qawait.ibm.programs import runtime
from qawait.ibm.programs.raw import prepare_program
from qawait.ibm.programs.results import processed
from qawait.ibm.results import DECODERS
from support.recorded import exchange


async def read_result(body: bytes) -> Any:
    """Return the value of an executor's result, decoded and processed as a client does it."""
    decoder = DECODERS["executor"]()
    await feed(decoder, body)
    return await processed("executor", await finish(decoder))


def test_everything_that_is_looked_up_is_there() -> None:
    """The installed version has all classes that are relied on."""
    assert all(runtime.look_up(what) is not None for what in runtime._CLASSES)


@pytest.mark.parametrize("place", ["no_such_module", "json"])
def test_a_name_that_has_moved_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Which version is installed, what it lacks and which versions are known to have it."""
    monkeypatch.setitem(runtime._CLASSES, "executor sampler", (place, ("Gone",)))
    with pytest.raises(ConfigError) as moved:
        runtime.look_up("executor sampler")
    text = str(moved.value)
    assert f"qiskit-ibm-runtime {runtime.installed()} has no qiskit_ibm_runtime.{place}" in text
    assert "0.49 to 0.51" in text


def test_a_primitive_that_hands_over_nothing_is_a_clear_error() -> None:
    """A version whose primitives work in another way is told from a wrong input."""
    with pytest.raises(ConfigError, match="that hands over a job"):
        runtime.handed("executor sampler", None, None, lambda _: None)


def test_a_failure_inside_of_ibms_code_names_its_version() -> None:
    """What is neither a wrong value nor a refusal is reported as what it is."""
    with pytest.raises(ConfigError, match=r"qiskit-ibm-runtime .* cannot prepare this: KeyError"):
        runtime.handed("executor sampler", None, None, lambda _: vars(object)["missing"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("transcript", "kind"),
    [("05", "SamplerPubResult"), ("06", "SamplerPubResult"), ("07", "EstimatorPubResult")],
)
async def test_recorded_results_of_the_executor_are_post_processed(
    transcript: str, kind: str
) -> None:
    """The recorded answers become the results of the primitives that asked."""
    body = exchange(transcript, "GET", "/results").raw
    if kind == "EstimatorPubResult" and runtime.installed().startswith("0.49"):
        pytest.skip("0.49 cannot read what later versions' estimators have sent")
    result = await read_result(body)
    assert type(result).__name__ == "PrimitiveResult"
    assert {type(pub).__name__ for pub in result} == {kind}


def _executor_result(**changes: Any) -> bytes:
    result = json.loads(exchange("05", "GET", "/results").raw)
    return json.dumps({**result, **changes}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": "v77.0"},
        {"passthrough_data": {}},
        {"metadata": {"chunk_timing": 3}},
    ],
)
async def test_a_result_that_ibms_code_cannot_read_is_a_protocol_error(
    changes: dict[str, Any],
) -> None:
    """Whatever IBM's code stumbles over, one kind of error comes out."""
    with pytest.raises(
        ProtocolError, match="result of executor cannot be read by qiskit-ibm-runtime"
    ):
        await read_result(_executor_result(**changes))


@pytest.mark.anyio
async def test_a_result_that_no_primitive_asked_for_is_the_quantum_programs() -> None:
    """Without a role there is nothing to post-process, and the measurements are given."""
    result = await read_result(_executor_result(semantic_role=None))
    assert type(result).__name__ == "QuantumProgramResult"


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["__type__", "\\u005f_type__"])
async def test_a_tag_hidden_in_a_result_is_never_followed(name: str) -> None:
    """A value that names a class to import is refused, however it is written."""
    form = '{"NAME":"_json","__module__":"os","__class__":"getcwd","__value__":{}}'
    hidden = form.replace("NAME", name)
    body = _executor_result(passthrough_data="HERE").replace(b'"HERE"', hidden.encode())
    with pytest.raises(ProtocolError, match="tagged value"):
        await read_result(body)


# --- raw programs --------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_raw_input_is_checked_against_the_schema_that_it_names() -> None:
    """What was recorded passes, and an input with a wrong field does not."""
    params = exchange("05", "POST", "/jobs").sent["params"]
    program = await prepare_program("executor", params)
    assert program.params == params
    with pytest.raises(ConfigError, match=r"quantum_program\.shots"):
        wrong = {**params["quantum_program"], "shots": "some"}
        await prepare_program("executor", {**params, "quantum_program": wrong})


@pytest.mark.anyio
async def test_raw_input_of_a_schema_yet_unknown_is_sent_unchecked() -> None:
    """The service may be newer than what is installed."""
    params = {"schema_version": "v99.0", "anything": 1}
    assert (await prepare_program("executor", params)).params == params


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "params", "options", "message"),
    [
        ("", {}, None, "program_id must be"),
        ("executor", 3, None, "params must be a mapping"),
        ("executor", {"schema_version": "2"}, None, "written like 'v2.0'"),
        ("sampler", {}, {"default_shots": 3}, "options go with a QuantumProgram"),
    ],
)
async def test_raw_input_of_a_wrong_kind_is_refused(
    name: Any, params: Any, options: Any, message: str
) -> None:
    """The error says what was expected."""
    with pytest.raises(ConfigError, match=message):
        await prepare_program(name, params, options=options)


@pytest.mark.anyio
async def test_a_quantum_program_becomes_the_executors_input() -> None:
    """IBM's own object is written by IBM's own code, with the executor's options."""
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime.quantum_program import QuantumProgram

    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    given = QuantumProgram(shots=7)
    given.append_circuit_item(circuit)
    program = await prepare_program(
        "executor", given, options={"execution": {"init_qubits": False}}
    )
    assert isinstance(program.params, bytes)
    sent = json.loads(program.params)
    assert sent["quantum_program"]["shots"] == 7
    assert sent["options"]["init_qubits"] is False
    with pytest.raises(ConfigError, match="is for the program 'executor'"):
        await prepare_program("sampler", given)


# --- what is imported ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "imported"),
    [
        ("", "[]"),
        (", options={'default_shots': 9}", "['ibm_quantum_schemas']"),
        (", program='executor'", "['ibm_quantum_schemas', 'qiskit_ibm_runtime']"),
    ],
)
def test_packages_are_imported_only_by_who_uses_them(options: str, imported: str) -> None:
    """The legacy program needs none of IBM's packages, and options only their schemas."""
    code = (
        "import sys, anyio\nfrom qawait.ibm.primitives import prepare_sampler\n"
        "text = 'OPENQASM 3; bit[1] c; qubit[1] q; c = measure q;'\n"
        f"async def main(): await prepare_sampler(text{options})\n"
        "anyio.run(main)\n"
        "print([n for n in ('ibm_quantum_schemas', 'qiskit_ibm_runtime') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == imported, done.stderr
