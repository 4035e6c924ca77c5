"""Malformed answers: each is an error that names the request, or does no harm; no job is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait import (
    CancelOutcome,
    JobStatus,
    NotSentError,
    ProtocolError,
    QawaitError,
    UnknownOutcomeError,
)
from support.emulated import FLIP
from support.open import opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from qawait import Client, Job
    from qawait.emulator import Emulator
    from qawait.emulator.handle import FaultRule

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 4]], "options": {}, "version": 2}
HTML = "<html><body>502 Bad Gateway</body></html>"
DEEP = "[" * 5000 + "]" * 5000
ID = "@ID@"  # stands for the job's id

# Bodies that are wrong wherever a JSON object is expected.
NO_OBJECT: dict[str, str] = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "a number": "3",
    "a text": '"Completed"',
    "cut short": '{"id": "abc", "state": {"sta',
    "two values": "{} {}",
    "a key twice": '{"id": 1, "id": 2}',
    "NaN": '{"id": NaN}',
    "infinite": '{"id": 1e999}',
    "too deep": DEEP,
    "deep in an object": f'{{"id": {DEEP}}}',
    "a page": HTML,
    "too large": json.dumps({"id": "x" * (5 * 2**20)}),
}


def page(*records: Any) -> str:
    """Return the body of a listing."""
    return json.dumps({"jobs": records})


STATUS: dict[str, str] = {
    **NO_OBJECT,
    "no id": '{"state": {"status": "Completed"}}',
    "an id that is a number": '{"id": 3, "state": {"status": "Completed"}}',
    "somebody else's": '{"id": "abc", "state": {"status": "Completed"}}',
    "no status": f'{{"id": "{ID}"}}',
    "a status that is null": f'{{"id": "{ID}", "state": null, "status": null}}',
    "a status that is a number": f'{{"id": "{ID}", "state": {{"status": 4}}}}',
    "a status in a list": f'{{"id": "{ID}", "state": ["Completed"]}}',
    "a blank status": f'{{"id": "{ID}", "state": {{"status": " "}}}}',
}
LISTING: dict[str, str] = {
    **NO_OBJECT,
    "no jobs": "{}",
    "jobs that are null": '{"jobs": null}',
    "jobs in an object": '{"jobs": {"a": 1}}',
    "jobs in a text": '{"jobs": "abc"}',
    "a job that is null": page(None),
    "a job that is a text": page("abc"),
    "a job without an id": page({"state": {"status": "Queued"}}),
    "a job with a strange id": page({"id": "../x", "state": {"status": "Queued"}}),
    "a job without a status": page({"id": "abc"}),
}
USAGE: dict[str, str] = {
    **NO_OBJECT,
    "nothing in it": "{}",
    "seconds as a text": '{"usage_consumed_seconds": "12"}',
    "seconds below zero": '{"usage_consumed_seconds": -1}',
    "seconds that are true": '{"usage_consumed_seconds": true}',
}
CONFIGURATION: dict[str, str] = {
    **{name: body for name, body in NO_OBJECT.items() if name != "too large"},
    "nothing in it": "{}",
    "qubits as a text": '{"backend_name": "ibm_manila", "n_qubits": "many", "basis_gates": []}',
    "gates that are a number": '{"backend_name": "ibm_manila", "n_qubits": 5, "basis_gates": 3}',
    "a name that is a number": '{"backend_name": 3, "n_qubits": 5, "basis_gates": []}',
}
BACKEND_STATUS: dict[str, str] = {
    **{name: body for name, body in NO_OBJECT.items() if name != "too large"},
    "a queue as a text": '{"state": true, "status": "active", "length_queue": "long"}',
    "no state": '{"status": "active", "length_queue": 1}',
    "a word that is a number": '{"state": true, "status": 3, "length_queue": 1}',
}
TOKEN: dict[str, str] = {
    **NO_OBJECT,
    "nothing in it": "{}",
    "no life": '{"access_token": "abc"}',
    "a life below zero": '{"access_token": "abc", "expires_in": -5}',
    "a life as a text": '{"access_token": "abc", "expires_in": "3600"}',
    "a token that is a number": '{"access_token": 3, "expires_in": 3600}',
    "a token with a line end": '{"access_token": "a\\r\\nb", "expires_in": 3600}',
}
RESULTS: dict[str, str] = {
    "a number": "3",
    "a text": '"Completed"',
    "a word": "Completed",
    "cut short": '{"results": [{"data": {"c"',
    "a key twice": '{"results": [], "results": []}',
    "too deep": DEEP,
    "a page": HTML,
    "a strange type": '{"__type__": "os.system", "__value__": "ls"}',
    "an array that is none": '{"__type__": "ndarray", "__value__": "!!!"}',
    "a result without pubs": '{"__type__": "PrimitiveResult", "__value__": {}}',
    "a circuit unasked": '{"__type__": "QuantumCircuit", "__value__": "eJwDAAAAAAE="}',
}


@pytest.fixture(autouse=True)
def impatient(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again soon, and let jobs wait until they are released."""
    monkeypatch.setattr("qawait.limits.RETRY_BASE_SECONDS", 0.005)
    monkeypatch.setattr("qawait.limits.LOOKUP_SPACING_SECONDS", 0.01)
    emu.script(outcome="complete", result='{"results": [1]}', times=None)
    emu.hold()


