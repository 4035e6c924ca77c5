"""Programs given as they are: by name, with an input of the user's own making."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final

from qawait.errors import ConfigError
from qawait.ibm.heavy import in_worker, runtime_imported, schemas_imported
from qawait.ibm.programs import runtime
from qawait.ibm.programs.executor import made_options, to_bytes
from qawait.ibm.programs.options import refused
from qawait.ibm.programs.program import Environment, RawProgram

_FAMILIES: Final = {
    "calibrate": "calibrator",
    "executor": "executor",
    "noise-learner": "noise_learner_v3",
}
"""Where ibm-quantum-schemas has the models of the programs whose input names its schema."""
_VERSION: Final = re.compile(r"v(\d+)\.(\d+)")


async def prepare_program(name: str, params: Any, *, options: Any = None) -> RawProgram:
    """Return a program with its input: JSON as a mapping or bytes, or a `QuantumProgram`.

    A mapping that names a `schema_version` is checked against that schema, if the
    installed ibm-quantum-schemas has it. `options` are the executor's, for a
    `QuantumProgram` only, whose input IBM's own code writes.

    Raises:
        ConfigError: if the input is none of these, or not what its schema wants.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"program_id must be a program's name, not {name!r:.100}")
    if type(params).__name__ == "QuantumProgram":
        return await _of_quantum_program(name, params, options)
    if options is not None:
        raise ConfigError("options go with a QuantumProgram; write others into params")
    if isinstance(params, bytes):
        return RawProgram(name=name, params=params)
    if not isinstance(params, Mapping):
        kind = type(params).__name__
        raise ConfigError(f"params must be a mapping, or JSON as bytes, not {kind}")
    if name in _FAMILIES and isinstance(version := params.get("schema_version"), str):
        await schemas_imported()
        await in_worker(_check, name, version, params)
    return RawProgram(name=name, params=params)


async def _of_quantum_program(name: str, params: Any, options: Any) -> RawProgram:
    if name != "executor":
        raise ConfigError(f"a QuantumProgram is for the program 'executor', not {name!r:.60}")
    await runtime_imported()
    made = made_options("executor", options)
    handed = await in_worker(runtime.handed, "executor", made, None, lambda it: it.run(params))
    return RawProgram(
        name="executor",
        params=await in_worker(to_bytes, handed.inputs),
        environment=Environment.from_options(handed.options),
    )


def _check(name: str, version: str, params: Mapping[str, Any]) -> None:
    if (model := _model(name, version)) is None:
        return
    # the noise learner's input has its own version beside that of the schema
    given = {key: value for key, value in params.items() if key != "version"}
    try:
        model.model_validate(given)
    except ValueError as error:  # pydantic's
        raise refused(error, f"{name} {version}") from error


def _model(name: str, version: str) -> Any | None:
    """Return the model of a program's input, or `None` for a schema that is not installed."""
    if (found := _VERSION.fullmatch(version)) is None:
        raise ConfigError(f"schema_version is written like 'v2.0', not {version!r:.60}")
    place = f"ibm_quantum_schemas.{_FAMILIES[name]}.version_{found[1]}_{found[2]}"
    try:
        return importlib.import_module(place).ParamsModel
    except ModuleNotFoundError:
        return None
