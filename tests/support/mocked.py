"""An `IBMService` over mocked connections, with IAM at work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import respx

from qawait.ibm.account import Account
from qawait.ibm.service import IBMService
from qawait.ibm.transport import Transport, trusting
from qawait.secret import Secret
from qawait.types import SubmitRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from support.recorded import Exchange


API = "https://api.test/api/v1"
IAM = "https://iam.test/identity/token"
TRUST = trusting()
JOB = "d95d48073c2d94079899"
ACCOUNT = Account(
    token=Secret("canary-key"),
    instance="crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::",
    url=API,
    iam_url="https://iam.test",
)
SUBMIT = SubmitRequest(program="sampler", backend="ibm_fez", params={"a": 1}, tag="tag-1")


def mockable() -> httpx.AsyncHTTPTransport:
    """Return a transport whose connections respx can stand in for."""
    return httpx.AsyncHTTPTransport(verify=TRUST)


@asynccontextmanager
async def service() -> AsyncIterator[tuple[IBMService, respx.MockRouter]]:
    """Give a service over mocked connections, with IAM at work."""
    made = IBMService(
        ACCOUNT,
        transport=Transport(ACCOUNT.url, transport=mockable()),
        iam_transport=Transport(ACCOUNT.iam_url, transport=mockable()),
    )
    with respx.mock(assert_all_called=False) as router:
        router.post(IAM, name="iam").mock(side_effect=Tokens())
        try:
            yield made, router
        finally:
            await made.aclose()


class Tokens:
    """Gives numbered tokens."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, _: httpx.Request) -> httpx.Response:
        """Answer one request for a token."""
        self.given += 1
        return httpx.Response(
            200, json={"access_token": f"canary-token-{self.given}", "expires_in": 3600}
        )


def replay(found: Exchange) -> httpx.Response:
    """Return a recorded answer."""
    headers = {"content-type": found.content_type} if found.raw else {}
    return httpx.Response(found.status, content=found.raw, headers=headers)


def answered(router: respx.MockRouter, found: Exchange) -> respx.Route:
    """Answer a recorded request as recorded."""
    return router.route(method=found.method, url__startswith=API + found.path).mock(
        return_value=replay(found)
    )


def job_record(job_id: str = JOB, **fields: Any) -> dict[str, Any]:
    """Return a job as the service describes it."""
    return {"id": job_id, "state": {"status": "Queued"}} | fields


def first_token_is_stale(ok: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """Refuse the first token and accept any other."""

    def answer(request: httpx.Request) -> httpx.Response:
        stale = request.headers["authorization"] == "Bearer canary-token-1"
        return httpx.Response(401) if stale else ok

    return answer