async def submit(client: Client) -> Job[Any]:
    """Submit a job that needs no execution."""
    return await client.submit_program("sampler", PARAMS, backend="ibm_manila")


def spoilt(emu: Emulator, route: str, body: str, **rule: Any) -> FaultRule:
    """Replace the body of every answer to a request."""
    kind = "text/html" if body == HTML else "application/json"
    headers = {"content-type": kind}
    return emu.route(route).replace(body, **{"times": None, "headers": headers, **rule})


async def protocol_error(call: Callable[[], Awaitable[object]], request: str) -> None:
    """Check that a call ends, soon, with a `ProtocolError` that names the request."""
    with anyio.fail_after(10), pytest.raises(ProtocolError, match=request) as caught:
        await call()
    assert caught.value.request is not None
    assert len(str(caught.value)) < 1000


async def ends_well(emu: Emulator, job: Job[Any]) -> None:
    """Check that a job is still followed to its end, and gives its result."""
    emu.release()
    with anyio.fail_after(10):
        assert await job.wait() is JobStatus.DONE
        assert await job == {"results": [1]}
    assert emu.cancels(job.id) == 0


@pytest.mark.parametrize("name", STATUS)
async def test_status(emu: Emulator, name: str) -> None:
    """A status that makes no sense is an error of `poll`, and nothing to whoever waits."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        rule = spoilt(emu, "GET /jobs/{id}", STATUS[name].replace(ID, job.id))
        await protocol_error(job.poll, "GET /jobs/{id}")
        rule.remove()
        await ends_well(emu, job)


@pytest.mark.parametrize("name", LISTING)
async def test_listing(emu: Emulator, name: str) -> None:
    """A page of jobs that makes no sense ends the listing, and harms no job."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        rule = spoilt(emu, "GET /jobs", LISTING[name])
        await protocol_error(client.jobs().__anext__, "GET /jobs")
        rule.remove()
        await ends_well(emu, job)


@pytest.mark.parametrize("name", [*NO_OBJECT, "no id", "a strange id"])
async def test_submit(emu: Emulator, name: str) -> None:
    """A submit whose answer makes no sense has made its job: it is found, and made once."""
    strange = {"no id": "{}", "a strange id": '{"id": "../x"}'}
    spoilt(emu, "POST /jobs", {**NO_OBJECT, **strange}[name], times=1)
    async with opened(emu, guardian=False) as client:
        with anyio.fail_after(10):
            job = await submit(client)
        assert [made.id for made in emu.jobs()] == [job.id]
        assert len(emu.ledger("POST", "/jobs")) == 1
        await ends_well(emu, job)


async def test_a_submit_that_nothing_makes_sense_of(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the listing spoilt too, the error tells the tag by which the job is found."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SECONDS", 0.1)
    spoilt(emu, "POST /jobs", "[]")
    spoilt(emu, "GET /jobs", "[]")
    async with opened(emu, guardian=False) as client:
        with anyio.fail_after(10), pytest.raises(UnknownOutcomeError) as caught:
            await submit(client)
    assert caught.value.tag in emu.jobs()[0].tags


@pytest.mark.parametrize("name", ["a page", "an object", "a number", "no 204"])
async def test_cancel(emu: Emulator, name: str) -> None:
    """What stands in the body of a cancel's answer is nothing to it."""
    body = {"a page": HTML, "an object": '{"a": 1}', "a number": "3", "no 204": "[]"}[name]
    spoilt(emu, "POST /jobs/{id}/cancel", body, status=202 if name == "no 204" else 200)
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        with anyio.fail_after(10):
            assert await job.cancel() is CancelOutcome.REQUESTED
            assert await job.wait() is JobStatus.CANCELLED
    assert emu.cancels(job.id) == 1


@pytest.mark.parametrize("status", [302, 299, 600])
async def test_a_cancel_with_a_status_that_means_nothing(emu: Emulator, status: int) -> None:
    """A cancel nobody can tell the outcome of is settled by a query, and not sent for ever."""
    spoilt(emu, "POST /jobs/{id}/cancel", "", status=status, times=1)
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        with anyio.fail_after(10):
            await job.cancel()
            assert await job.wait() is JobStatus.CANCELLED
    assert emu.cancels(job.id) == 1


