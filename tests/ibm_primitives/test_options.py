"""Options of a primitive: by mapping or object, for both programs, checked at every level."""

from __future__ import annotations

import json
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import options as legacy
from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions
from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

from ibm_primitives.devices import line
from qawait.errors import ConfigError
from qawait.ibm.primitives import prepare_estimator, prepare_sampler

pytestmark = pytest.mark.anyio

FLIP = QuantumCircuit(1)
FLIP.x(0)
PAIR = (FLIP.copy(), "Z")
FLIP.measure_all()

UNKNOWN: list[tuple[Any, dict[str, Any], str]] = [
    ("legacy", {"defualt_shots": 3}, "'defualt_shots' (did you mean 'default_shots'?)"),
    ("executor", {"defualt_shots": 3}, "'defualt_shots' (did you mean 'default_shots'?)"),
    ("legacy", {"twirling": {"enable_gate": True}}, "(did you mean 'twirling.enable_gates'?)"),
    ("executor", {"twirling": {"enable_gate": True}}, "(did you mean 'twirling.enable_gates'?)"),
    ("legacy", {"environment": {"job_tag": []}}, "(did you mean 'environment.job_tags'?)"),
    ("executor", {"environment": {"job_tag": []}}, "(did you mean 'environment.job_tags'?)"),
    ("legacy", {"resilience": {}}, "no option 'resilience'; it has default_shots"),
]
ESTIMATOR_UNKNOWN: list[tuple[Any, dict[str, Any], str]] = [
    (
        program,
        {"resilience": {"zne": {"noise_factor": [1, 3]}}},
        "(did you mean 'resilience.zne.noise_factors'?); resilience.zne has",
    )
    for program in ("legacy", "executor")
]


@pytest.mark.parametrize(("program", "options", "message"), UNKNOWN)
async def test_an_unknown_option_is_refused_with_the_nearest_known_one(
    program: Any, options: Any, message: str
) -> None:
    """A misspelt name is an error at every level, which says what may have been meant."""
    with pytest.raises(ConfigError) as refused:
        await prepare_sampler(FLIP, options=options, program=program)
    assert message in str(refused.value)


@pytest.mark.parametrize(("program", "options", "message"), ESTIMATOR_UNKNOWN)
async def test_an_estimators_unknown_option_is_refused_three_levels_deep(
    program: Any, options: Any, message: str
) -> None:
    """The name in the error says where the option is."""
    with pytest.raises(ConfigError) as refused:
        await prepare_estimator(PAIR, options=options, program=program)
    assert message in str(refused.value)


@pytest.mark.parametrize("program", ["legacy", "executor"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_shots": "many"}, "many|valid integer"),
        ({"twirling": {"num_randomizations": 0}}, "greater than or equal to 1"),
        ({"twirling": {"strategy": "some"}}, "twirling.strategy"),
        ({"dynamical_decoupling": {"sequence_type": "Z"}}, "dynamical_decoupling.sequence_type"),
        ({"environment": {"log_level": "LOUD"}}, "log_level"),
        ({"environment": {"private": "yes please"}}, "private"),
        ({"experimental": [1]}, "experimental"),
        ({"environment": "here"}, "environment"),
        ({"twirling": True}, "twirling"),
        ({3: 4}, "name is text"),
        ("default_shots", "should be a mapping"),
    ],
)
async def test_a_value_that_no_such_option_has_is_refused(
    program: Any, options: Any, message: str
) -> None:
    """Values are checked before anything is sent, and the error names the option."""
    with pytest.raises(ConfigError, match=message):
        await prepare_sampler(FLIP, options=options, program=program)


@pytest.mark.parametrize("program", ["legacy", "executor"])
async def test_decoupling_of_a_dynamic_circuit_is_refused(program: Any) -> None:
    """What neither program can do is not sent to either."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    circuit.measure(0, 0)
    options = {"dynamical_decoupling": {"enable": True}}
    with pytest.raises(ConfigError, match=r"(?i)dynamical decoupling"):
        await prepare_sampler(circuit, options=options, program=program, optimization_level=None)


async def test_the_legacy_program_is_the_default() -> None:
    """Without an options object and without a word, the service's own program runs."""
    assert (await prepare_sampler(FLIP)).name == "sampler"
    assert (await prepare_estimator(PAIR, options={"resilience_level": 0})).name == "estimator"


async def test_an_options_object_chooses_the_program_that_takes_it() -> None:
    """Whose object is given, that program runs; and the object says what is sent."""
    assert (await prepare_sampler(FLIP, options=legacy.SamplerOptions())).name == "sampler"
    program = await prepare_sampler(FLIP, options=SamplerOptions(default_shots=9))
    assert program.name == "executor"
    assert json.loads(program.params)["quantum_program"]["shots"] == 9


