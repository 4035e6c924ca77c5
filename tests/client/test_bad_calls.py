"""Malformed calls: each is refused with a clear error, before any request."""

from __future__ import annotations

import inspect
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

import qawait
from qawait import Budget, ConfigError
from support.emulated import FLIP
from support.open import bell, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait import Client
    from qawait.emulator import Emulator

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def turned() -> QuantumCircuit:
    """Return a measured circuit of one parameter."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    circuit.measure_all()
    return circuit


def unmeasured() -> QuantumCircuit:
    """Return a circuit of two qubits without a measurement."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    return circuit


async def later(_: object) -> None:
    """Be no plain function."""


def nested(depth: int) -> dict[str, Any]:
    """Return an object nested too deep for JSON."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


# What is given to `client.submit`, and what the error has to name.
PUBS: list[tuple[Any, str]] = [
    (None, "circuit"),
    (3, "circuit"),
    (b"OPENQASM 3.0;", "circuit"),
    ({"circuit": 1}, "circuit"),
    ([], "pub"),
    ([[]], "pub"),
    ([bell(), None], "circuit"),
    ("", "circuit|OpenQASM"),
    ("OPENQASM 3.0; nonsense", "OpenQASM"),
    ("OPENQASM 2.0; qreg q[1];", "measures nothing"),
    (unmeasured(), "measure"),
    (QuantumCircuit(1), "measure"),
    (turned(), "parameter"),
    ((turned(), "abc"), "parameter"),
    ((turned(), ["a"]), "parameter|number"),
    ((turned(), [math.nan]), "parameter|finite|nan"),
    ((turned(), [math.inf]), "parameter|finite|inf"),
    ((bell(), [0.5]), "parameter"),
    ((bell(), None, 0), "shots"),
    ((bell(), None, "16"), "shots"),
    ((bell(), None, 16, 1), "pub|parts"),
]
# Keywords of `client.submit`.
KEYWORDS: list[tuple[dict[str, Any], str]] = [
    ({"shots": 0}, "shots"),
    ({"shots": -1}, "shots"),
    ({"shots": True}, "shots"),
    ({"shots": 1.5}, "shots"),
    ({"shots": "100"}, "shots"),
    ({"backend": " "}, "blank"),
    ({"backend": 3}, "backend"),
    ({"backend": None}, "backend"),
    ({"backend": "../jobs"}, "backend"),
    ({"optimization_level": 9}, "optimization_level"),
    ({"optimization_level": -1}, "optimization_level"),
    ({"optimization_level": "1"}, "optimization_level"),
    ({"options": 3}, "options"),
    ({"options": {"shotz": 1}}, "shotz"),
    ({"tags": "mine"}, "tags must be a list"),
    ({"tags": [1]}, "tags must be a list"),
    ({"tags": ["t"] * 7}, "up to 6 tags"),
    ({"tags": ["t" * 87]}, "86 characters"),
    ({"tags": [""]}, "1 to 86"),
    ({"max_execution_time": 0}, "max_execution_time"),
    ({"max_execution_time": 10_801}, "max_execution_time"),
    ({"max_execution_time": 1.5}, "whole seconds"),
    ({"max_execution_time": True}, "whole seconds"),
    ({"private": "yes"}, "private must be True or False"),
    ({"dry_run": 1}, "dry_run must be True or False"),
    ({"on_cancel": "keep"}, 'on_cancel must be "cancel" or "detach"'),
    ({"on_update": 3}, "on_update must be a function"),
    ({"on_update": later}, "plain function"),
]
# Other calls of a client.
CALLS: dict[str, tuple[Callable[[Client], Any], str]] = {
    "program without a name": (
        lambda c: c.submit_program("", PARAMS, backend="ibm_manila"),
        "program_id",
    ),
    "program that is a number": (
        lambda c: c.submit_program(3, PARAMS, backend="ibm_manila"),  # type: ignore[arg-type]
        "program_id",
    ),
    "params that are a text": (
        lambda c: c.submit_program("sampler", "{}", backend="ibm_manila"),
        "params",
    ),
    "params that are a list": (
        lambda c: c.submit_program("sampler", b"[1]", backend="ibm_manila"),
        "JSON object",
    ),
    "params with NaN": (
        lambda c: c.submit_program("sampler", {"a": math.nan}, backend="ibm_manila"),
        "JSON",
    ),
    "params with an object": (
        lambda c: c.submit_program("sampler", {"a": object()}, backend="ibm_manila"),
        "JSON",
    ),
    "params nested too deep": (
        lambda c: c.submit_program("sampler", nested(100_000), backend="ibm_manila"),
        "JSON",
    ),
    "estimator without observables": (
        lambda c: c.estimator("ibm_manila").submit(unmeasured()),
        "observable",
    ),
    "observable of another width": (
        lambda c: c.estimator("ibm_manila").submit((unmeasured(), "ZZZ")),
        "observable|qubits",
    ),
    "observable of no letters": (
        lambda c: c.estimator("ibm_manila").submit((unmeasured(), "AB")),
        "observable|Pauli",
    ),
    "precision of zero": (
        lambda c: c.estimator("ibm_manila", precision=0).submit((unmeasured(), "ZZ")),
        "precision",
    ),
    "precision that is none": (
        lambda c: c.estimator("ibm_manila").submit((unmeasured(), "ZZ"), precision=math.nan),
        "precision",
    ),
    "limit below zero": (lambda c: c.jobs(limit=-1), "limit"),
    "limit with a fraction": (lambda c: c.jobs(limit=1.5), "limit"),  # type: ignore[arg-type]
    "limit that is true": (lambda c: c.jobs(limit=True), "limit"),
    "skip below zero": (lambda c: c.jobs(skip=-1), "skip"),
    "pending as a word": (lambda c: c.jobs(pending="yes"), "pending"),  # type: ignore[arg-type]
    "backend as a number": (lambda c: c.jobs(backend=3), "backend"),  # type: ignore[arg-type]
    "blank program": (lambda c: c.jobs(program=" "), "program"),
    "session as a number": (lambda c: c.jobs(session_id=1), "session_id"),  # type: ignore[arg-type]
    "a tag for tags": (lambda c: c.jobs(tags="mine"), "tags must be a list"),
    "numbers for tags": (lambda c: c.jobs(tags=[1]), "tags must be a list"),  # type: ignore[list-item]
    "a word for a time": (
        lambda c: c.jobs(created_after="yesterday"),  # type: ignore[arg-type]
        "created_after must be a datetime",
    ),
    "a time before all times": (
        lambda c: c.jobs(created_before=datetime.min),  # noqa: DTZ901 - that is the point
        "created_before is out of range",
    ),
    "an empty span": (
        lambda c: c.jobs(created_after=DAY.replace(year=2027), created_before=DAY),
        "later than",
    ),
    "an id with a slash": (lambda c: c.attach("../backends"), "not a job id"),
    "an empty id": (lambda c: c.attach(""), "not a job id"),
    "an id that is a number": (lambda c: c.attach(3), "not a job id"),  # type: ignore[arg-type]
    "an id that is too long": (lambda c: c.attach("x" * 65), "not a job id"),
    "attach with a policy that is none": (
        lambda c: c.attach("abc", on_cancel="keep"),  # type: ignore[arg-type]
        "on_cancel",
    ),
    "no places in a scope": (lambda c: c.scope(max_pending=0), "max_pending"),
    "places that are true": (lambda c: c.scope(max_pending=True), "max_pending"),
    "a number for a budget": (
        lambda c: c.scope(budget=60),  # type: ignore[arg-type]
        "budget must be a qawait.Budget",
    ),
    "a recovery that is none": (
        lambda c: c.recover("all"),  # type: ignore[arg-type]
        "policy must be",
    ),
    "as_completed of what is no job": (
        lambda c: c.as_completed(["abc"]),  # type: ignore[list-item]
        "as_completed takes jobs",
    ),
    "a blank backend": (lambda c: c.backend(" "), "blank"),
}
# Calls of a job.
JOB_CALLS: dict[str, tuple[str, Any, str]] = {
    "timeout as a text": ("wait", "5", "timeout"),
    "timeout that is no number": ("wait", math.nan, "timeout"),
    "tags as a text": ("set_tags", "mine", "tags must be a list"),
    "too many tags": ("set_tags", ["t"] * 7, "up to 6 tags"),
    "tags that are numbers": ("set_tags", [1], "tags must be a list"),
    "a tag that is too long": ("set_tags", ["t" * 87], "86 characters"),
}


async def refused(emu: Emulator, client: Client, call: Callable[[], Any], said: str) -> None:
    """Make the call and check that it is refused, by name, without a request."""
    await client.backend("ibm_manila")
    emu.clear_ledger()
    with pytest.raises(ConfigError, match=f"(?i){said}") as caught:
        result = call()
        if inspect.isawaitable(result):
            await result
    assert len(str(caught.value)) < 500
    assert emu.ledger() == []


@pytest.mark.parametrize(("pubs", "said"), PUBS, ids=range(len(PUBS)))
async def test_circuits_and_values(emu: Emulator, pubs: Any, said: str) -> None:
    """What is no circuit, or has not the values it needs, is never sent."""
    async with opened(emu, guardian=False) as client:
        await refused(emu, client, lambda: client.submit(pubs, backend="ibm_manila"), said)


@pytest.mark.parametrize(("keywords", "said"), KEYWORDS, ids=range(len(KEYWORDS)))
async def test_keywords(emu: Emulator, keywords: dict[str, Any], said: str) -> None:
    """A keyword of the wrong type or out of its range is named, with what is expected."""
    async with opened(emu, guardian=False) as client:
        given = {"backend": "ibm_manila", **keywords}
        await refused(emu, client, lambda: client.submit(bell(), **given), said)


@pytest.mark.parametrize("name", CALLS)
async def test_calls_of_a_client(emu: Emulator, name: str) -> None:
    """Every other call of a client checks what it is given, too."""
    call, said = CALLS[name]
    async with opened(emu, guardian=False) as client:
        await refused(emu, client, lambda: call(client), said)


@pytest.mark.parametrize("name", JOB_CALLS)
async def test_calls_of_a_job(emu: Emulator, name: str) -> None:
    """A job checks what it is given, and goes on undisturbed."""
    method, given, said = JOB_CALLS[name]
    emu.script(outcome="complete", times=None)
    async with opened(emu, guardian=False) as client:
        job = await client.submit_program("sampler", PARAMS, backend="ibm_manila")
        await job.wait()
        await refused(emu, client, lambda: getattr(job, method)(given), said)


async def test_an_unknown_keyword_is_named(emu: Emulator) -> None:
    """A misspelt keyword is a `TypeError` that names it, as in any Python call."""
    async with opened(emu, guardian=False) as client:
        await client.backend("ibm_manila")
        emu.clear_ledger()
        with pytest.raises(TypeError, match="precision"):
            await client.submit(bell(), backend="ibm_manila", precision=0.1)  # type: ignore[call-arg]
    assert emu.ledger() == []


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"on_cancel": "keep"}, "on_cancel"),
        ({"submits_per_minute": 0}, "submits_per_minute"),
        ({"submits_per_minute": "5"}, "submits_per_minute"),
        ({"submits_per_minute": True}, "submits_per_minute"),
        ({"budget": 60}, "budget"),
        ({"token": ""}, "token"),
        ({"instance": "not a crn"}, "instance|CRN"),
        ({"url": "ftp://127.0.0.1"}, "url|http"),
    ],
    ids=str,
)
async def test_opening_a_client(emu: Emulator, keywords: dict[str, Any], said: str) -> None:
    """`connect` refuses what it cannot use before a client exists."""
    with pytest.raises(ConfigError, match=f"(?i){said}"):
        async with opened(emu, **keywords):
            pass


async def test_an_embedded_client_checks_the_same() -> None:
    """`local` refuses a limit that is none without starting a service."""
    with pytest.raises(ConfigError, match="submits_per_minute"):
        qawait.local(submits_per_minute=0)
    with pytest.raises(ConfigError, match="qpu_seconds"):
        qawait.local(budget=Budget(qpu_seconds=0))