@pytest.mark.parametrize("name", RESULTS)
async def test_results(emu: Emulator, name: str) -> None:
    """A result that makes no sense is never taken for one; the true one can still be had."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        rule = spoilt(emu, "GET /jobs/{id}/results", RESULTS[name])
        emu.release()
        with anyio.fail_after(10), pytest.raises(ProtocolError, match=job.id):
            await job
        rule.remove()
        await ends_well(emu, job)


@pytest.mark.parametrize("name", CONFIGURATION)
async def test_configuration(emu: Emulator, name: str) -> None:
    """A backend whose description makes no sense is an error before anything is submitted."""
    rule = spoilt(emu, "GET /backends/{name}/configuration", CONFIGURATION[name])
    async with opened(emu, guardian=False) as client:
        with anyio.fail_after(10), pytest.raises(ProtocolError):
            await submit(client)
        assert emu.jobs() == []
        rule.remove()
        await ends_well(emu, await submit(client))


@pytest.mark.parametrize("name", BACKEND_STATUS)
async def test_backend_status(emu: Emulator, name: str) -> None:
    """So it is when a backend's state makes no sense."""
    rule = spoilt(emu, "GET /backends/{name}/status", BACKEND_STATUS[name])
    async with opened(emu, guardian=False) as client:
        with anyio.fail_after(10), pytest.raises(ProtocolError):
            await client.backend("ibm_manila")
        rule.remove()
        await ends_well(emu, await submit(client))


@pytest.mark.parametrize("name", [*tuple(NO_OBJECT)[2:-1], "no devices"])
async def test_properties_and_backends(emu: Emulator, name: str) -> None:
    """A calibration or a list of backends that makes no sense is said so."""
    body = NO_OBJECT.get(name, '{"devices": [{"qubits": 5}]}')
    spoilt(emu, "GET /backends", body)
    spoilt(emu, "GET /backends/{name}/properties", body)
    async with opened(emu, guardian=False) as client:
        await protocol_error(client.backends, "GET /backends")
        if name != "no devices":
            await protocol_error(lambda: client.backend("ibm_fez"), "properties")


@pytest.mark.parametrize("name", TOKEN)
async def test_token(emu: Emulator, name: str) -> None:
    """A token that cannot be one is refused before any request carries it."""
    rule = spoilt(emu, "POST /identity/token", TOKEN[name])
    async with opened(emu, guardian=False) as client:
        with anyio.fail_after(10), pytest.raises(NotSentError, match="POST /identity/token"):
            await client.usage()
        assert {entry.route for entry in emu.ledger()} == {"/identity/token"}
        rule.remove()


@pytest.mark.parametrize("name", USAGE)
async def test_usage(emu: Emulator, name: str) -> None:
    """A usage that is no number is not taken for zero."""
    spoilt(emu, "GET /instances/usage", USAGE[name])
    async with opened(emu, guardian=False) as client:
        await protocol_error(client.usage, "GET /instances/usage")


@pytest.mark.parametrize("name", NO_OBJECT)
async def test_metrics_inputs_and_logs(emu: Emulator, name: str) -> None:
    """Metrics and inputs have to be objects; a log is any text, but for one that is too large."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        metrics = spoilt(emu, "GET /jobs/{id}/metrics", NO_OBJECT[name])
        logs = spoilt(emu, "GET /jobs/{id}/logs", NO_OBJECT[name])
        await protocol_error(job.metrics, "GET /jobs/{id}/metrics")
        assert await job.logs() == NO_OBJECT[name]
        inputs = spoilt(emu, "GET /jobs/{id}", NO_OBJECT[name])
        await protocol_error(job.inputs, "GET /jobs/{id}")
        for rule in (metrics, logs, inputs):
            rule.remove()
        await ends_well(emu, job)


@pytest.mark.parametrize("kind", ["truncate", "truncate_gzip", "malform", "cut", "reset", "close"])
@pytest.mark.parametrize("route", ["GET /jobs/{id}", "GET /jobs", "GET /instances/usage"])
async def test_answers_that_are_cut(emu: Emulator, kind: str, route: str) -> None:
    """An answer cut anywhere is an error of ours after the last try, and nothing worse."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "GET /jobs/{id}": job.poll,
            "GET /jobs": client.jobs().__anext__,
            "GET /instances/usage": client.usage,
        }
        rule = emu.route(route).fault(kind, times=None)
        with anyio.fail_after(10), pytest.raises(QawaitError) as caught:
            await calls[route]()
        assert isinstance(caught.value, ProtocolError | UnknownOutcomeError | NotSentError)
        rule.remove()
        await ends_well(emu, job)


async def test_a_wait_through_nonsense_of_every_kind(emu: Emulator) -> None:
    """A job waited for while every status is nonsense, each of another kind, ends as it does."""
    async with opened(emu, guardian=False) as client:
        job = await submit(client)
        for body in STATUS.values():
            spoilt(emu, "GET /jobs/{id}", body.replace(ID, job.id), times=1)
        await ends_well(emu, job)
