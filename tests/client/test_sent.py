"""What a submit posts equals what IBM's own client posted for the same circuits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import RuntimeDecoder

from qawait import limits
from support.open import opened
from support.recorded import exchange

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


def posted(emu: Emulator) -> dict[str, Any]:
    """Return the body of the one submit, with circuits and arrays decoded."""
    [entry] = emu.ledger("POST", "/jobs")
    assert entry.body is not None
    body: dict[str, Any] = json.loads(entry.body, cls=RuntimeDecoder)
    return body


def recorded(transcript: str) -> dict[str, Any]:
    """Return the body that the real client posted, decoded."""
    sent = exchange(transcript, "POST", "/jobs").sent
    body: dict[str, Any] = json.loads(json.dumps(sent), cls=RuntimeDecoder)
    return body


def same(ours: Any, theirs: Any) -> bool:
    """Compare decoded JSON, arrays by value and dtype."""
    if isinstance(theirs, np.ndarray):
        return (
            isinstance(ours, np.ndarray)
            and ours.dtype == theirs.dtype
            and np.array_equal(ours, theirs)
        )
    if isinstance(theirs, dict):
        return set(ours) == set(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def without_own_tags(body: dict[str, Any]) -> dict[str, Any]:
    """Take away the two tags that are qawait's: one names the submit, one the client."""
    tags = [tag for tag in body.get("tags", []) if not tag.startswith("qawait-")]
    assert len(body["tags"]) == len(tags) + limits.OWN_TAGS
    return {**body, "tags": tags} if tags else {k: v for k, v in body.items() if k != "tags"}


async def test_a_sampler_job_is_posted_as_by_ibms_client(emu: Emulator) -> None:
    """Two pubs with options, tags and a time limit give the recorded body, field by field."""
    theirs = recorded("03")
    (first, values, _), (second, more, shots) = theirs["params"]["pubs"]
    async with opened(emu) as client:
        await client.submit(
            [(first, values), (second, more, shots)],
            backend="ibm_manila",
            options={"default_shots": 128},
            optimization_level=None,
            tags=["t1", "demo"],
            max_execution_time=60,
        )
    ours = without_own_tags(posted(emu))
    theirs.pop("log_level")  # the real client's caller had asked for INFO
    ours.pop("log_level", None)
    assert same(ours, theirs)


async def test_an_estimator_job_is_posted_as_by_ibms_client(emu: Emulator) -> None:
    """A pub with observables, parameters and precision gives the recorded body."""
    theirs = recorded("04")
    [(circuit, observables, values, precision)] = theirs["params"]["pubs"]
    async with opened(emu) as client:
        estimator = client.estimator(
            "ibm_manila", options={"resilience_level": 1}, optimization_level=None
        )
        observable = SparsePauliOp(list(observables), list(observables.values()))
        await estimator.submit((circuit, observable, values, precision))
    ours = without_own_tags(posted(emu))
    assert ours.pop("cost") == limits.DEFAULT_EXECUTION_SECONDS  # the real client set no limit
    theirs.pop("log_level")
    ours.pop("log_level", None)
    assert same(ours, theirs)


async def test_a_circuit_that_fits_costs_one_post_and_no_more(emu: Emulator) -> None:
    """After the first submit to a backend another costs exactly one request."""
    async with opened(emu, on_cancel="detach") as client:
        await client.submit(_flip(), backend="ibm_manila")
        before = len(emu.ledger())
        await client.submit(_flip(), backend="ibm_manila")
        sent = [e for e in emu.ledger()[before:] if e.method == "POST"]
    assert [entry.route for entry in sent] == ["/jobs"]


def _flip() -> str:
    return 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
