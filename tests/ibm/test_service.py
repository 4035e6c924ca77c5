"""The service protocol over recorded answers, and what becomes of it when they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from qawait import __version__
from qawait.errors import (
    ConfigError,
    NotSentError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)
from qawait.ibm.service import IBMService
from qawait.jobs.service import Fetched, Group
from qawait.types import JobStatus
from support.mocked import (
    ACCOUNT,
    API,
    IAM,
    JOB,
    SUBMIT,
    answered,
    job_record,
    service,
)
from support.recorded import Exchange, exchange
from support.tcp import answer, read_request, tcp_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import SocketStream

    from qawait.jobs.service import Service

pytestmark = pytest.mark.anyio


async def test_it_is_a_service() -> None:
    """The type checker and the runtime agree that the protocol is satisfied."""
    async with service() as (ibm, _):
        asked: Service = ibm
        assert all(hasattr(asked, name) for name in ("submit", "find", "fetch", "cancel"))


async def test_every_call_carries_the_same_headers() -> None:
    """Bearer token, instance, version and our own name; the API key goes to IAM alone."""
    async with service() as (ibm, router):
        route = router.get(f"{API}/instances/usage").respond(json={})
        await ibm.usage()
    headers = route.calls.last.request.headers
    assert headers["authorization"] == "Bearer canary-token-1"
    assert headers["service-crn"] == ACCOUNT.instance
    assert headers["ibm-api-version"] == "2026-04-15"
    assert headers["user-agent"] == f"qawait/{__version__}"
    assert headers["x-qx-client-application"] == f"qawait/{__version__}"
    assert "canary-key" not in str(headers.raw)


async def test_a_service_makes_its_own_connections() -> None:
    """Without transports it opens those that the account names, and closes them."""
    grant = b'{"access_token":"t","expires_in":3600}'

    async def handler(stream: SocketStream) -> None:
        while True:
            at_iam = b" /identity/token " in await read_request(stream)
            await stream.send(answer(grant if at_iam else b'{"a":1}'))

    async with tcp_server(handler) as origin:
        account = replace(ACCOUNT, url=f"{origin}/api/v1", iam_url=origin)
        made = IBMService(account)
        assert await made.usage() == {"a": 1}
        await made.aclose()
    assert repr(made) == f"<IBMService {origin}/api/v1>"


# --- each method over the recorded answers -------------------------------------------------------

RECORDED: list[tuple[Exchange, Callable[[IBMService, str], Awaitable[object]]]] = [
    (exchange("03", "POST", "/jobs"), lambda ibm, _: ibm.submit(SUBMIT)),
    (exchange("03", "GET", JOB), lambda ibm, job: ibm.status(job)),
    (exchange("03", "GET", JOB), lambda ibm, job: ibm.job(job)),
    (exchange("03", "GET", "/results"), lambda ibm, job: ibm.fetch(job)),
    (exchange("05", "GET", "/results"), lambda ibm, job: ibm.fetch(job)),
    (exchange("03", "GET", "/logs"), lambda ibm, job: ibm.logs(job)),
    (exchange("03", "GET", "/metrics"), lambda ibm, job: ibm.metrics(job)),
    (exchange("03", "PUT", "/tags", status=204), lambda ibm, job: ibm.set_tags(job, ["a"])),
    (exchange("03", "DELETE", JOB, status=204), lambda ibm, job: ibm.delete(job)),
    (exchange("08", "POST", "/cancel", status=204), lambda ibm, job: ibm.cancel(job)),
    (exchange("11", "GET", "/jobs"), lambda ibm, _: ibm.jobs()),
    (exchange("01", "GET", "/backends"), lambda ibm, _: ibm.backends()),
    (exchange("03", "GET", "/status"), lambda ibm, _: ibm.backend_status("ibm_manila")),
    (exchange("03", "GET", "/usage"), lambda ibm, _: ibm.usage()),
]


@pytest.mark.parametrize(("found", "call"), RECORDED)
async def test_each_recorded_answer_is_understood(
    found: Exchange, call: Callable[[IBMService, str], Awaitable[object]]
) -> None:
    """The answers that IBM's client took are taken here too."""
    async with service() as (ibm, router):
        route = answered(router, found)
        parts = found.path.split("/")
        value = await call(ibm, parts[2] if len(parts) > 2 else "")
        assert route.call_count == 1
    if isinstance(found.received, dict) and not isinstance(value, str | list | Fetched):
        assert value == found.received or found.received["id"] == value.job_id  # type: ignore[attr-defined]


@pytest.mark.parametrize(("found", "call"), RECORDED)
@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
async def test_each_refusal_is_an_error(
    found: Exchange, call: Callable[[IBMService, str], Awaitable[object]], status: int
) -> None:
    """Whatever the call, a refusal is raised, and a failed effect is unknown."""
    async with service() as (ibm, router):
        router.route(url__startswith=API).respond(status, json={"errors": [{"code": 9999}]})
        with pytest.raises(QawaitError) as caught:
            await call(ibm, JOB)
    effect = found.method == "POST"
    if effect and status >= 500:
        assert isinstance(caught.value, UnknownOutcomeError)
    else:
        assert isinstance(caught.value, RejectedError)
        assert caught.value.status == status
        assert isinstance(caught.value, ThrottledError) == (status == 429)


