"""What both clients are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from side_by_side.circuits import (
    GRID,
    SWEEP,
    dynamic,
    fitted,
    ghz,
    measured_midway,
    moved,
    pairs,
    registers,
    turned,
)
from side_by_side.clients import Case

if TYPE_CHECKING:
    from collections.abc import Callable

WIDE = "ibm_sherbrooke"
TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


def bell(backend: Any) -> list[Any]:
    return [(fitted(ghz(2), backend),)]


def one_of(make: Callable[[], Any], *further: Any) -> Callable[[Any], list[Any]]:
    """Return what makes one pub of a circuit and what goes with it."""
    return lambda backend: [(fitted(make(), backend), *further)]


def swept(backend: Any) -> list[Any]:
    return [(fitted(turned(), backend), np.stack([SWEEP, SWEEP / 2], axis=-1))]


def named(backend: Any) -> list[Any]:
    return [(fitted(turned(), backend), {"b": GRID[..., 0], "a": GRID[..., 1]})]


def two(backend: Any) -> list[Any]:
    return [(fitted(ghz(2), backend),), (fitted(turned(), backend), [0.5, 1.5])]


def two_alike(backend: Any) -> list[Any]:
    circuit = fitted(turned(), backend)
    return [(circuit, [0.5, 1.5], 64), (circuit, [[2.5, 0.5]], 64)]


def own_shots(backend: Any) -> list[Any]:
    circuit = fitted(ghz(3), backend)
    return [(circuit, None, 17), (circuit, None, 33)]


def estimated(*observables: Any) -> Callable[[Any], list[Any]]:
    """Return what makes one pub of a fixed circuit and observables."""

    def pubs(backend: Any) -> list[Any]:
        circuit = fitted(ghz(2, measured=False), backend)
        one = [moved(circuit, observable) for observable in observables]
        return [(circuit, one[0] if len(one) == 1 else one)]

    return pubs


def broadcast(backend: Any) -> list[Any]:
    """Every observable at every point."""
    circuit = fitted(turned(measured=False), backend)
    terms = [[moved(circuit, term)] for term in ("ZZ", "XX", "IY")]
    return [(circuit, terms, np.stack([SWEEP, SWEEP / 2], axis=-1))]


def two_estimated(backend: Any) -> list[Any]:
    first, second = fitted(ghz(2, measured=False), backend), fitted(turned(measured=False), backend)
    return [
        (first, [moved(first, "ZZ"), moved(first, "XX")]),
        (second, moved(second, ["ZI", "XY"]), [0.25, 0.75]),
    ]


def mapping(backend: Any) -> list[Any]:
    return [(fitted(ghz(2, measured=False), backend), {"IIIZZ": 1.0, "IIIXI": 0.5})]


def projected(backend: Any) -> list[Any]:
    return [(fitted(ghz(2, measured=False), backend), ["III00", "III+Z"])]


def own_precision(backend: Any) -> list[Any]:
    circuit = fitted(ghz(2, measured=False), backend)
    return [(circuit, moved(circuit, "ZZ"), None, 0.25), (circuit, moved(circuit, "XX"), None, 0.5)]


def alike_precision(backend: Any) -> list[Any]:
    circuit = fitted(ghz(2, measured=False), backend)
    return [(circuit, moved(circuit, "ZZ"), None, 0.25)]


def wide(backend: Any) -> list[Any]:
    return [(fitted(pairs(backend), backend),)]


def wide_estimated(backend: Any) -> list[Any]:
    circuit = fitted(pairs(backend, measured=False), backend)
    return [(circuit, [moved(circuit, "Z" * 127), moved(circuit, "I" * 125 + "ZZ")])]


def legacy_sampler_options() -> Any:
    from qiskit_ibm_runtime.options import SamplerOptions

    options = SamplerOptions(default_shots=40)
    options.twirling.enable_measure = True
    options.environment.job_tags = ["by", "object"]
    options.max_execution_time = 90
    options.experimental = {"image": "mine:1", "execution": {"init_qubits": False}, "new": 1}
    return options


def legacy_estimator_options() -> Any:
    from qiskit_ibm_runtime.options import EstimatorOptions

    options = EstimatorOptions(resilience_level=2, default_precision=0.125)
    options.resilience.zne.noise_factors = [1, 3, 5]
    options.environment.log_level = "DEBUG"
    return options


def executor_sampler_options() -> Any:
    from qiskit_ibm_runtime.options_models import SamplerOptions

    options = SamplerOptions(default_shots=40)
    options.twirling.enable_measure = True
    options.environment.job_tags = ["by", "object"]
    options.environment.image = "mine:1"
    options.max_execution_time = 90
    return options


def executor_estimator_options() -> Any:
    from qiskit_ibm_runtime.options_models import EstimatorOptions

    options = EstimatorOptions(resilience_level=0, default_precision=0.125)
    options.twirling.enable_gates = True
    options.twirling.num_randomizations = 4
    options.environment.log_level = "DEBUG"
    return options


def _cases(program: Any, kind: Any, *given: dict[str, Any]) -> list[Case]:
    return [Case(program=program, kind=kind, **fields) for fields in given]


LEGACY = [
    *_cases(
        "legacy",
        "sampler",
        {"name": "bell", "pubs": bell, "aim": 100},
        {"name": "default_shots", "pubs": bell, "options": {"default_shots": 64}},
        {"name": "own_shots", "pubs": own_shots},
        {"name": "sweep", "pubs": swept, "aim": 32},
        {"name": "named", "pubs": named, "aim": 32},
        {"name": "registers", "pubs": one_of(registers), "aim": 32},
        {"name": "midway", "pubs": one_of(measured_midway), "aim": 32},
        {"name": "dynamic", "pubs": one_of(dynamic), "aim": 32},
        {"name": "two_pubs", "pubs": two, "aim": 32},
        {"name": "seed", "pubs": bell, "options": {"simulator": {"seed_simulator": 5}}},
        {
            "name": "groups",
            "pubs": bell,
            "options": {
                **TWIRLED,
                "dynamical_decoupling": {"enable": True, "sequence_type": "XY4"},
                "execution": {"init_qubits": False},
                "environment": {"job_tags": ["a", "b"], "log_level": "INFO"},
                "max_execution_time": 77,
            },
            "aim": 32,
        },
        {
            "name": "experimental",
            "pubs": bell,
            "options": {
                "twirling": {},
                "experimental": {"execution": {"fast": True}, "image": "mine:1", "other": [1]},
            },
            "aim": 32,
        },
        {"name": "private", "pubs": bell, "options": {"environment": {"private": True}}},
        {"name": "object", "pubs": bell, "options": legacy_sampler_options},
        {"name": "wide", "pubs": wide, "aim": 8, "backend": WIDE},
    ),
    *_cases(
        "legacy",
        "estimator",
        {"name": "one", "pubs": estimated("ZZ"), "aim": 0.25},
        {"name": "several", "pubs": estimated("ZZ", ["XX", "IZ"], "IX"), "aim": 0.25},
        {"name": "mapping", "pubs": mapping, "aim": 0.25},
        {"name": "broadcast", "pubs": broadcast, "aim": 0.25},
        {"name": "two_pubs", "pubs": two_estimated, "aim": 0.25},
        {"name": "own_precision", "pubs": own_precision},
        {"name": "level_0", "pubs": mapping, "options": {"resilience_level": 0}, "aim": 0.25},
        {"name": "level_2", "pubs": mapping, "options": {"resilience_level": 2}, "aim": 0.25},
        {
            "name": "resilience",
            "pubs": mapping,
            "options": {
                "resilience": {
                    "measure_mitigation": True,
                    "zne_mitigation": True,
                    "zne": {"noise_factors": [1, 3], "extrapolator": "linear"},
                    "measure_noise_learning": {"num_randomizations": 4},
                },
                "default_precision": 0.25,
                "seed_estimator": 3,
            },
        },
        {"name": "object", "pubs": mapping, "options": legacy_estimator_options},
        {"name": "wide", "pubs": wide_estimated, "backend": WIDE, "runs": False},
    ),
]
EXECUTOR_SAMPLER = _cases(
    "executor",
    "sampler",
    {"name": "bell", "pubs": bell, "aim": 100},
    {"name": "default_shots", "pubs": bell, "options": {"default_shots": 64}},
    {"name": "own_shots", "pubs": two_alike},
    {"name": "sweep", "pubs": swept, "aim": 32},
    {"name": "named", "pubs": named, "aim": 32},
    {"name": "registers", "pubs": one_of(registers), "aim": 32},
    {"name": "midway", "pubs": one_of(measured_midway), "aim": 32},
    {"name": "dynamic", "pubs": one_of(dynamic), "aim": 32},
    {"name": "two_pubs", "pubs": two, "aim": 32},
    {"name": "twirled", "pubs": bell, "options": TWIRLED, "aim": 128},
    {"name": "twirled_gates", "pubs": bell, "options": {"twirling": {"enable_gates": True}}},
    {"name": "twirled_sweep", "pubs": swept, "options": TWIRLED, "aim": 128},
    {"name": "twirled_two", "pubs": two, "options": TWIRLED, "aim": 128},
    {"name": "twirled_registers", "pubs": one_of(registers), "options": TWIRLED, "aim": 128},
    {
        "name": "twirled_how",
        "pubs": one_of(lambda: ghz(3)),
        "options": {
            "twirling": {
                **TWIRLED["twirling"],
                "num_randomizations": 3,
                "shots_per_randomization": 7,
                "strategy": "all",
            }
        },
    },
    *(
        {
            "name": f"decoupled_{sequence}",
            "pubs": one_of(lambda: ghz(3)),
            "options": {"dynamical_decoupling": {"enable": True, "sequence_type": sequence}},
            "aim": 32,
        }
        for sequence in ("XX", "XpXm", "XY4")
    ),
    {
        "name": "decoupled_and_twirled",
        "pubs": one_of(lambda: ghz(3)),
        "options": {**TWIRLED, "dynamical_decoupling": {"enable": True}},
        "aim": 128,
    },
    {
        "name": "job_options",
        "pubs": bell,
        "options": {
            "execution": {"init_qubits": False, "rep_delay": 0.001},
            "environment": {"job_tags": ["a", "b"], "log_level": "INFO"},
            "max_execution_time": 77,
            "experimental": {"anything": {"goes": [1, 2.5]}},
        },
    },
    {"name": "private", "pubs": bell, "options": {"environment": {"private": True}}},
    {
        "name": "kerneled",
        "pubs": bell,
        "options": {"execution": {"meas_type": "kerneled"}},
        "runs": False,
    },
    {"name": "object", "pubs": bell, "options": executor_sampler_options},
    {"name": "wide", "pubs": wide, "aim": 8, "backend": WIDE},
    {
        "name": "wide_twirled",
        "pubs": wide,
        "options": TWIRLED,
        "aim": 64,
        "backend": WIDE,
        "runs": False,
    },
)
EXECUTOR_ESTIMATOR = _cases(
    "executor",
    "estimator",
    *(
        {
            "name": f"level_{level}",
            "pubs": mapping,
            "options": {"resilience_level": level},
            "aim": 0.125,
        }
        for level in (0, 1, 2)
    ),
    {"name": "several", "pubs": estimated("ZZ", ["XX", "IZ"], "IX"), "aim": 0.125},
    {"name": "broadcast", "pubs": broadcast, "aim": 0.125},
    {"name": "two_pubs", "pubs": two_estimated, "aim": 0.125},
    {"name": "own_precision", "pubs": alike_precision},
    {
        "name": "projectors",
        "pubs": projected,
        "options": {"resilience_level": 0},
        "aim": 0.125,
    },
    {
        "name": "default_shots",
        "pubs": mapping,
        "options": {"default_shots": 100, "resilience_level": 0},
    },
    {
        "name": "extrapolated",
        "pubs": mapping,
        "options": {
            "resilience": {
                "zne_mitigation": True,
                "zne": {
                    "amplifier": "gate_folding_front",
                    "noise_factors": [1, 3, 5],
                    "extrapolator": ["linear", "fallback"],
                },
            },
        },
        "aim": 0.125,
    },
    {
        "name": "decoupled",
        "pubs": estimated("ZZ"),
        "options": {"resilience_level": 0, "dynamical_decoupling": {"enable": True}},
        "aim": 0.125,
    },
    {"name": "object", "pubs": mapping, "options": executor_estimator_options},
    {"name": "wide", "pubs": wide_estimated, "backend": WIDE, "runs": False},
)
ALL = [*LEGACY, *EXECUTOR_SAMPLER, *EXECUTOR_ESTIMATOR]
