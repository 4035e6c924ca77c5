"""From what a user submits to the program that is sent."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector
from qiskit_ibm_runtime import RuntimeDecoder

from ibm_primitives.devices import line, line_configuration
from qawait.errors import ConfigError
from qawait.ibm.backend import Backend
from qawait.ibm.primitives import Program, prepare_estimator, prepare_sampler
from support.recorded import exchange

BELL = (
    'OPENQASM 3;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\n'
    "h q[0];\ncx q[0], q[1];\nc = measure q;\n"
)


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _ansatz(*, measured: bool = True) -> QuantumCircuit:
    """Return a circuit that uses its parameters in another order than their names'."""
    circuit = QuantumCircuit(3)
    b, a, c = Parameter("b"), Parameter("a"), Parameter("c")
    circuit.rx(b, 2)
    circuit.ry(a + 0.5, 0)
    circuit.cx(0, 2)
    circuit.rx(2 * c, 1)
    circuit.cx(2, 1)
    if measured:
        circuit.measure_all()
    return circuit


def _sent(program: Program) -> Any:
    return json.loads(program.params, cls=RuntimeDecoder)


# --- as the real client ------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_sampler_program_is_what_the_real_client_posted() -> None:
    """The recorded pubs and options make the recorded input."""
    posted = exchange("03", "POST", "/jobs").sent["params"]
    theirs = json.loads(json.dumps(posted), cls=RuntimeDecoder)
    (first, *_), (second, *_) = theirs["pubs"]
    program = await prepare_sampler([first, (second, None, 64)], options={"default_shots": 128})
    ours = json.loads(program.params)
    assert program.name == "sampler"
    assert [pub[1:] for pub in ours.pop("pubs")] == [pub[1:] for pub in posted["pubs"]]
    assert list(ours.items()) == [item for item in posted.items() if item[0] != "pubs"]
    assert [pub[0] for pub in _sent(program)["pubs"]] == [first, second]


@pytest.mark.anyio
async def test_an_estimator_program_is_what_the_real_client_posted() -> None:
    """The recorded pub and resilience level make the recorded input."""
    posted = exchange("04", "POST", "/jobs").sent["params"]
    circuit, observables, values, precision = json.loads(json.dumps(posted), cls=RuntimeDecoder)[
        "pubs"
    ][0]
    program = await prepare_estimator(
        (circuit, observables, values), precision=precision, options={"resilience_level": 1}
    )
    ours = json.loads(program.params)
    assert program.name == "estimator"
    assert list(ours) == list(posted)
    assert ours["pubs"][0][1:] == posted["pubs"][0][1:]
    assert _sent(program)["pubs"][0][0] == circuit


# --- the forms of a pub ------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("given", "count"),
    [
        (_bell(), 1),
        (BELL, 1),
        ((_bell(),), 1),
        ((_bell(), None), 1),
        ((BELL, None, 5), 1),
        ([_bell(), BELL, (_bell(),), (BELL, [], 7)], 4),
        (SamplerPub.coerce(_bell()), 1),
        ([SamplerPub.coerce(_bell()), _bell()], 2),
    ],
)
async def test_a_sampler_takes_every_form_of_a_pub(given: Any, count: int) -> None:
    """A circuit, text, a tuple, a pub object or a list of these is taken."""
    program = await prepare_sampler(given)
    assert program.num_pubs == count == len(_sent(program)["pubs"])
    assert all(isinstance(pub, SamplerPub) for pub in program.pubs)


@pytest.mark.anyio
@pytest.mark.parametrize("observable", ["ZZI", Pauli("ZZI"), SparsePauliOp("ZZI"), {"ZZI": 1.0}])
async def test_an_estimator_takes_every_form_of_an_observable(observable: Any) -> None:
    """A label, a Pauli, a sum and a mapping mean the same."""
    program = await prepare_estimator((_ansatz(measured=False), observable, [1, 2, 3]))
    assert _sent(program)["pubs"][0][1] == {"ZZI": 1.0}


