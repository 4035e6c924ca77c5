"""The program `noise-learner`: what noise layers of a circuit have on a backend.

Version 2 takes circuits and finds their layers itself; version 3 takes the layers,
as boxes with annotations of samplomatic, and is what the program `executor` builds on.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.ibm.circuits import as_circuit, target_of
from qawait.ibm.codec.encode import to_json
from qawait.ibm.heavy import in_worker, runtime_imported, schemas_imported
from qawait.ibm.programs import runtime
from qawait.ibm.programs.executor import made_options, to_bytes
from qawait.ibm.programs.fitting import found, transpiled
from qawait.ibm.programs.legacy import read_environment
from qawait.ibm.programs.options import (
    as_mapping,
    check_names,
    group,
    refused,
    what_is_set,
)
from qawait.ibm.programs.program import Environment, Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.ibm.programs.fitting import Where

_NAME: Final = "noise-learner"


async def prepare_noise_learner(
    given: Any,
    *,
    target: Where = None,
    optimization_level: int | None = 1,
    options: Any = None,
    on_transpile: Callable[[], None] | None = None,
) -> Program:
    """Return the program that learns the noise of layers, or of those in circuits.

    `given` is a circuit, a list of circuits or pubs of an estimator (whose circuits
    alone matter), or a list of layers: boxed instructions, as IBM's
    `find_unique_layers` gives them. Circuits are transpiled as for a sampler.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    await runtime_imported()
    items = given if isinstance(given, list) else [given]
    if not items:
        raise ConfigError("there is nothing to learn the noise of: give circuits or layers")
    if all(_is_layer(item) for item in items):
        return await _of_layers(items, options, target)
    circuits = [_circuit_of(item) for item in items]
    sent, environment = await _circuit_options(options)
    made = await transpiled(circuits, await found(target), optimization_level, on_transpile)
    fitting = [made.get(id(circuit), circuit) for circuit in circuits]
    params = await in_worker(to_json, {"circuits": fitting, "options": sent})
    return Program(name=_NAME, params=params.encode(), environment=environment)


def _is_layer(item: Any) -> bool:
    from qiskit.circuit import CircuitInstruction

    return isinstance(item, CircuitInstruction)


def _circuit_of(item: Any) -> Any:
    if _is_layer(item):
        raise ConfigError("circuits and layers cannot be mixed: submit one job for each")
    source = item[0] if isinstance(item, tuple) and item else getattr(item, "circuit", item)
    return as_circuit(source)


async def _of_layers(layers: list[Any], options: Any, where: Where) -> Program:
    made = made_options("noise learner", options)
    backend = await found(where)
    target = None if backend is None else await in_worker(target_of, backend)
    handed = await in_worker(
        runtime.handed, "noise learner", made, target, lambda learner: learner.run(layers)
    )
    return Program(
        name=_NAME,
        params=await in_worker(to_bytes, handed.inputs),
        environment=Environment.from_options(handed.options),
    )


async def _circuit_options(options: Any) -> tuple[dict[str, Any], Environment]:
    """Return what is sent of the options for circuits, and what belongs to the job."""
    if options is None:
        return {"support_qiskit": True}, Environment()
    given = as_mapping(_of_an_estimator(options) or what_is_set(options, "NoiseLearnerOptions"))
    environment = read_environment(given)
    await schemas_imported()
    experimental = group(given, "experimental")
    given.pop("experimental", None)
    sent = _checked(given)
    further = {name: value for name, value in experimental.items() if name != "image"}
    if further:
        sent["experimental"] = further
    return {**sent, "support_qiskit": True}, environment


def _of_an_estimator(options: Any) -> dict[str, Any] | None:
    """Return what concerns noise learning in the legacy estimator's options object."""
    if not (is_dataclass(options) and type(options).__name__ == "EstimatorOptions"):
        return None
    given = as_mapping(what_is_set(options, "EstimatorOptions"))
    learned = dict(group(group(given, "resilience"), "layer_noise_learning"))
    if strategy := group(given, "twirling").get("strategy"):
        learned["twirling_strategy"] = strategy
    shared = ("environment", "experimental", "max_execution_time", "simulator")
    return learned | {name: given[name] for name in shared if name in given}


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    from ibm_quantum_schemas.noise_learner_v2.version_0_1 import OptionsModel

    check_names(given, OptionsModel, "noise learner")
    try:
        valid = OptionsModel.model_validate(given)
    except ValueError as error:  # pydantic's
        raise refused(error, "noise learner") from error
    dumped: dict[str, Any] = valid.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in dumped.items() if value != {}}
