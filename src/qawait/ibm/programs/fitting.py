"""Pubs made to run on a backend: circuits transpiled where needed, and what goes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait import limits
from qawait.ibm.circuits import check_level, fits, target_of, transpile_all
from qawait.ibm.heavy import inline_or_in_worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from qiskit.circuit import QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.transpiler import Target

    from qawait.ibm.backend import Backend

    Where: TypeAlias = Target | Backend | Callable[[], Awaitable[Target | Backend]] | None


async def found(where: Where) -> Target | Backend | None:
    """Return a target or backend, awaited if it has to be asked for."""
    return await where() if callable(where) else where


async def fitted(
    pubs: Sequence[Any],
    target: Target | Backend | None,
    level: int | None,
    on_transpile: Callable[[], None] | None,
) -> list[Any]:
    """Return the pubs, with circuits transpiled that do not run on the target as they are.

    Without a target or a level they are returned as they are.

    Raises:
        ConfigError: if a circuit cannot be made to run on it.
    """
    circuits = [pub.circuit for pub in pubs]
    made = await transpiled(circuits, target, level, on_transpile)
    return [_moved(pub, made[id(pub.circuit)]) if id(pub.circuit) in made else pub for pub in pubs]


async def transpiled(
    circuits: Sequence[QuantumCircuit],
    target: Target | Backend | None,
    level: int | None,
    on_transpile: Callable[[], None] | None,
) -> dict[int, QuantumCircuit]:
    """Return, by the `id` of each circuit that does not run as it is, one that does.

    Raises:
        ConfigError: if a circuit cannot be made to run on the target.
    """
    if target is None or level is None:
        return {}
    check_level(level)
    distinct = {id(circuit): circuit for circuit in circuits}
    size = sum(len(circuit.data) for circuit in distinct.values())
    inline = size <= limits.INLINE_INSTRUCTIONS
    unfit = await inline_or_in_worker(_unfit, distinct, target, inline=inline)
    if not unfit:
        return {}
    if on_transpile:
        on_transpile()
    done = await transpile_all(list(unfit.values()), target, optimization_level=level)
    return dict(zip(unfit, done, strict=True))


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