@pytest.mark.anyio
async def test_an_estimator_takes_lists_and_pub_objects() -> None:
    """Pubs of both kinds may be mixed in a list."""
    circuit = _ansatz(measured=False)
    pub = EstimatorPub.coerce((circuit, ["XXX", "ZZZ"], [1, 2, 3], 0.25))
    program = await prepare_estimator([pub, (circuit, "ZII", [1, 2, 3])], precision=0.5)
    assert [sent[3] for sent in _sent(program)["pubs"]] == [0.25, 0.5]


@pytest.mark.anyio
async def test_shots_are_for_pubs_that_name_none() -> None:
    """A pub's own shots go before those of the call, and numpy integers are integers."""
    program = await prepare_sampler([_bell(), (_bell(), None, np.int64(9))], shots=50)
    assert [pub[2] for pub in json.loads(program.params)["pubs"]] == [50, 9]


@pytest.mark.anyio
async def test_values_may_be_named_or_in_the_order_of_the_parameters() -> None:
    """An array, names and parameters give the same input."""
    circuit = _ansatz()
    named = {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    keyed = {parameter: named[parameter.name] for parameter in circuit.parameters}
    forms = [[[1, 2, 3], [4, 5, 6]], named, keyed, BindingsArray(named)]
    sent = [_sent(await prepare_sampler((circuit, form)))["pubs"][0][1] for form in forms]
    assert all(np.array_equal(array, [[1, 2, 3], [4, 5, 6]]) for array in sent)


@pytest.mark.anyio
async def test_the_same_text_is_one_circuit() -> None:
    """Text that several pubs share is read once, so it is encoded and transpiled once."""
    program = await prepare_sampler([BELL, (BELL, None, 3)])
    assert program.pubs[0].circuit is program.pubs[1].circuit


# --- what is refused ---------------------------------------------------------------------------

UNMEASURED = QuantumCircuit(1)
LOOSE = QuantumCircuit([*QuantumRegister(1)], [*ClassicalRegister(1)])
LOOSE.measure(0, 0)
SHAPE = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "shape"))
SHAPE.measure(0, 0)
KEYWORD = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "class"))
KEYWORD.measure(0, 0)
EMPTY = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "c"), ClassicalRegister(0, "e"))
EMPTY.measure(0, 0)

