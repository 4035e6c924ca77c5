"""divi's circuits and options as pubs, and a primitive's result as divi's; pure.

divi writes Pauli terms with qubit 0 on the left and bit strings with it on the
right; Qiskit writes both with it on the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qawait.errors import ProtocolError
from qawait.ibm.circuits import as_circuit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit.circuit import QuantumCircuit


@dataclass(frozen=True, slots=True)
class Samples:
    """A batch whose circuits are to be sampled: labels, circuits and shots, in one order."""

    labels: tuple[str, ...]
    circuits: tuple[QuantumCircuit, ...]
    shots: tuple[int, ...]

    @property
    def pubs(self) -> list[Any]:
        """What is submitted: one pub for each circuit."""
        return [
            (circuit, None, shots) for circuit, shots in zip(self.circuits, self.shots, strict=True)
        ]

    def results(self, result: Any) -> list[dict[str, Any]]:
        """Return the counts of each circuit, under its label.

        Raises:
            ProtocolError: there are not as many as were asked for; divi divides by that number.
        """
        found = []
        for label, pub, shots in zip(self.labels, result, self.shots, strict=True):
            counts = pub.join_data().get_counts()
            if (total := sum(counts.values())) != shots:
                raise ProtocolError(f"circuit {label!r} has {total} shots instead of {shots}")
            found.append({"label": label, "results": counts})
        return found


@dataclass(frozen=True, slots=True)
class Observed:
    """A batch of which expectation values are wanted: labels, circuits and terms, in one order."""

    labels: tuple[str, ...]
    circuits: tuple[QuantumCircuit, ...]
    terms: tuple[tuple[str, ...], ...]

    @property
    def pubs(self) -> list[Any]:
        """What is submitted: one pub for each circuit, with all of its terms."""
        return [
            (circuit.remove_final_measurements(inplace=False), [term[::-1] for term in terms])
            for circuit, terms in zip(self.circuits, self.terms, strict=True)
        ]

    def results(self, result: Any) -> list[dict[str, Any]]:
        """Return the expectation value of each term, under its circuit's label."""
        return [
            {"label": label, "results": dict(zip(terms, pub.data.evs.tolist(), strict=True))}
            for label, terms, pub in zip(self.labels, self.terms, result, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A batch that nobody here knows: its results are labelled by position."""

    def results(self, result: Any) -> list[dict[str, Any]]:
        """Return the counts of each circuit, or its expectation values by their position."""
        return [{"label": str(place), "results": _plain(pub)} for place, pub in enumerate(result)]


def _plain(pub: Any) -> dict[str, Any]:
    if "evs" in pub.data:
        return {str(place): value for place, value in enumerate(pub.data.evs.ravel().tolist())}
    counts: dict[str, Any] = pub.join_data().get_counts()
    return counts


def parsed(circuits: dict[str, Any]) -> tuple[QuantumCircuit, ...]:
    """Return the circuits, those given as OpenQASM read; equal texts are read once.

    Raises:
        ValueError: a text cannot be read, or there is no circuit.
    """
    if not circuits:
        raise ValueError("submit_circuits needs at least one circuit")
    read: dict[str, QuantumCircuit] = {}
    for circuit in circuits.values():
        if isinstance(circuit, str) and circuit not in read:
            read[circuit] = as_circuit(circuit)
    return tuple(read[c] if isinstance(c, str) else as_circuit(c) for c in circuits.values())


def shots_of(groups: Sequence[Sequence[int]] | None, circuits: int, shots: int) -> tuple[int, ...]:
    """Return the shots of each circuit, from `[start, end, shots]` ranges.

    Raises:
        ValueError: the ranges do not cover every circuit once, or one has no shots.
    """
    if groups is None:
        return (shots,) * circuits
    found: list[int] = []
    for start, end, count in sorted(map(tuple, groups)):
        if start != len(found) or end <= start or count <= 0:
            raise ValueError(
                f"shot_groups must cover circuits 0 to {circuits} once, with one shot or more each,"
                f" and the range [{start}, {end}, {count}] does not"
            )
        found += [count] * (end - start)
    if len(found) != circuits:
        raise ValueError(f"shot_groups cover {len(found)} circuits, and there are {circuits}")
    return tuple(found)


def terms_of(
    ham_ops: str, ham_map: Sequence[Sequence[int]] | None, circuits: Sequence[QuantumCircuit]
) -> tuple[tuple[str, ...], ...]:
    """Return the terms of each circuit, from groups parted by `|` and terms parted by `;`.

    A map gives each group its range of circuits; a circuit in none of them is
    measured for all terms. A term that is shorter than its circuit acts on the
    first qubits.

    Raises:
        ValueError: map and groups do not match, or a term is empty or longer than its circuit.
    """
    groups = [tuple(group.split(";")) for group in ham_ops.split("|")]
    if ham_map is not None and len(ham_map) != len(groups):
        raise ValueError(
            f"circuit_ham_map has {len(ham_map)} ranges, and ham_ops {len(groups)} groups"
        )
    everything = tuple(term for group in groups for term in group)
    return tuple(
        tuple(
            _padded(term, circuit.num_qubits)
            for term in _group(place, groups, ham_map) or everything
        )
        for place, circuit in enumerate(circuits)
    )


def _group(
    place: int, groups: list[tuple[str, ...]], ham_map: Sequence[Sequence[int]] | None
) -> tuple[str, ...]:
    for group, (start, end) in zip(groups, ham_map or (), strict=False):
        if start <= place < end:
            return group
    return ()


def _padded(term: str, qubits: int) -> str:
    if not term or len(term) > qubits or set(term) - set("IXYZ"):
        raise ValueError(f"the term {term!r} is no Pauli string for a circuit of {qubits} qubits")
    return term.ljust(qubits, "I")
