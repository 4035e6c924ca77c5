"""What was posted, decoded until circuits are circuits and arrays are arrays."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid5

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit_ibm_runtime import RuntimeDecoder

from qawait import limits

if TYPE_CHECKING:
    from qawait.emulator import Emulator

Body: TypeAlias = dict[str, Any]

COUNTED = re.compile(r"circuit-\d+(-\d+)?")
NAMES = UUID(int=0)
OBJECTS = ("NoiseModel", "NoiseLearnerResult")  # without a comparison of their own


def posted(emu: Emulator) -> Body:
    """Return the body of the one submit, decoded."""
    [body] = all_posted(emu)
    return body


def all_posted(emu: Emulator) -> list[Body]:
    """Return the bodies of all submits in their order, decoded."""
    bodies = [json.loads(entry.body or "") for entry in emu.ledger("POST", "/jobs")]
    return [{key: _read(value) for key, value in body.items()} for body in bodies]


def expected_of_ours(theirs: Body) -> Body:
    """Return what qawait posts where IBM's client posts this, but for its own tags.

    A job without a time limit gets qawait's, and a log level is sent by who asks for one.
    """
    body = {"cost": limits.DEFAULT_EXECUTION_SECONDS, **theirs}
    return _without_usual_log_level(body)


def without_own_tags(ours: Body) -> Body:
    """Take away the two tags that are qawait's, and the log level that is IBM's default."""
    tags = [tag for tag in ours["tags"] if not tag.startswith("qawait-")]
    assert len(ours["tags"]) == len(tags) + limits.OWN_TAGS
    body = {**ours, "tags": tags}
    if not tags:
        del body["tags"]
    return _without_usual_log_level(body)


def _without_usual_log_level(body: Body) -> Body:
    return {key: value for key, value in body.items() if (key, value) != ("log_level", "WARNING")}


def _read(value: Any) -> Any:
    """Return decoded JSON with what is encoded in it decoded too."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    return _read_object(value) if isinstance(value, dict) else value


def _read_object(value: dict[str, Any]) -> Any:
    if "__type__" in value:
        return _tagged(value)
    if {"data", "shape", "dtype"} == set(value):
        return _tensor(value)
    if "samplex_json" in value:
        return {**value, "samplex_json": _nested(json.loads(value["samplex_json"]))}
    if "b64_data" in value:
        data = zlib.decompress(base64.b64decode(value["b64_data"]))
        return {**value, "b64_data": _circuits(data)}
    if "circuit_b64" in value:
        return {**value, "circuit_b64": _layers(value)}
    return {key: _read(item) for key, item in value.items()}


def _tagged(value: dict[str, Any]) -> Any:
    if value["__type__"] in OBJECTS:
        return value
    found = json.loads(json.dumps(value), cls=RuntimeDecoder)
    return plain(found) if isinstance(found, QuantumCircuit) else found


def _layers(value: dict[str, Any]) -> QuantumCircuit:
    """Return the circuit of boxes that a noise learner is asked about."""
    from ibm_quantum_schemas.common import QpyModelV13ToV17

    return plain(QpyModelV13ToV17.model_validate(value).to_quantum_circuit())


def _nested(value: Any) -> Any:
    """Return what samplomatic writes, which is JSON in texts of JSON, with circuits decoded."""
    if isinstance(value, list):
        return [_nested(item) for item in value]
    if isinstance(value, str) and value.startswith("{"):
        return _nested(json.loads(value))
    if not isinstance(value, dict):
        return value
    if "circuit_base64" in value:
        return {**value, "circuit_base64": _circuits(base64.b64decode(value["circuit_base64"]))}
    return {key: _nested(item) for key, item in value.items()}


def _tensor(value: dict[str, Any]) -> Any:
    from ibm_quantum_schemas.common import CompressedTensorModel

    return CompressedTensorModel.model_validate(value).to_numpy()


def _circuits(data: bytes) -> list[QuantumCircuit]:
    version = data[6]
    return [version, *(plain(circuit) for circuit in qpy.load(io.BytesIO(data)))]


def plain(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit without what differs at every making: counted names, parameters' ids."""
    named = {one: Parameter(one.name, uuid=uuid5(NAMES, one.name)) for one in circuit.parameters}
    plain = circuit.assign_parameters(named)
    plain.name = COUNTED.sub("circuit", circuit.name)
    return plain


def same(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Return the places where two values differ: arrays by dtype, shape and items."""
    if type(ours) is not type(theirs):
        return [f"{place}: {type(ours).__name__} and {type(theirs).__name__}"]
    if isinstance(theirs, dict) and set(ours) == set(theirs):
        return [text for key in theirs for text in same(ours[key], theirs[key], f"{place}.{key}")]
    if isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [text for n, (one, other) in pairs for text in same(one, other, f"{place}[{n}]")]
    return [] if _equal(ours, theirs) else [f"{place}: {ours!r:.120} and {theirs!r:.120}"]


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, QuantumCircuit):
        return bool(ours == theirs and ours.name == theirs.name)
    if not isinstance(theirs, np.ndarray):
        return bool(ours == theirs)
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind in "fc")