SAMPLER_ERRORS: list[tuple[Any, str]] = [
    ([], "list of pubs is empty"),
    ((), "pub is empty"),
    (None, "not NoneType"),
    ({}, "not dict"),
    (iter([]), "one pub or a list of pubs"),
    ([None], "pub 0: a circuit is a QuantumCircuit or OpenQASM 3 text, not NoneType"),
    ([_bell(), 3], "pub 1: a circuit is"),
    ([[_bell()]], "pub 0: a tuple is one pub"),
    (((_bell(),), (_bell(),)), "write several as a list"),
    ((_bell(), _bell()), "write several circuits as a list"),
    ((_bell(), None, 3, 4), r"4 parts; it should be \(circuit\)"),
    ((_bell(), None, 0), "shots should be a positive integer, not 0"),
    ((_bell(), None, -5), "not -5"),
    ((_bell(), None, 1.5), "not 1.5"),
    ((_bell(), None, True), "not True"),
    ((_bell(), None, "9"), "not '9'"),
    (UNMEASURED, "measures nothing"),
    (LOOSE, "loose bits"),
    (KEYWORD, "'class' should be named like a Python variable"),
    (SHAPE, "'shape' cannot be a field of the result"),
    (EMPTY, "'e' is empty"),
    ((_bell(), [1.0]), "has 0 parameters"),
    (_ansatz(), "no value for parameter 'a', 'b', 'c'"),
    ((_ansatz(), [1, 2]), "has 3 parameters"),
    ((_ansatz(), np.zeros((2, 4))), "has 3 parameters"),
    ((_ansatz(), {"a": 1, "b": 2}), "no value for parameter 'c'"),
    ((_ansatz(), {"a": 1, "b": 2, "c": 3, "d": 4}), "no parameter 'd'"),
    ((_ansatz(), {"a": [1, 2], "b": [1, 2, 3], "c": 1}), "has 3 parameters"),
    ((_ansatz(), [1, 2, math.nan]), "not finite"),
    ((_ansatz(), [1, 2, math.inf]), "not finite"),
    ((_ansatz(), ["x", 2, 3]), "could not convert"),
    ((_ansatz(), np.array([1j, 2, 3])), "complex"),
    ((_ansatz(), [1j, 2, 3]), "complex"),
    ("", "blank"),
    ("OPENQASM 3;\nqubit q;\nfoo q;", "line 3"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("given", "message"), SAMPLER_ERRORS)
async def test_a_sampler_refuses_what_cannot_be_sampled(given: Any, message: str) -> None:
    """The error says what was wrong, and in which pub."""
    with pytest.raises(ConfigError, match=message):
        await prepare_sampler(given)


PLAIN = QuantumCircuit(2)
ESTIMATOR_ERRORS: list[tuple[Any, str]] = [
    (PLAIN, r"1 parts; it should be \(circuit, observables\)"),
    ((PLAIN, "ZZ", None, 0.1, 5), "5 parts"),
    ((PLAIN, "ZZZ"), "an observable has 3 qubits and the circuit 2"),
    ((PLAIN, ["ZZ", "ZZZ"]), "observables cannot be read"),
    ((PLAIN, "QQ"), "observables cannot be read"),
    ((PLAIN, 5), "observables cannot be read"),
    ((PLAIN, None), "observables cannot be read"),
    ((PLAIN, {"ZZ": 1j}), "observables cannot be read"),
    ((PLAIN, {"ZZ": math.nan}), "observables cannot be read|not finite"),
    ((PLAIN, []), "array of observables is empty"),
    ((PLAIN, "0+"), "letters other than I, X, Y and Z"),
    ((PLAIN, "ZZ", None, 0), "precision should be a positive number, not 0"),
    ((PLAIN, "ZZ", None, -0.1), "not -0.1"),
    ((PLAIN, "ZZ", None, math.nan), "not nan"),
    ((PLAIN, "ZZ", None, True), "not True"),
    ((PLAIN, "ZZ", None, "x"), "not 'x'"),
    ((_ansatz(measured=False), ["ZZZ", "XXX"], np.zeros((3, 3))), "not broadcastable"),
    ((_ansatz(measured=False), "ZZZ"), "no value for parameter"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("given", "message"), ESTIMATOR_ERRORS)
async def test_an_estimator_refuses_what_cannot_be_estimated(given: Any, message: str) -> None:
    """The error says what was wrong, and in which pub."""
    with pytest.raises(ConfigError, match=message):
        await prepare_estimator([given])


@pytest.mark.anyio
@pytest.mark.parametrize("shots", [0, -1, 2.0, True, "7"])
async def test_shots_of_a_call_are_checked(shots: Any) -> None:
    """Shots are a positive integer."""
    with pytest.raises(ConfigError, match="shots"):
        await prepare_sampler(_bell(), shots=shots)


@pytest.mark.anyio
@pytest.mark.parametrize("precision", [0, -1.0, math.nan, math.inf, True, "7"])
async def test_the_precision_of_a_call_is_checked(precision: Any) -> None:
    """A precision is a positive finite number."""
    with pytest.raises(ConfigError, match="precision"):
        await prepare_estimator((PLAIN, "ZZ"), precision=precision)


@pytest.mark.anyio
async def test_a_pub_object_is_checked_too() -> None:
    """An object made without validation is not believed."""
    bad = SamplerPub(_ansatz(), BindingsArray({"a": 1, "b": 2, "x": 3}), validate=False)
    with pytest.raises(ConfigError, match="no parameter 'x'"):
        await prepare_sampler(bad)


# --- options -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_options_are_sent_as_they_are_and_nothing_else() -> None:
    """Only what the user set is in the input; the resilience level has its own place."""
    options = {"twirling": {"enable_gates": True}, "resilience_level": 2, "default_precision": 0.1}
    sent = _sent(await prepare_estimator((PLAIN, "ZZ"), options=options))
    assert sent["options"] == {"twirling": {"enable_gates": True}, "default_precision": 0.1}
    assert sent["resilience_level"] == 2
    assert options["resilience_level"] == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resilience_level": 1}, "no option 'resilience_level'"),
        ({"default_shots": 0}, "shots"),
        ({"experimental": {"x": object()}}, "object"),
        ({"experimental": {"x": math.nan}}, "cannot be sent"),
        ([], "should be a mapping"),
    ],
)
async def test_wrong_options_are_refused(options: Any, message: str) -> None:
    """A misplaced or worthless option is an error before anything is sent."""
    with pytest.raises(ConfigError, match=message):
        await prepare_sampler(_bell(), options=options)


