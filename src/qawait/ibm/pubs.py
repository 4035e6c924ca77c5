"""What a user submits, as a list of checked pubs.

A *pub* is Qiskit's primitive unified bloc: a circuit with what is to be
computed of it. One pub or a list of them may be given; a tuple that starts with
a circuit is one pub.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping, Sized
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.circuits import as_circuit, is_measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from qiskit.circuit import QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.observables_array import ObservablesArray
    from qiskit.primitives.containers.sampler_pub import SamplerPub

_SMALL: Final = 60
_PAULIS: Final = "IXYZ"
_SAMPLER_FORM: Final = "(circuit), (circuit, params) or (circuit, params, shots)"
_ESTIMATOR_FORM: Final = (
    "(circuit, observables), (circuit, observables, params) "
    "or (circuit, observables, params, precision)"
)


def is_small(given: Any) -> bool:
    """Whether checking what was given takes about a millisecond, as far as can be told unread."""
    items = given if isinstance(given, list) else [given]
    parts = [part for item in items for part in (item if isinstance(item, tuple) else (item,))]
    return len(parts) <= _SMALL and all(_is_small_part(part) for part in parts)


def _is_small_part(part: Any) -> bool:
    from qiskit.circuit import QuantumCircuit

    circuit = getattr(part, "circuit", part)
    if isinstance(circuit, QuantumCircuit):
        return len(circuit.data) <= limits.INLINE_INSTRUCTIONS
    return not isinstance(part, Sized) or len(part) <= _SMALL


def sampler_pubs(given: Any, shots: int | None) -> list[SamplerPub]:
    """Return the checked pubs for a sampler; `shots` is for those that name none.

    Raises:
        ConfigError: if one cannot be sampled, with its index.
    """
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    check_shots(shots)

    def check(parts: Any) -> SamplerPub:
        pub = parts if isinstance(parts, SamplerPub) else _sampler_pub(parts)
        check_shots(pub.shots)
        _check_names(pub.circuit, pub.parameter_values)
        _check_measured(pub.circuit)
        return SamplerPub.coerce(pub, shots)

    return _checked(given, SamplerPub, check)


def estimator_pubs(
    given: Any, precision: float | None, *, letters: str = _PAULIS
) -> list[EstimatorPub]:
    """Return the checked pubs for an estimator; `precision` is for those that name none.

    `letters` are what observables may consist of.

    Raises:
        ConfigError: if one cannot be estimated, with its index.
    """
    from qiskit.primitives.containers.estimator_pub import EstimatorPub

    check_precision(precision)

    def check(parts: Any) -> EstimatorPub:
        pub = parts if isinstance(parts, EstimatorPub) else _estimator_pub(parts, letters)
        check_precision(pub.precision)
        _check_names(pub.circuit, pub.parameter_values)
        _check_observables(pub.circuit, pub.observables, letters)
        return EstimatorPub.coerce(pub, precision)

    return _checked(given, EstimatorPub, check)


def _checked(given: Any, kind: type, check: Callable[[Any], Any]) -> list[Any]:
    from qiskit.exceptions import QiskitError

    checked = []
    texts: dict[str, QuantumCircuit] = {}
    for index, item in enumerate(_as_list(given, kind)):
        try:
            parts = item if isinstance(item, kind) else _with_circuit(item, kind, texts)
            checked.append(check(parts))
        except ConfigError as error:
            raise ConfigError(f"pub {index}: {error.message}") from error
        except (QiskitError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"pub {index}: {error}") from error
    return checked


def _as_list(given: Any, kind: type) -> list[Any]:
    from qiskit.circuit import QuantumCircuit

    if isinstance(given, QuantumCircuit | str | tuple | kind):
        return [given]
    if not isinstance(given, list):
        raise ConfigError(
            f"submit a circuit, one pub or a list of pubs, not {type(given).__name__}"
        )
    if not given:
        raise ConfigError("the list of pubs is empty; it should hold at least one")
    return given


def _with_circuit(item: Any, kind: type, texts: dict[str, QuantumCircuit]) -> tuple[Any, ...]:
    """Return a pub as a tuple that starts with a circuit, the same one for the same text."""
    parts = item if isinstance(item, tuple) else (item,)
    if not parts:
        raise ConfigError("the pub is empty; it should start with a circuit")
    source = parts[0]
    if isinstance(source, kind | tuple | list):
        raise ConfigError("a tuple is one pub and starts with a circuit; write several as a list")
    if not isinstance(source, str):
        return (as_circuit(source), *parts[1:])
    if source not in texts:
        texts[source] = as_circuit(source)
    return (texts[source], *parts[1:])


def _sampler_pub(parts: tuple[Any, ...]) -> SamplerPub:
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    circuit, values, shots = _filled(parts, 1, 3, _SAMPLER_FORM)
    check_shots(shots)
    return SamplerPub(circuit, _bindings(circuit, values), shots, validate=False)


def _estimator_pub(parts: tuple[Any, ...], letters: str) -> EstimatorPub:
    from qiskit.primitives.containers.estimator_pub import EstimatorPub

    circuit, terms, values, precision = _filled(parts, 2, 4, _ESTIMATOR_FORM)
    check_precision(precision)
    observables = _observables(terms)
    _check_observables(circuit, observables, letters)
    bindings = _bindings(circuit, values)
    return EstimatorPub(circuit, observables, bindings, precision, validate=False)


def _filled(parts: tuple[Any, ...], least: int, most: int, form: str) -> tuple[Any, ...]:
    if not least <= len(parts) <= most:
        raise ConfigError(f"the pub has {len(parts)} parts; it should be {form}")
    return parts + (None,) * (most - len(parts))


def _bindings(circuit: QuantumCircuit, values: Any) -> BindingsArray:
    """Return parameter values as Qiskit keeps them.

    Values without names are those of the circuit's parameters, in their order,
    along the last axis.
    """
    from qiskit.circuit import QuantumCircuit
    from qiskit.primitives.containers.bindings_array import BindingsArray

    if values is None:
        return BindingsArray()
    if isinstance(values, BindingsArray):
        return values
    if isinstance(values, QuantumCircuit | str):
        raise ConfigError("parameter values cannot be a circuit; write several circuits as a list")
    named = values if isinstance(values, Mapping) else {tuple(circuit.parameters): values}
    try:
        bindings = BindingsArray({key: _real(value) for key, value in named.items()})
    except (TypeError, ValueError) as error:
        names = ", ".join(repr(parameter.name) for parameter in circuit.parameters[:5])
        raise ConfigError(
            f"the parameter values cannot be read: {error!s:.120}. The circuit has "
            f"{circuit.num_parameters} parameters ({names}): give an array whose last axis has "
            "as many numbers, or a mapping from names to numbers"
        ) from error
    _check_names(circuit, bindings)
    return bindings


def _real(values: Any) -> NDArray[Any]:
    import numpy as np

    if np.iscomplexobj(values):  # numpy would drop the imaginary part
        raise TypeError("they are complex")
    return np.asarray(values, dtype=float)


def _observables(terms: Any) -> ObservablesArray:
    from qiskit.primitives.containers.observables_array import ObservablesArray

    try:
        return ObservablesArray.coerce(terms)
    except Exception as error:  # parsers of several kinds, some in Rust
        raise ConfigError(
            f"the observables cannot be read: {error!s:.120}; write e.g. 'ZZ' or SparsePauliOp"
        ) from error


def check_shots(shots: Any) -> None:
    """Make sure that `shots` is a positive integer or `None`.

    Raises:
        ConfigError: if it is not.
    """
    if shots is None:
        return
    if isinstance(shots, bool) or not isinstance(shots, Integral) or shots < 1:
        raise ConfigError(f"shots should be a positive integer, not {shots!r:.60}")


def check_precision(precision: Any) -> None:
    """Make sure that `precision` is a positive finite number or `None`.

    Raises:
        ConfigError: if it is not.
    """
    if precision is None:
        return
    is_number = isinstance(precision, Real) and not isinstance(precision, bool)
    if not is_number or not math.isfinite(precision) or precision <= 0:
        raise ConfigError(f"precision should be a positive number, not {precision!r:.60}")


def _check_names(circuit: QuantumCircuit, values: BindingsArray) -> None:
    """Make sure that exactly the circuit's parameters have values, and finite ones."""
    import numpy as np

    free = {parameter.name for parameter in circuit.parameters}
    bound = {name for names in values.data for name in names}
    if unknown := sorted(bound - free):
        raise ConfigError(f"the circuit has no parameter {', '.join(map(repr, unknown[:5]))}")
    if missing := sorted(free - bound):
        raise ConfigError(f"there is no value for parameter {', '.join(map(repr, missing[:5]))}")
    if not all(np.isfinite(array).all() for array in values.data.values()):
        raise ConfigError("a parameter value is not finite")


