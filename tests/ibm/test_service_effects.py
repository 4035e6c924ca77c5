"""Results, cancels and dead tokens over mocked connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from qawait.errors import (
    AuthError,
    JobFailedError,
    ProtocolError,
    UnknownOutcomeError,
)
from qawait.ibm.wire.jobs import JobFilter
from qawait.jobs.service import CancelReply
from support.mocked import (
    API,
    IAM,
    JOB,
    SUBMIT,
    answered,
    first_token_is_stale,
    job_record,
    replay,
    service,
)
from support.recorded import exchange, exchanges

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


# --- results and cancels -------------------------------------------------------------------------


async def test_an_unfinished_job_has_no_result() -> None:
    """204 is `None`."""
    async with service() as (ibm, router):
        router.get(f"{API}/jobs/{JOB}/results").respond(204)
        assert await ibm.fetch(JOB) is None


async def test_a_traceback_in_place_of_a_result() -> None:
    """The job has failed, and its text is kept."""
    found = exchange("09", "GET", "/results")
    async with service() as (ibm, router):
        answered(router, found)
        with pytest.raises(JobFailedError) as caught:
            await ibm.fetch(found.path.split("/")[2])
        assert await ibm.failure_text(found.path.split("/")[2]) == found.received.strip()
    assert "boom" in (caught.value.text or "")


async def test_a_malformed_result_is_not_a_failed_job() -> None:
    """What the codec refuses carries the job's id."""
    async with service() as (ibm, router):
        router.get(f"{API}/jobs/{JOB}/results").respond(json={"__type__": "?"})
        with pytest.raises(ProtocolError) as caught:
            await ibm.fetch(JOB)
    assert caught.value.job_id == JOB


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, CancelReply.ACCEPTED),
        (409, CancelReply.NOT_CANCELLABLE),
        (404, CancelReply.NOT_FOUND),
    ],
)
async def test_answers_to_a_cancel(status: int, outcome: CancelReply) -> None:
    """All three are normal in a race."""
    async with service() as (ibm, router):
        router.post(f"{API}/jobs/{JOB}/cancel").respond(status)
        assert await ibm.cancel(JOB) is outcome


@pytest.mark.parametrize(
    "fault", [httpx.ReadError("x"), httpx.Response(500), httpx.Response(504), httpx.Response(302)]
)
async def test_a_cancel_in_doubt_is_unknown(fault: Any) -> None:
    """The job may have been cancelled: ask for it before asking again."""
    async with service() as (ibm, router):
        route = router.post(f"{API}/jobs/{JOB}/cancel")
        route.mock(side_effect=fault if isinstance(fault, Exception) else [fault])
        with pytest.raises(UnknownOutcomeError) as caught:
            await ibm.cancel(JOB)
        assert route.call_count == 1
    assert caught.value.job_id == JOB


async def test_filters_reach_the_service() -> None:
    """One page, with the conditions given."""
    async with service() as (ibm, router):
        route = router.get(f"{API}/jobs").respond(json={"jobs": []})
        assert await ibm.jobs(JobFilter(limit=5, backend="b", tags=["x", "y"])) == []
    assert route.calls.last.request.url.params.get_list("tags") == ["x", "y"]


# --- tokens --------------------------------------------------------------------------------------


async def test_a_401_renews_the_token_and_repeats_the_call_once() -> None:
    """Also a submit: 401 means that it was not carried out."""
    async with service() as (ibm, router):
        route = router.post(f"{API}/jobs").mock(
            side_effect=first_token_is_stale(httpx.Response(200, json={"id": "j"}))
        )
        assert await ibm.submit(SUBMIT) == "j"
        assert route.call_count == 2
        assert router.routes["iam"].call_count == 2


async def test_a_token_refused_again_at_once_is_not_tried_again() -> None:
    """A renewed token that the service refuses is used once and not fetched anew each time."""
    async with service() as (ibm, router):
        route = router.route(url__startswith=API).respond(401)
        for _ in range(5):
            with pytest.raises(AuthError):
                await ibm.usage()
        assert route.call_count == 2 + 4
        assert router.routes["iam"].call_count == 2


async def test_a_second_401_is_an_auth_error() -> None:
    """Nothing is repeated for ever, and nothing is sent with the key."""
    refused = exchanges("13", method="GET")
    found = next(one for one in refused if one.status == 401)
    async with service() as (ibm, router):
        route = router.route(url__startswith=API).mock(return_value=replay(found))
        with pytest.raises(AuthError):
            await ibm.status(JOB)
        assert route.call_count == 2
        assert router.routes["iam"].call_count == 2
        assert all("canary-key" not in str(call.request.headers.raw) for call in route.calls)


async def test_a_thousand_polls_with_a_dead_token_renew_it_once() -> None:
    """The token that all of them find refused is renewed for all of them."""
    async with service() as (ibm, router):
        await ibm.tokens.token()
        router.get(f"{API}/jobs/{JOB}").mock(
            side_effect=first_token_is_stale(httpx.Response(200, json=job_record()))
        )
        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(ibm.status, JOB)
        assert router.routes["iam"].call_count == 2


@pytest.mark.parametrize(
    "answers", [[httpx.Response(400, json={"errorCode": "BXNIM0415E"})], [httpx.Response(403)]]
)
async def test_a_refused_key_reaches_nobody_else(answers: Sequence[httpx.Response]) -> None:
    """IAM refuses: the service sees no request at all."""
    async with service() as (ibm, router):
        router.post(IAM).mock(side_effect=answers)
        route = router.route(url__startswith=API).respond(json={})
        with pytest.raises(AuthError):
            await ibm.usage()
        assert not route.called