@pytest.mark.anyio
@pytest.mark.parametrize("level", [-1, 3, True, "1"])
async def test_a_wrong_resilience_level_is_refused(level: Any) -> None:
    """Levels are 0 to 2."""
    with pytest.raises(ConfigError, match="resilience_level"):
        await prepare_estimator((PLAIN, "ZZ"), options={"resilience_level": level})


# --- transpiling -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_circuit_that_fits_is_sent_as_it_is() -> None:
    """Nothing is transpiled that runs already."""
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.measure_all()
    calls: list[int] = []
    program = await prepare_sampler(circuit, target=line(3), on_transpile=lambda: calls.append(1))
    assert program.pubs[0].circuit is circuit
    assert not calls


@pytest.mark.anyio
async def test_level_none_sends_as_is() -> None:
    """Someone who transpiles himself is not second-guessed."""
    circuit = _bell()
    program = await prepare_sampler(circuit, target=line(3), optimization_level=None)
    assert program.pubs[0].circuit is circuit


@pytest.mark.anyio
async def test_circuits_that_do_not_fit_are_transpiled_once_each() -> None:
    """The callback comes once, and a circuit shared by pubs stays shared."""
    calls: list[int] = []
    circuit = _bell()
    program = await prepare_sampler(
        [circuit, (circuit, None, 5), _bell()],
        target=Backend.from_wire(configuration=line_configuration(3)),
        on_transpile=lambda: calls.append(1),
    )
    first, second, third = (pub.circuit for pub in program.pubs)
    assert first is second
    assert first is not third
    assert first is not circuit
    assert calls == [1]
    assert [pub.shots for pub in program.pubs] == [None, 5, None]


@pytest.mark.anyio
async def test_a_wrong_level_is_refused() -> None:
    """Levels are 0 to 3, or none."""
    with pytest.raises(ConfigError, match="optimization_level"):
        await prepare_sampler(_bell(), target=line(3), optimization_level=5)


@pytest.mark.anyio
async def test_a_circuit_that_no_level_makes_fit_is_refused() -> None:
    """What cannot run is refused before anything is sent."""
    with pytest.raises(ConfigError, match="cannot be made to run"):
        await prepare_sampler(_bell(), target=line(1))


@pytest.mark.anyio
@pytest.mark.parametrize("level", [0, 1, 2, 3])
async def test_values_follow_their_parameters_through_transpiling(level: int) -> None:
    """The sent circuit, bound to the sent array, does what the given one does, point by point."""
    circuit = _ansatz(measured=False)
    values = np.array([[0.1, 0.7, 1.3], [2.1, 0.2, -0.4]])
    observables = [["ZII"], ["IZI"], ["IIZ"], [{"XYZ": 0.5, "ZZZ": -2}]]
    program = await prepare_estimator(
        (circuit, observables, values), target=line(5), optimization_level=level
    )
    sent, terms, array, _ = _sent(program)["pubs"][0]
    assert array.shape == (2, 3)
    assert len(next(iter(terms[0][0]))) == 5
    expected = _estimate(circuit, observables, values)
    assert _estimate(sent, terms, array) == pytest.approx(expected)