_TAKEN_NAMES: Final = frozenset({"items", "keys", "ndim", "shape", "size", "values"})
"""What qiskit's `DataBin` is itself asked for by name."""


def _check_measured(circuit: QuantumCircuit) -> None:
    """Make sure that sampling gives something, under names that a result can have."""
    if not is_measured(circuit):
        raise ConfigError(
            f"circuit {circuit.name!r} measures nothing, so there is nothing to sample: "
            "add measurements, e.g. circuit.measure_all()"
        )
    if not circuit.cregs:
        raise ConfigError(
            f"circuit {circuit.name!r} measures into loose bits, which have no name in a "
            "result: measure into a classical register"
        )
    for register in circuit.cregs:
        name = register.name
        if not register.size:
            raise ConfigError(f"classical register {name!r} is empty; the service refuses it")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(
                f"classical register {name!r} should be named like a Python variable, as it "
                "names a field of the result"
            )
        if name in _TAKEN_NAMES:
            raise ConfigError(
                f"classical register {name!r} cannot be a field of the result, which has an "
                f"attribute of this name: choose another than {', '.join(sorted(_TAKEN_NAMES))}"
            )


def _check_observables(
    circuit: QuantumCircuit, observables: ObservablesArray, letters: str
) -> None:
    if not observables.size:
        raise ConfigError("the array of observables is empty; it should hold at least one")
    if observables.num_qubits != circuit.num_qubits:
        raise ConfigError(
            f"an observable has {observables.num_qubits} qubits and the circuit "
            f"{circuit.num_qubits}; they should have as many"
        )
    for terms in observables.ravel().tolist():
        for term, coefficient in terms.items():
            if not set(term) <= set(letters):
                raise ConfigError(
                    f"observable {term!r:.60} has letters other than "
                    f"{', '.join(letters[:-1])} and {letters[-1]}, which is all the program takes"
                )
            if not math.isfinite(coefficient):
                raise ConfigError(f"observable {term!r:.60} has a coefficient that is not finite")
