"""IBM's unmodified client and qawait in sessions and batches: what both send, and what returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from side_by_side.bodies import Body, all_posted, expected_of_ours, same, without_own_tags
from side_by_side.clients import primitive_class, start_anew
from side_by_side.given import bell, mapping
from side_by_side.results import parts
from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.filterwarnings(
    # IBM announces that these move; they are what is compared with.
    "ignore:The (SamplerV2|EstimatorV2) class is deprecated:DeprecationWarning",
    # an ideal device has outcomes without any spread
    "ignore:No positive, finite standard errors were found:UserWarning",
)
MAX_TIME = "10m"
DETAILS = {
    # IBM's name: qawait's
    "backend_name": "backend",
    "mode": "mode",
    "max_time": "max_time",
    "active_timeout": "active_timeout",
    "interactive_timeout": "interactive_timeout",
    "state": "state",
    "accepting_jobs": "accepting_jobs",
}


@dataclass(frozen=True)
class Seen:
    """What a client sent and returned in one session."""

    effects: list[tuple[str, str]]
    bodies: list[Body]
    results: list[Any]
    details: dict[str, Any]


def effects(emu: Emulator) -> list[tuple[str, str]]:
    """Return all requests that changed something, in their order."""
    asked = [(entry.method, entry.route) for entry in emu.ledger() if entry.method != "GET"]
    return [one for one in asked if "token" not in one[1]]


def in_the_session(emu: Emulator, session_id: str) -> list[Body]:
    """Return what was posted, all of it in this session, without the session's id."""
    bodies = all_posted(emu)
    assert [body.pop("session_id") for body in bodies] == [session_id] * len(bodies)
    return bodies


def theirs(emu: Emulator, ibm: Any, kind: str, program: str) -> Seen:
    """Run a sampler and an estimator in a session of IBM's client."""
    import qiskit_ibm_runtime

    start_anew(emu)
    backend = ibm.backend("ibm_manila")
    with getattr(qiskit_ibm_runtime, kind)(backend, max_time=MAX_TIME) as session:
        sampler = primitive_class(program, "sampler")(mode=session)
        estimator = primitive_class(program, "estimator")(mode=session)
        results = [
            sampler.run(bell(backend), shots=32).result(),
            estimator.run(mapping(backend), precision=0.125).result(),
        ]
    details = {ours: session.details()[name] for name, ours in DETAILS.items()}
    return Seen(effects(emu), in_the_session(emu, session.session_id), results, details)


async def ours(emu: Emulator, backend: Any, kind: str, program: Any) -> Seen:
    """Run the same in a session of qawait."""
    async with opened(emu, guardian=False) as client:
        make: Any = getattr(client, kind.lower())
        async with make("ibm_manila", max_time=MAX_TIME) as session:
            way = {"program": program, "optimization_level": None}
            sampler, estimator = session.sampler(**way), session.estimator(**way)
            results = [
                await sampler.run(bell(backend), shots=32),
                await estimator.run(mapping(backend), precision=0.125),
            ]
        said = await session.details()
        details = {name: getattr(said, name) for name in DETAILS.values()}
        return Seen(effects(emu), in_the_session(emu, session.id), results, details)


@pytest.mark.parametrize("program", ["legacy", "executor"])
@pytest.mark.parametrize("kind", ["Session", "Batch"])
def test_both_clients_do_the_same_in_a_session(
    emu: Emulator, ibm: Any, kind: str, program: str
) -> None:
    """Opening, jobs and closing are the same requests, with the same jobs, results and details."""
    expected = theirs(emu, ibm, kind, program)
    start_anew(emu)
    seen = anyio.run(ours, emu, ibm.backend("ibm_manila"), kind, program)
    assert seen.effects == expected.effects
    assert seen.details == expected.details
    sent = [without_own_tags(body) for body in seen.bodies]
    assert same(sent, [expected_of_ours(body) for body in expected.bodies]) == []
    assert same(parts(seen.results), parts(expected.results)) == []


@pytest.mark.parametrize("kind", ["Session", "Batch"])
def test_both_clients_cancel_a_session_alike(emu: Emulator, ibm: Any, kind: str) -> None:
    """One request cancels the session, and the service drops the job that is queued in it."""
    import qiskit_ibm_runtime

    start_anew(emu)
    emu.hold()
    backend = ibm.backend("ibm_manila")
    session = getattr(qiskit_ibm_runtime, kind)(backend)
    primitive_class("legacy", "sampler")(mode=session).run(bell(backend))
    session.cancel()
    expected = (effects(emu), [job.status for job in emu.jobs()])
    start_anew(emu)
    emu.hold()
    anyio.run(_cancelled, emu, kind, bell(backend))
    assert (effects(emu), [job.status for job in emu.jobs()]) == expected
    assert expected[1] == ["Cancelled"]


async def _cancelled(emu: Emulator, kind: str, pubs: list[Any]) -> None:
    async with opened(emu, guardian=False) as client:
        make: Any = getattr(client, kind.lower())
        session = await make("ibm_manila")
        job = await session.submit(pubs)
        await session.cancel()
        await job.wait()
