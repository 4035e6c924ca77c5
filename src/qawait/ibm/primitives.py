"""Sampler and estimator: circuits, pubs and options to a program with its encoded input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qawait.errors import ConfigError
from qawait.ibm.programs import executor, legacy
from qawait.ibm.programs.noise import prepare_noise_learner
from qawait.ibm.programs.options import chosen
from qawait.ibm.programs.program import Choice, Environment, Kind, Program, RawProgram
from qawait.ibm.programs.raw import prepare_program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qiskit.circuit import CircuitInstruction

    from qawait.ibm.programs.fitting import Where

__all__ = [
    "Choice",
    "Environment",
    "Kind",
    "Program",
    "RawProgram",
    "finalize_options",
    "find_unique_layers",
    "prepare_estimator",
    "prepare_noise_learner",
    "prepare_program",
    "prepare_sampler",
]


async def prepare_sampler(
    pubs: Any,
    *,
    shots: int | None = None,
    target: Where = None,
    optimization_level: int | None = 1,
    options: Any = None,
    program: Choice | None = None,
    on_transpile: Callable[[], None] | None = None,
) -> Program:
    """Return the program that samples a circuit, a pub or a list of pubs.

    `shots` is for pubs that name none; without either, the default of the options
    holds. Circuits that do not fit `target` (a callable is awaited for it, once
    all that can be checked without it has been) are transpiled for it, after one
    call of `on_transpile`; with `optimization_level=None` all are sent as is.
    `options` are the sampler's as IBM documents them, in a mapping or its own
    objects. `program` says who prepares the circuits: `"executor"` does it here,
    with IBM's code, and `"legacy"` leaves it to the service.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    prepare = _way(program, options)
    return await prepare(
        "sampler",
        pubs,
        aim=shots,
        target=target,
        optimization_level=optimization_level,
        options=options,
        on_transpile=on_transpile,
    )


async def prepare_estimator(
    pubs: Any,
    *,
    precision: float | None = None,
    target: Where = None,
    optimization_level: int | None = 1,
    options: Any = None,
    program: Choice | None = None,
    on_transpile: Callable[[], None] | None = None,
) -> Program:
    """Return the program that estimates a pub or a list of pubs.

    `precision` is the standard error aimed at, for pubs that name none. The
    observables of a circuit that is transpiled follow it to its new qubits. The
    rest is as for `prepare_sampler`.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    prepare = _way(program, options)
    return await prepare(
        "estimator",
        pubs,
        aim=precision,
        target=target,
        optimization_level=optimization_level,
        options=options,
        on_transpile=on_transpile,
    )


def _way(program: Choice | None, options: Any) -> Callable[..., Awaitable[Program]]:
    return executor.prepare if chosen(program, options) == "executor" else legacy.prepare


async def find_unique_layers(
    kind: Kind,
    pubs: Any,
    *,
    options: Any = None,
    program: Choice | None = None,
    types: Literal["gates", "all"] = "gates",
) -> list[CircuitInstruction]:
    """Return each distinct boxed layer of pubs, as the executor's primitive would run them.

    Raises:
        ConfigError: if the program is another, or anything given is wrong.
    """
    _check_prepared_here(program, options, "layers are found")
    if types not in ("gates", "all"):
        raise ConfigError(f'types must be "gates" or "all", not {types!r:.60}')
    return await executor.find_unique_layers(kind, pubs, options=options, types=types)


async def finalize_options(
    kind: Kind, *, options: Any = None, program: Choice | None = None
) -> Any:
    """Return the options object that the executor's primitive would prepare a job with.

    Raises:
        ConfigError: if the program is another, or an option is wrong.
    """
    _check_prepared_here(program, options, "options are decided on")
    return await executor.finalize_options(kind, options=options)


def _check_prepared_here(program: Choice | None, options: Any, what: str) -> None:
    if chosen(program, options) != "executor":
        raise ConfigError(f'{what} here for program="executor" only: the service does it otherwise')