def _estimate(circuit: QuantumCircuit, observables: Any, values: Any) -> Any:
    names = [parameter.name for parameter in circuit.parameters]
    bound = [
        circuit.assign_parameters(dict(zip(names, row, strict=True))) if names else circuit
        for row in values
    ]
    job = StatevectorEstimator().run([(one, observables) for one in bound])
    return np.array([result.data.evs for result in job.result()])


@pytest.mark.anyio
async def test_many_parameters_keep_their_order() -> None:
    """A vector of more than ten elements, whose names do not sort by number, stays in order."""
    vector = ParameterVector("v", 12)
    circuit = QuantumCircuit(3)
    for place, parameter in enumerate(reversed(vector)):
        circuit.ry(parameter, place % 3)
        circuit.cx(place % 3, (place + 1) % 3)
    values = np.linspace(0, 3, 12)[None]
    program = await prepare_estimator((circuit, ["ZII"], values), target=line(4))
    sent, terms, array, _ = _sent(program)["pubs"][0]
    assert _estimate(sent, terms, array) == pytest.approx(_estimate(circuit, ["ZII"], values))


@pytest.mark.anyio
async def test_a_parameter_that_transpiling_drops_takes_its_values_along() -> None:
    """The array has a column less, and the same shape of points."""
    circuit = QuantumCircuit(1, 1)
    circuit.ry(Parameter("b"), 0)
    circuit.rz(Parameter("a"), 0)  # means nothing before a measurement
    circuit.measure(0, 0)
    program = await prepare_sampler(
        (circuit, [[1, 2], [3, 4], [5, 6]]), target=line(2), optimization_level=2
    )
    sent, array, _ = _sent(program)["pubs"][0]
    assert [parameter.name for parameter in sent.parameters] == ["b"]
    assert array.tolist() == [[2], [4], [6]]


@pytest.mark.anyio
async def test_values_without_any_parameter_left_keep_their_shape() -> None:
    """Three points of a circuit whose only parameter is gone are still three points."""
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.rz(Parameter("a"), 0)
    circuit.measure(0, 0)
    program = await prepare_sampler(
        (circuit, [[1], [2], [3]]), target=line(2), optimization_level=2
    )
    assert _sent(program)["pubs"][0][1].shape == (3, 0)
    assert program.pubs[0].shape == (3,)


@pytest.mark.anyio
async def test_a_sampled_distribution_survives_transpiling() -> None:
    """Classical bits mean the same after the qubits have moved."""
    circuit = QuantumCircuit(4, 2)
    circuit.x(3)
    circuit.cx(3, 0)
    circuit.measure([3, 1], [0, 1])
    program = await prepare_sampler(circuit, target=line(6))
    sent = _sent(program)["pubs"][0][0]
    places = {
        sent.find_bit(item.clbits[0]).index: sent.find_bit(item.qubits[0]).index
        for item in sent.get_instructions("measure")
    }
    state = Statevector(sent.remove_final_measurements(inplace=False))
    probabilities = state.probabilities_dict([places[0], places[1]], decimals=9)
    assert probabilities == pytest.approx({"01": 1.0})


@pytest.mark.anyio
async def test_large_input_is_prepared_in_threads_with_the_same_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the work is done does not change what is sent."""
    from qawait import limits
    from qawait.ibm import pubs

    given = (_ansatz(), np.ones((4, 3)))
    small = await prepare_sampler(given, target=line(4), optimization_level=None)
    monkeypatch.setattr(limits, "INLINE_INSTRUCTIONS", 0)
    monkeypatch.setattr(pubs, "_SMALL", 0)
    assert await prepare_sampler(given, target=line(4), optimization_level=None) == small


@pytest.mark.anyio
async def test_a_single_observable_stays_single_when_it_moves() -> None:
    """One observable is sent as a mapping, as wide as the backend, not as a list."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    program = await prepare_estimator((circuit, "ZX"), target=line(5))
    observable = _sent(program)["pubs"][0][1]
    assert isinstance(observable, dict)
    assert [len(term) for term in observable] == [5]