@pytest.mark.parametrize(
    ("program", "options", "message"),
    [
        ("legacy", SamplerOptions(), "takes and not 'legacy'"),
        ("executor", legacy.SamplerOptions(), "takes and not 'executor'"),
        ("executor", EstimatorOptions(), "should be a mapping, not EstimatorOptions"),
        ("legacy", legacy.EstimatorOptions(), "should be SamplerOptions, not EstimatorOptions"),
        ("executer", None, "did you mean 'executor'"),
        (True, None, "must be 'executor' or 'legacy'"),
    ],
)
async def test_a_program_and_options_that_do_not_fit_are_refused(
    program: Any, options: Any, message: str
) -> None:
    """Another program's options object, or a program that is none, is an error."""
    with pytest.raises(ConfigError, match=message):
        await prepare_sampler(FLIP, options=options, program=program)


@pytest.mark.parametrize("program", ["legacy", "executor"])
async def test_what_belongs_to_the_job_is_taken_out_of_the_options(program: Any) -> None:
    """Tags, time limit, privacy and log level are the job's and not in the input."""
    options = {
        "environment": {"job_tags": ["a"], "private": True, "log_level": "ERROR"},
        "max_execution_time": 70,
    }
    prepared = await prepare_sampler(FLIP, options=options, program=program)
    environment = prepared.environment
    assert (environment.tags, environment.private) == (("a",), True)
    assert (environment.max_execution_time, environment.log_level) == (70, "ERROR")
    assert b"environment" not in prepared.params.partition(b"passthrough_data")[0]
    assert options["max_execution_time"] == 70


async def test_an_options_object_is_not_changed() -> None:
    """The same object can be given again."""
    options = EstimatorOptions(resilience_level=2)
    before = options.model_dump()
    await prepare_estimator(PAIR, options=options, precision=0.5)
    assert options.model_dump() == before


async def test_groups_of_a_mapping_may_be_objects() -> None:
    """A mapping may hold IBM's objects where it holds groups of options."""
    options = {"twirling": legacy.TwirlingOptions(enable_gates=True)}
    sent = json.loads((await prepare_sampler(FLIP, options=options)).params)["options"]
    assert sent == {"twirling": {"enable_gates": True}}


# --- pubs of the executor ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shots", "precision"])
async def test_pubs_with_different_aims_are_refused_by_the_executor(name: str) -> None:
    """One job has one number of shots; the error says what to do."""
    with pytest.raises(ConfigError, match=rf"the same {name} for all pubs of a job, not .*legacy"):
        if name == "shots":
            await prepare_sampler([(FLIP, None, 4), (FLIP, None, 5)], program="executor")
        else:
            pubs = [(*PAIR, None, 0.5), (*PAIR, None, 0.25)]
            await prepare_estimator(pubs, program="executor")


async def test_what_ibms_code_refuses_is_a_config_error() -> None:
    """Input that only IBM's own preparation finds wrong is refused like any other."""
    options = {
        "execution": {"meas_type": "kerneled"},
        "twirling": {"enable_measure": True},
    }
    with pytest.raises(ConfigError, match="measurement twirling are not compatible"):
        await prepare_sampler(FLIP, options=options, program="executor")


async def test_the_executor_measures_projectors_too() -> None:
    """Observables may have 0, 1, +, -, r and l, which the legacy program does not take."""
    options = {"resilience_level": 0}
    pub = (PAIR[0], ["0", "+"])
    program = await prepare_estimator(pub, options=options, program="executor")
    assert program.num_pubs == 1
    with pytest.raises(ConfigError, match="letters other than I, X, Y and Z"):
        await prepare_estimator(pub, options=options, program="legacy")


async def test_circuits_for_the_executor_are_transpiled_too() -> None:
    """A circuit that does not fit is made to, and then prepared by IBM's code."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    told: list[int] = []
    program = await prepare_sampler(
        circuit, program="executor", target=line(3), on_transpile=lambda: told.append(1)
    )
    assert program.pubs[0].circuit.num_qubits == 3
    assert told == [1]


# --- schemas -------------------------------------------------------------------------------------


async def test_a_legacy_samplers_input_is_what_its_schema_describes() -> None:
    """IBM's model of the program's input takes what is sent, options included."""
    from ibm_quantum_schemas.sampler.version_0_1 import ParamsModel

    options = {"twirling": {"enable_gates": True}, "dynamical_decoupling": {"enable": True}}
    program = await prepare_sampler((FLIP, None, 5), options=options)
    assert ParamsModel.model_validate_json(program.params).options.twirling.enable_gates


async def test_a_legacy_estimators_input_is_what_its_schema_describes() -> None:
    """The same of an estimator, whose pubs have observables and a precision."""
    from ibm_quantum_schemas.estimator.version_0_1 import ParamsModel

    options = {"resilience_level": 2, "resilience": {"zne": {"noise_factors": [1, 3]}}}
    program = await prepare_estimator((*PAIR, None, 0.5), options=options)
    assert ParamsModel.model_validate_json(program.params).resilience_level == 2


async def test_an_executors_input_is_what_its_schema_describes() -> None:
    """The schema that the input names takes it."""
    from ibm_quantum_schemas.executor.version_2_0 import ParamsModel

    program = await prepare_sampler(FLIP, program="executor")
    assert ParamsModel.model_validate_json(program.params).schema_version == "v2.0"
