"""Sampler and estimator on the programs `sampler` and `estimator`, which the service prepares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.ibm import pubs as checked
from qawait.ibm.codec.encode import encode_params, to_json
from qawait.ibm.heavy import (
    in_worker,
    inline_or_in_worker,
    qiskit_imported,
    runtime_imported,
    schemas_imported,
)
from qawait.ibm.programs import runtime
from qawait.ibm.programs.fitting import fitted, found
from qawait.ibm.programs.options import (
    as_mapping,
    check_names,
    group,
    refused,
    unknown_option,
    what_is_set,
)
from qawait.ibm.programs.program import Environment, Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.ibm.programs.fitting import Where
    from qawait.ibm.programs.program import Kind

_JOB_OPTIONS: Final = frozenset({"environment", "max_execution_time"})
"""What IBM keeps among the options although it belongs to the job."""
_ENVIRONMENT: Final = frozenset({"image", "job_tags", "log_level", "private"})
_RESILIENCE_LEVELS: Final = range(3)
_OBJECTS: Final = (("simulator", "noise_model"), ("resilience", "layer_noise_model"))
"""Options that are objects of IBM's or Aer's, which no schema of plain values describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What options come to: fields of the input beside the pubs, and what belongs to the job."""

    sent: Mapping[str, Any]
    environment: Environment


async def prepare(
    kind: Kind,
    pubs: Any,
    *,
    aim: float | None,
    target: Where,
    optimization_level: int | None,
    options: Any,
    on_transpile: Callable[[], None] | None,
) -> Program:
    """Return the program for pubs; `aim` is a sampler's shots or an estimator's precision.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    await qiskit_imported()
    read = await read_options(kind, options)
    inline = checked.is_small(pubs)
    check: Any = checked.sampler_pubs if kind == "sampler" else checked.estimator_pubs
    taken = await inline_or_in_worker(check, pubs, aim, inline=inline)
    _check_decoupling(taken, read.sent["options"])
    fitting = await fitted(taken, await found(target), optimization_level, on_transpile)
    params = await encode_params(fitting, read.sent)
    return Program(name=kind, params=params, pubs=tuple(fitting), environment=read.environment)


def _check_decoupling(pubs: list[Any], options: Mapping[str, Any]) -> None:
    """Refuse dynamical decoupling of circuits with control flow, as IBM's client does."""
    if not options.get("dynamical_decoupling", {}).get("enable"):
        return
    for index, pub in enumerate(pubs):
        if pub.circuit.has_control_flow_op():
            raise ConfigError(
                f"pub {index}: dynamical decoupling cannot be had with control flow: leave out one "
                "of them"
            )


async def read_options(kind: Kind, options: Any) -> _Options:
    """Return checked options of a legacy program, of which only what was set is sent.

    Raises:
        ConfigError: if a name or a value in them is none of the program's.
    """
    if options is None:
        return _Options(sent=_sent({}), environment=Environment())
    given = as_mapping(what_is_set(options, f"{kind.title()}Options"))
    if given:
        await schemas_imported()
    return await _read_mapping(kind, given)


async def _read_mapping(kind: Kind, given: dict[str, Any]) -> _Options:
    environment = read_environment(given)
    level = _level(kind, given)
    experimental = group(given, "experimental")
    given.pop("experimental", None)
    if given:
        given = _checked(kind, given)
    merged = _without_empty(_with_experimental(kind, given, dict(experimental)))
    if _objects(merged):
        await runtime_imported()
        merged = await in_worker(runtime.plain, merged)
    to_json(merged)  # refused here, before anything is asked of the service
    return _Options(sent=_sent(merged, level), environment=environment)


def read_environment(given: dict[str, Any]) -> Environment:
    """Take out of options what belongs to the job, and return it.

    Raises:
        ConfigError: if a name or a value in it is none that IBM knows.
    """
    parts = group(given, "environment")
    for name in parts:
        if name not in _ENVIRONMENT:
            raise unknown_option("legacy program", name, _ENVIRONMENT, within="environment.")
    image = group(given, "experimental").get("image")
    given.pop("environment", None)
    seconds = given.pop("max_execution_time", None)
    return Environment.from_options({"image": image, **parts, "max_execution_time": seconds})


def _level(kind: Kind, given: dict[str, Any]) -> int | None:
    if kind != "estimator":
        return None
    level = given.pop("resilience_level", None)
    if level is not None and (isinstance(level, bool) or level not in _RESILIENCE_LEVELS):
        raise ConfigError(f"resilience_level should be 0, 1 or 2, not {level!r:.60}")
    return level


def _checked(kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    """Return options as the program's schema has them, in names and plain values."""
    model = _model(kind)
    others = _JOB_OPTIONS | ({"resilience_level"} if kind == "estimator" else set())
    check_names(given, _Names(model, others), f"legacy {kind}")
    checked.check_shots(given.get("default_shots"))
    checked.check_precision(given.get("default_precision"))
    objects = _objects(given)
    plain = json.loads(to_json(_without(given, objects)))
    try:
        valid = model.model_validate(plain).model_dump(mode="json", exclude_unset=True)
    except ValueError as error:  # pydantic's
        raise refused(error, f"legacy {kind}") from error
    return _merged(valid, objects)


class _Names:
    """The fields of a schema's model, and what else may stand beside them."""

    def __init__(self, model: Any, others: frozenset[str] | set[str]) -> None:
        self.model_fields = {**model.model_fields, **dict.fromkeys(others)}


def _model(kind: Kind) -> Any:
    if kind == "sampler":
        from ibm_quantum_schemas.sampler.version_0_1 import OptionsModel
    else:
        from ibm_quantum_schemas.estimator.version_0_1 import OptionsModel
    return OptionsModel


def _objects(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that are objects of IBM's or Aer's."""
    return {
        group: {name: given[group][name]} for group, name in _OBJECTS if _holds(given, group, name)
    }


def _without(given: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        group: {name: value for name, value in given[group].items() if name not in hidden}
        for group, hidden in objects.items()
    }
    return {**given, **kept}


def _with_experimental(
    kind: Kind, given: dict[str, Any], experimental: dict[str, Any]
) -> dict[str, Any]:
    """Return options with experimental ones put in their place, as IBM's client does."""
    experimental.pop("image", None)
    known = _model(kind).model_fields if experimental else ()
    placed = {name: experimental.pop(name) for name in list(experimental) if name in known}
    return {**_merged(given, placed), "experimental": experimental}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _merged(old[name], value)
        for name, value in new.items()
        if isinstance(value, Mapping) and isinstance(old.get(name), Mapping)
    }
    return {**old, **new, **both}


def _without_empty(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        name: _without_empty(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
    }
    return {name: value for name, value in kept.items() if not isinstance(value, dict) or value}


def _holds(options: Mapping[str, Any], group: str, name: str) -> bool:
    part = options.get(group)
    return isinstance(part, Mapping) and part.get(name) is not None


def _sent(options: Mapping[str, Any], level: int | None = None) -> dict[str, Any]:
    """Return the fields of `params` beside the pubs, as the real client sends them."""
    further = {"options": options, "version": 2, "support_qiskit": True}
    return further if level is None else further | {"resilience_level": level}
