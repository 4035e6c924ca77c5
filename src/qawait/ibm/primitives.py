"""Sampler and estimator: circuits, pubs and options to a program with its encoded input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm import pubs as checked
from qawait.ibm.circuits import check_level, fits, target_of, transpile_all
from qawait.ibm.codec.encode import encode_params
from qawait.ibm.heavy import ensure_qiskit, inline_or_in_worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from qiskit.circuit import QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub
    from qiskit.transpiler import Target

    from qawait.ibm.backend import Backend

    Where: TypeAlias = Target | Backend | Callable[[], Awaitable[Target | Backend]] | None

_COMMON_OPTIONS: Final = frozenset(
    {"default_shots", "dynamical_decoupling", "execution", "experimental", "simulator", "twirling"}
)
_ESTIMATOR_OPTIONS: Final = _COMMON_OPTIONS | {
    "default_precision",
    "resilience",
    "resilience_level",
    "seed_estimator",
}
_JOB_OPTIONS: Final = frozenset({"environment", "max_execution_time"})
"""What qiskit-ibm-runtime keeps among the options although it belongs to the job."""
_RESILIENCE_LEVELS: Final = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of the service with its input, ready to be submitted.

    `params` is the JSON of the input; `pubs` is what it encodes: coerced,
    transpiled where that was needed, in the order in which they were given.
    """

    name: Literal["sampler", "estimator"]
    params: bytes = field(repr=False)
    pubs: tuple[SamplerPub | EstimatorPub, ...] = field(repr=False, compare=False)

    @property
    def num_pubs(self) -> int:
        """How many results there will be."""
        return len(self.pubs)


async def prepare_sampler(
    pubs: Any,
    *,
    shots: int | None = None,
    target: Where = None,
    optimization_level: int | None = 1,
    options: Mapping[str, Any] | None = None,
    on_transpile: Callable[[], None] | None = None,
) -> Program:
    """Return the sampler program for a circuit, a pub or a list of pubs.

    `shots` is for pubs that name none; without either, the service's default
    holds. Circuits that do not fit `target` (a callable is awaited for it, once
    all that can be checked without it has been) are transpiled for it, after one
    call of `on_transpile`; with `optimization_level=None` all are sent as is.
    `options` are the program's own, as IBM documents them, and only what they
    name is sent.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    ensure_qiskit()
    sent = _sent_options(options, _COMMON_OPTIONS, "sampler")
    inline = checked.is_small(pubs)
    taken = await inline_or_in_worker(checked.sampler_pubs, pubs, shots, inline=inline)
    fitting = await _fitted(taken, await _found(target), optimization_level, on_transpile)
    params = await encode_params(fitting, _further(sent))
    return Program(name="sampler", params=params, pubs=tuple(fitting))


async def prepare_estimator(
    pubs: Any,
    *,
    precision: float | None = None,
    target: Where = None,
    optimization_level: int | None = 1,
    options: Mapping[str, Any] | None = None,
    on_transpile: Callable[[], None] | None = None,
) -> Program:
    """Return the estimator program for a pub or a list of pubs.

    `precision` is the standard error aimed at, for pubs that name none. The
    observables of a circuit that is transpiled follow it to its new qubits. The
    rest is as for `prepare_sampler`.

    Raises:
        ConfigError: if anything given is wrong; nothing has been sent then.
    """
    ensure_qiskit()
    sent = _sent_options(options, _ESTIMATOR_OPTIONS, "estimator")
    inline = checked.is_small(pubs)
    taken = await inline_or_in_worker(checked.estimator_pubs, pubs, precision, inline=inline)
    fitting = await _fitted(taken, await _found(target), optimization_level, on_transpile)
    params = await encode_params(fitting, _further(sent))
    return Program(name="estimator", params=params, pubs=tuple(fitting))


def _further(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `params` beside the pubs, as the real client sends them."""
    level = options.pop("resilience_level", None)
    further = {"options": options, "version": 2, "support_qiskit": True}
    return further if level is None else further | {"resilience_level": level}


def _sent_options(
    options: Mapping[str, Any] | None, known: frozenset[str], program: str
) -> dict[str, Any]:
    """Return a copy of the options, checked as far as their names and plain values go."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ConfigError(f"options should be a mapping, not {type(options).__name__}")
    for name in options:
        if name in _JOB_OPTIONS:
            raise ConfigError(f"{name!r} belongs to the job: give it to submit, not as an option")
        if name not in known:
            raise ConfigError(
                f"the {program} has no option {name!r:.60}; it has {', '.join(sorted(known))}"
            )
    checked.check_shots(options.get("default_shots"))
    checked.check_precision(options.get("default_precision"))
    level = options.get("resilience_level")
    if level is not None and (isinstance(level, bool) or level not in _RESILIENCE_LEVELS):
        raise ConfigError(f"resilience_level should be 0, 1 or 2, not {level!r:.60}")
    return dict(options)


async def _found(where: Where) -> Target | Backend | None:
    return await where() if callable(where) else where


async def _fitted(
    pubs: Sequence[Any],
    target: Target | Backend | None,
    level: int | None,
    on_transpile: Callable[[], None] | None,
) -> list[Any]:
    """Return the pubs, with circuits transpiled that do not run on the target as they are."""
    if target is None or level is None:
        return list(pubs)
    check_level(level)
    circuits = {id(pub.circuit): pub.circuit for pub in pubs}
    size = sum(len(circuit.data) for circuit in circuits.values())
    inline = size <= limits.INLINE_INSTRUCTIONS
    unfit = await inline_or_in_worker(_unfit, circuits, target, inline=inline)
    if not unfit:
        return list(pubs)
    if on_transpile:
        on_transpile()
    done = await transpile_all(list(unfit.values()), target, optimization_level=level)
    made = dict(zip(unfit, done, strict=True))
    return [_moved(pub, made[id(pub.circuit)]) if id(pub.circuit) in made else pub for pub in pubs]


def _unfit(
    circuits: dict[int, QuantumCircuit], where: Target | Backend
) -> dict[int, QuantumCircuit]:
    """Return the circuits that do not run on the target as they are."""
    target = target_of(where)
    return {key: circuit for key, circuit in circuits.items() if fits(circuit, target)}


def _moved(pub: Any, circuit: QuantumCircuit) -> Any:
    """Return a pub for the transpiled form of its circuit."""
    values = _values_for(pub, circuit)
    if hasattr(pub, "observables"):
        observables = pub.observables.apply_layout(circuit.layout, circuit.num_qubits)
        return type(pub)(circuit, observables, values, pub.precision)
    return type(pub)(circuit, values, pub.shots)


def _values_for(pub: Any, circuit: QuantumCircuit) -> BindingsArray:
    """Return a pub's parameter values in the transpiled circuit's order.

    Transpiling keeps a parameter's name but neither its place nor always the
    parameter: what cancels is gone from the circuit, and its values with it.
    """
    from qiskit.primitives.containers.bindings_array import BindingsArray

    before = pub.parameter_values
    names = tuple(parameter.name for parameter in circuit.parameters)
    if not names:
        return BindingsArray(shape=before.shape)
    places = {parameter.name: place for place, parameter in enumerate(pub.circuit.parameters)}
    columns = before.as_array(pub.circuit.parameters)[..., [places[name] for name in names]]
    return BindingsArray({names: columns}, shape=before.shape)