async def test_backend_descriptions() -> None:
    """Configuration and properties are given as the service gives them."""
    async with service() as (ibm, router):
        router.get(f"{API}/backends/b/configuration").respond(json={"n_qubits": 5})
        router.get(f"{API}/backends/b/properties", params={"calibration_id": "c"}).respond(json={})
        router.get(f"{API}/versions").respond(json={"versions": []})
        assert await ibm.backend_configuration("b") == {"n_qubits": 5}
        assert await ibm.backend_properties("b", calibration_id="c") is None
        assert await ibm.versions() == {"versions": []}


# --- submit --------------------------------------------------------------------------------------


async def test_a_submit_sends_its_tag() -> None:
    """The tag by which a lost submit is found is among the job's tags."""
    async with service() as (ibm, router):
        route = router.post(f"{API}/jobs").respond(json={"id": "job-1", "backend": "ibm_fez"})
        assert await ibm.submit(SUBMIT) == "job-1"
    assert json.loads(route.calls.last.request.content)["tags"] == ["tag-1"]


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ReadError("reset"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.RemoteProtocolError("illegal status line"),
        httpx.Response(500),
        httpx.Response(502, text="<html>"),
        httpx.Response(503, headers={"retry-after": "1"}),
        httpx.Response(302, headers={"location": "/x"}),
        httpx.Response(204),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b"{"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"id": "../x"}),
        httpx.Response(200, text="<html>", headers={"content-type": "text/html"}),
    ],
)
async def test_a_submit_in_doubt_is_unknown_and_carries_its_tag(fault: Any) -> None:
    """Lost, failed or senseless answers to a delivered submit all mean: look it up."""
    async with service() as (ibm, router):
        route = router.post(f"{API}/jobs")
        route.mock(side_effect=fault if isinstance(fault, Exception) else [fault])
        with pytest.raises(UnknownOutcomeError) as caught:
            await ibm.submit(SUBMIT)
        assert route.call_count == 1
    assert caught.value.tag == "tag-1"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 429])
async def test_a_refused_submit_made_no_job(status: int) -> None:
    """4xx is a refusal that carries the tag."""
    async with service() as (ibm, router):
        router.post(f"{API}/jobs").respond(status)
        with pytest.raises(RejectedError) as caught:
            await ibm.submit(SUBMIT)
    assert (caught.value.status, caught.value.tag) == (status, "tag-1")


async def test_a_submit_without_a_token_is_not_sent() -> None:
    """IAM's troubles are never taken for a submit in doubt."""
    for status in (500, 302, 200):
        async with service() as (ibm, router):
            router.post(IAM).respond(status)
            route = router.post(f"{API}/jobs").respond(json={"id": "x"})
            with pytest.raises(NotSentError) as caught:
                await ibm.submit(SUBMIT)
            assert not route.called
            assert caught.value.tag == "tag-1"


async def test_a_submit_that_cannot_connect_is_not_sent() -> None:
    """Nothing reached the service, so it may be repeated."""
    async with service() as (ibm, router):
        router.post(f"{API}/jobs").mock(side_effect=httpx.ConnectError("refused"))
        with pytest.raises(NotSentError):
            await ibm.submit(SUBMIT)


# --- find, status, pending ------------------------------------------------------------------------


async def test_find_asks_for_the_tag_oldest_first() -> None:
    """Jobs without the tag are left out, should the service not filter."""
    records = [job_record("a", tags=["tag-1"]), job_record("b"), job_record("c", tags=["x"])]
    async with service() as (ibm, router):
        route = router.get(f"{API}/jobs").respond(json={"jobs": records})
        assert [job.job_id for job in await ibm.find("tag-1")] == ["a"]
    query = dict(route.calls.last.request.url.params)
    assert query == {"limit": "200", "tags": "tag-1", "sort": "ASC", "exclude_params": "true"}


async def test_status_asks_without_params() -> None:
    """A poll never transfers the circuits."""
    async with service() as (ibm, router):
        route = router.get(f"{API}/jobs/{JOB}").respond(json=job_record())
        assert (await ibm.status(JOB)).status is JobStatus.QUEUED
    assert dict(route.calls.last.request.url.params) == {"exclude_params": "true"}


@pytest.mark.parametrize("call", ["status", "fetch", "cancel", "failure_text", "delete", "metrics"])
async def test_errors_about_a_job_carry_its_id(call: str) -> None:
    """Whatever went wrong, the job is named."""
    async with service() as (ibm, router):
        router.route(url__startswith=API).respond(400)
        with pytest.raises(RejectedError) as caught:
            await getattr(ibm, call)(JOB)
    assert caught.value.job_id == JOB


async def test_a_wrong_job_id_sends_nothing() -> None:
    """Not even a token is asked for."""
    async with service() as (ibm, router):
        with pytest.raises(ConfigError):
            await ibm.status("../admin")
        assert not router.calls.called


async def test_pending_asks_for_one_page_of_a_tag() -> None:
    """One request lists the live jobs with the tag between two times, oldest first."""
    after, before = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    async with service() as (ibm, router):
        route = router.get(f"{API}/jobs").respond(json={"jobs": [job_record("job-1")]})
        found = await ibm.pending(Group(tag="tag"), after=after, before=before)
    assert [job.job_id for job in found] == ["job-1"]
    query = route.calls.last.request.url.params
    assert (query["pending"], query["tags"], query["sort"]) == ("true", "tag", "ASC")
    assert query["limit"] == "200"
    assert "2026-01-01" in query["created_after"]
    assert "2026-01-02" in query["created_before"]
