"""qrisp's circuits as Qiskit's pubs, and Qiskit's results as qrisp's counts. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qiskit.circuit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qrisp import QuantumCircuit as QrispCircuit
from qrisp.interface import Backend as QrispBackend
from qrisp.interface import JobResult

from qawait.errors import ConfigError

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult, SamplerPubResult


def pub(circuit: QrispCircuit, shots: int) -> tuple[QuantumCircuit, None, int]:
    """Return a circuit with its shots as Qiskit's sampler takes them.

    qrisp's converter gives each bit a register of its own; a result has a field
    for each register, so all bits become one, in their order.

    Raises:
        ConfigError: it is no circuit of qrisp's.
    """
    if not isinstance(circuit, QrispCircuit):
        kind = type(circuit).__name__
        raise ConfigError(f"give a qrisp.QuantumCircuit, or a sequence of them, not {kind}")
    given = circuit.to_qiskit()
    made = QuantumCircuit(
        QuantumRegister(given.num_qubits, "q"), ClassicalRegister(given.num_clbits, "c")
    )
    made.compose(given, range(given.num_qubits), range(given.num_clbits), inplace=True)
    return made, None, shots


def shots_for(circuits: Sequence[QrispCircuit], shots: int | Sequence[int]) -> list[int]:
    """Return the shots of each circuit; a number alone is for all of them.

    Raises:
        TypeError: one is no whole number.
        ValueError: one is not positive, or there are not as many as circuits.
    """
    each = list(shots) if isinstance(shots, Sequence) else [shots] * len(circuits)
    QrispBackend._validate_shots_length(each, circuits)  # noqa: SLF001 - made for backends
    for number in each:
        QrispBackend._validate_shots(number)  # noqa: SLF001 - made for backends
    return each


def job_result(result: PrimitiveResult[SamplerPubResult], **metadata: Any) -> JobResult:
    """Return a sampler's result as qrisp's: bit strings without gaps, bit 0 rightmost.

    Raises:
        ConfigError: the result is not a sampler's.
    """
    return JobResult([_counts(one) for one in result], **metadata)


def _counts(result: Any) -> dict[str, int]:
    try:
        joined = result.join_data()
    except AttributeError:
        message = "the job is no sampler's, so it has no counts: use qawait's own attach()"
        raise ConfigError(message) from None
    return dict(joined.get_counts())
