"""What a submit must look like before it becomes a job."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from .answers import RefusalError, invalid
from .settings import (
    EXECUTOR_SCHEMA,
    MAX_COST_SECONDS,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    NOISE_LAYERS_SCHEMA,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# How many parts a pub of each program may have.
PUB_PARTS = {"sampler": 3, "estimator": 4}
# Sampler and estimator are in their second version: SamplerV2, EstimatorV2.
INTERFACE_VERSION = 2
PROGRAMS = frozenset({*PUB_PARTS, "executor", "noise-learner"})
LOG_LEVELS = frozenset({"critical", "error", "warning", "info", "debug"})
_COMMON = {"pubs", "options", "version", "support_qiskit"}
_PARAMS = {
    "sampler": _COMMON | {"shots"},
    "estimator": _COMMON | {"precision", "resilience_level"},
}
_COMMON_OPTIONS = {
    "default_shots",
    "dynamical_decoupling",
    "environment",
    "execution",
    "experimental",
    "max_execution_time",
    "simulator",
    "twirling",
}
_OPTIONS = {
    "sampler": _COMMON_OPTIONS,
    "estimator": _COMMON_OPTIONS
    | {"default_precision", "resilience", "resilience_level", "seed_estimator"},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A submit that passed validation."""

    program: str
    backend: str
    tags: tuple[str, ...]
    cost: int
    session_id: str | None
    private: bool
    support_qiskit: bool


def read_submit(body: dict[str, Any]) -> Submit:
    """Return what a submit asks for, or refuse it as the service would."""
    program = body.get("program_id")
    if program not in PROGRAMS:
        raise RefusalError(404, 1292, f"Program not found. Program ID: {program}")
    params = body.get("params")
    if not isinstance(params, dict):
        raise invalid("params must be an object.")
    if program == "executor":
        _check_program(params)
    elif program == "noise-learner":
        _check_noise_learner(params)
    else:
        _check_params(program, params)
    _check_log_level(body.get("log_level"))
    return Submit(
        program=program,
        backend=_text(body, "backend", required=True) or "",
        tags=read_tags(body.get("tags") or []),
        cost=_cost(body.get("cost")),
        session_id=_text(body, "session_id"),
        private=body.get("private") is True,
        support_qiskit=params.get("support_qiskit") is True,
    )


def _text(body: dict[str, Any], name: str, *, required: bool = False) -> str | None:
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value:
        raise invalid(f"{name} must be a string.")
    return value


def _cost(value: Any) -> int:
    if value is None:
        return MAX_COST_SECONDS
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid("cost must be a positive integer.")
    return min(value, MAX_COST_SECONDS)


def _check_log_level(level: Any) -> None:
    # IBM's client sends upper case where the documentation has lower case.
    if level is not None and str(level).lower() not in LOG_LEVELS:
        raise invalid(f"log_level must be one of {sorted(LOG_LEVELS)}.")


def read_tags(tags: Any) -> tuple[str, ...]:
    """Return a job's tags, or refuse them when they are too many or too long."""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise invalid("tags must be a list of strings.")
    if len(tags) > MAX_TAGS:
        raise RefusalError(400, 1204, f"Too many tags: the limit is {MAX_TAGS}.")
    if any(len(tag) > MAX_TAG_LENGTH for tag in tags):
        raise RefusalError(400, 1205, f"A tag is too long: the limit is {MAX_TAG_LENGTH}.")
    return tuple(dict.fromkeys(tags))


def _check_program(params: dict[str, Any]) -> None:
    _only(params, {"schema_version", "quantum_program", "options"}, "params")
    if params.get("schema_version") != EXECUTOR_SCHEMA:
        raise invalid(f"schema_version must be {EXECUTOR_SCHEMA}.")
    if not isinstance(params.get("quantum_program"), dict):
        raise invalid("quantum_program must be an object.")


def _check_noise_learner(params: dict[str, Any]) -> None:
    if "schema_version" in params:
        _only(params, {"schema_version", "instructions", "options", "version"}, "params")
        if params["schema_version"] != NOISE_LAYERS_SCHEMA:
            raise invalid(f"schema_version must be {NOISE_LAYERS_SCHEMA}.")
        return
    _only(params, {"circuits", "options", "version"}, "params")
    circuits = params.get("circuits")
    if not isinstance(circuits, list) or not circuits or not all(map(_is_circuit, circuits)):
        raise invalid("circuits must be a non-empty list of circuits.")


def _check_params(program: str, params: dict[str, Any]) -> None:
    _only(params, _PARAMS[program], "params")
    if params.get("version", INTERFACE_VERSION) != INTERFACE_VERSION:
        raise invalid(f"version must be {INTERFACE_VERSION}.")
    options = {} if params.get("options") is None else params["options"]
    if not isinstance(options, dict):
        raise invalid("options must be an object.")
    _only(options, _OPTIONS[program], "options")
    _check_number(params.get("shots"), "shots", whole=True)
    _check_number(options.get("default_shots"), "default_shots", whole=True)
    _check_number(params.get("precision"), "precision", whole=False)
    _check_pubs(program, params.get("pubs"))


def _only(given: dict[str, Any], known: set[str], where: str) -> None:
    strange = sorted(set(given) - known)
    if strange:
        raise invalid(f"{where} must not have additional properties {strange}.")


def _check_pubs(program: str, pubs: Any) -> None:
    if not isinstance(pubs, list) or not pubs:
        raise invalid("pubs must be a non-empty list.")
    for pub in pubs:
        parts = pub if isinstance(pub, list) else [pub]
        _check_pub(program, parts)


def _check_pub(program: str, parts: Sequence[Any]) -> None:
    most = PUB_PARTS[program]
    if not 1 <= len(parts) <= most:
        raise invalid(f"a pub of the {program} has at most {most} parts.")
    if not _is_circuit(parts[0]):
        raise invalid("a pub starts with a circuit: QPY or OpenQASM 3.")
    if program == "estimator" and (len(parts) == 1 or not isinstance(parts[1], dict | list | str)):
        raise invalid("a pub of the estimator names its observables.")
    if len(parts) == most:
        name = "shots" if program == "sampler" else "precision"
        _check_number(parts[-1], name, whole=program == "sampler")


def _is_circuit(value: Any) -> bool:
    tagged = isinstance(value, dict) and value.get("__type__") == "QuantumCircuit"
    return tagged or (isinstance(value, str) and bool(value))


def _check_number(value: Any, name: str, *, whole: bool) -> None:
    kinds = int if whole else (int, float)
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, kinds) or value <= 0
    ):
        raise invalid(f"{name} must be a positive {'integer' if whole else 'number'} or null.")
