"""divi's circuits and options as pubs, and results as divi's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers import BitArray, DataBin, SamplerPubResult

from qawait.adapters.divi.batch import Observed, Samples, parsed, shots_of, terms_of
from qawait.errors import ProtocolError

FLIP_FIRST = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
    "x q[0];\nmeasure q[0] -> c[0];\nmeasure q[1] -> c[1];\n"
)


def counted(counts: dict[str, int], bits: int) -> Any:
    """Return a sampler's result for one circuit."""
    return SamplerPubResult(DataBin(c=BitArray.from_counts(counts, bits), shape=()))


def test_equal_texts_are_read_once() -> None:
    """A batch repeats its circuits, and reading them is what costs."""
    first, second = parsed({"a": FLIP_FIRST, "b": FLIP_FIRST})
    assert first is second


def test_an_empty_batch_is_refused() -> None:
    """There is nothing to submit."""
    with pytest.raises(ValueError, match="at least one circuit"):
        parsed({})


def test_shots_are_the_backends_unless_grouped() -> None:
    """Ranges are half-open and may come in any order."""
    assert shots_of(None, 3, 100) == (100,) * 3
    assert shots_of([[2, 3, 5], [0, 2, 7]], 3, 100) == (7, 7, 5)


@pytest.mark.parametrize(
    "groups",
    [
        [[0, 1, 5]],
        [[0, 2, 5], [1, 3, 5]],
        [[0, 3, 0]],
        [[0, 4, 5]],
        [[1, 3, 5]],
        [[0, 3, 5], [3, 3, 5]],
    ],
    ids=["gap at the end", "overlap", "no shots", "too many", "gap at the start", "empty range"],
)
def test_shots_that_do_not_cover_the_batch_are_refused(groups: list[list[int]]) -> None:
    """Each circuit has to be in one range."""
    with pytest.raises(ValueError, match="shot_groups"):
        shots_of(groups, 3, 100)


def test_terms_are_those_of_the_circuits_group() -> None:
    """A circuit in no group is measured for all terms."""
    circuits = [QuantumCircuit(2)] * 3
    assert terms_of("ZI;IZ", None, circuits) == (("ZI", "IZ"),) * 3
    mapped = terms_of("ZI|XX;YY", [[0, 1], [1, 2]], circuits)
    assert mapped == (("ZI",), ("XX", "YY"), ("ZI", "XX", "YY"))


def test_a_short_term_acts_on_the_first_qubits() -> None:
    """It is filled up on the right, where divi writes the last qubit."""
    assert terms_of("Z", None, [QuantumCircuit(3)]) == (("ZII",),)


@pytest.mark.parametrize(
    ("ham_ops", "ham_map"),
    [("ZZZ", None), ("", None), ("ZA", None), ("ZI|IZ", [[0, 1]])],
    ids=["longer than the circuit", "empty", "no Pauli", "a group without a range"],
)
def test_terms_that_do_not_fit_are_refused(ham_ops: str, ham_map: Any) -> None:
    """The error comes before anything is sent."""
    with pytest.raises(ValueError, match=r"ham_ops|Pauli"):
        terms_of(ham_ops, ham_map, [QuantumCircuit(2)])


def test_an_observed_circuit_is_not_measured() -> None:
    """The estimator measures itself; a term's first letter is the first qubit."""
    (circuit,) = parsed({"a": FLIP_FIRST})
    ((sent, observables),) = Observed(("a",), (circuit,), (("ZI", "IZ"),)).pubs
    assert "measure" not in sent.count_ops()
    assert observables == ["IZ", "ZI"]


def test_values_are_named_by_the_terms() -> None:
    """In the order in which they were asked for."""
    pub = SimpleNamespace(data=SimpleNamespace(evs=np.array([-1.0, 0.5])))
    batch = Observed(("a",), (QuantumCircuit(2),), (("ZI", "IZ"),))
    assert batch.results([pub]) == [{"label": "a", "results": {"ZI": -1.0, "IZ": 0.5}}]


def test_counts_are_full_width_with_the_first_qubit_on_the_right() -> None:
    """Without spaces, as divi reads them."""
    (circuit,) = parsed({"a": FLIP_FIRST})
    found = Samples(("a",), (circuit,), (4,)).results([counted({"01": 4}, 2)])
    assert found == [{"label": "a", "results": {"01": 4}}]


def test_missing_shots_are_an_error() -> None:
    """Divided by the number asked for, they would be wrong probabilities."""
    with pytest.raises(ProtocolError, match="3 shots instead of 4"):
        Samples(("a",), (QuantumCircuit(2),), (4,)).results([counted({"01": 3}, 2)])
