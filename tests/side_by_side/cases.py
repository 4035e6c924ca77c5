"""What both clients are given."""

from __future__ import annotations

from typing import Any

from side_by_side.circuits import dynamic, ghz, measured_midway, registers
from side_by_side.clients import Case
from side_by_side.given import (
    alike_precision,
    bell,
    broadcast,
    estimated,
    executor_estimator_options,
    executor_sampler_options,
    legacy_estimator_options,
    legacy_sampler_options,
    mapping,
    named,
    noise_of_a_device,
    noise_of_layers,
    one_of,
    own_precision,
    own_shots,
    projected,
    swept,
    two,
    two_alike,
    two_estimated,
    wide,
    wide_estimated,
    with_noise_model,
)

WIDE = "ibm_sherbrooke"
TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


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
        {"name": "noise_model", "pubs": bell, "options": noise_of_a_device},
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
        {"name": "layer_noise_model", "pubs": mapping, "options": noise_of_layers, "runs": False},
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
    {
        "name": "cancelled_noise",
        "pubs": mapping,
        "options": with_noise_model(pec_mitigation=True),
        "aim": 0.125,
        "since": "0.50",
    },
    {
        "name": "amplified_noise",
        "pubs": mapping,
        "options": with_noise_model(zne_mitigation=True, zne={"amplifier": "pea"}),
        "aim": 0.125,
        "since": "0.50",
    },
    {"name": "wide", "pubs": wide_estimated, "backend": WIDE, "runs": False},
)
ALL = [*LEGACY, *EXECUTOR_SAMPLER, *EXECUTOR_ESTIMATOR]
