"""Sampler and estimator on the program `executor`, prepared by IBM's own client-side code."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, Literal

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm import pubs as checked
from qawait.ibm.circuits import target_of
from qawait.ibm.heavy import in_worker, runtime_imported
from qawait.ibm.programs import runtime
from qawait.ibm.programs.fitting import fitted, found
from qawait.ibm.programs.options import as_mapping, check_names, refused
from qawait.ibm.programs.program import Environment, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qiskit.circuit import CircuitInstruction

    from qawait.ibm.backend import Backend
    from qawait.ibm.programs.fitting import Where
    from qawait.ibm.programs.program import Kind

_LETTERS: Final = "IXYZ01+-rl"
"""Paulis and the projectors on their eigenstates, as Qiskit's observables have them."""


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

    IBM's code, in a worker thread, makes circuits, twirling, decoupling and
    mitigation of them as its own client does.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    await runtime_imported()
    made = made_options(f"executor {kind}", options)
    taken = await in_worker(_checked, kind, pubs, aim)
    where = await found(target)
    fitting = await fitted(taken, where, optimization_level, on_transpile)
    handed = await in_worker(_handed, kind, made, where, fitting)
    return Program(
        name="executor",
        params=await in_worker(to_bytes, handed.inputs),
        pubs=tuple(fitting),
        environment=Environment.from_options(handed.options),
    )


async def find_unique_layers(
    kind: Kind, pubs: Any, *, options: Any, types: Literal["gates", "all"]
) -> list[CircuitInstruction]:
    """Return the distinct boxed layers of pubs whose circuits are taken as they stand.

    Raises:
        ConfigError: if anything given is wrong.
    """
    await runtime_imported()
    made = made_options(f"executor {kind}", options)
    taken = await in_worker(_checked, kind, pubs, None)
    found: list[CircuitInstruction] = await in_worker(
        runtime.asked,
        f"executor {kind}",
        made,
        lambda primitive: primitive.find_unique_layers(taken, types=types),
    )
    return found


async def finalize_options(kind: Kind, *, options: Any) -> Any:
    """Return the options object that a job would be prepared with.

    Raises:
        ConfigError: if a name or a value in them is none of the options.
    """
    await runtime_imported()
    what = f"executor {kind}"
    made = made_options(what, options)
    return await in_worker(
        runtime.asked, what, made, lambda primitive: primitive.finalize_options()
    )


def made_options(what: str, options: Any) -> Any:
    """Return the options object that IBM's primitive takes, of its own kind or from a mapping.

    Raises:
        ConfigError: if a name or a value in them is none of its options.
    """
    model = runtime.options_model(what)
    if options is None:
        return model()
    if isinstance(options, model):
        return deepcopy(options)
    given = as_mapping(options)
    check_names(given, model, what)
    try:
        return model(**given)
    except ValueError as error:  # pydantic's
        raise refused(error, what) from error


def _checked(kind: Kind, pubs: Any, aim: Any) -> list[Any]:
    if kind == "sampler":
        taken: list[Any] = checked.sampler_pubs(pubs, aim)
        return _alike(taken, "shots")
    return _alike(checked.estimator_pubs(pubs, aim, letters=_LETTERS), "precision")


def _alike(pubs: list[Any], name: str) -> list[Any]:
    """Return the pubs, all of which name the same shots or precision, or none."""
    if len(aims := {getattr(pub, name) for pub in pubs}) > 1:
        some = ", ".join(sorted(map(str, aims))[:5])
        raise ConfigError(
            f"the program executor takes the same {name} for all pubs of a job, not {some}: "
            'submit one job for each, or choose program="legacy"'
        )
    return pubs


def _handed(kind: Kind, options: Any, where: Any | Backend, pubs: Sequence[Any]) -> runtime.Handed:
    target = None if where is None else target_of(where)
    return runtime.handed(
        f"executor {kind}", options, target, lambda primitive: primitive.run(pubs)
    )


def to_bytes(inputs: dict[str, Any]) -> bytes:
    """Return a program's input as JSON.

    Raises:
        ConfigError: if a value has no form in JSON, or the service would find it too large.
    """
    try:
        text = json.dumps(inputs, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this input cannot be sent: {error}") from error
    if len(text) > limits.SUBMIT_BODY_BYTES:
        raise ConfigError(
            f"the input is {len(text) / 2**20:.1f} MiB and the service takes "
            f"{limits.SUBMIT_BODY_BYTES / 2**20:.0f} MiB: submit it as several jobs"
        )
    return text
