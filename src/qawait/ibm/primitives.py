"""Sampler and estimator: circuits, pubs and options to a program with its encoded input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait.ibm.programs import executor, legacy
from qawait.ibm.programs.noise import prepare_noise_learner
from qawait.ibm.programs.options import chosen
from qawait.ibm.programs.program import Choice, Environment, Program, RawProgram
from qawait.ibm.programs.raw import prepare_program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait.ibm.programs.fitting import Where

__all__ = [
    "Choice",
    "Environment",
    "Program",
    "RawProgram",
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
