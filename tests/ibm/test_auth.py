"""One token for everybody: when it is fetched, shared, renewed and given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from qawait.errors import AuthError, NotSentError, QawaitError, ThrottledError
from qawait.ibm.account import Account
from qawait.ibm.auth import TokenSource
from qawait.ibm.transport import Transport
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

ACCOUNT = Account(
    token=Secret("canary-key"), instance="crn:x", url="https://api.test", iam_url="https://iam.test"
)


class Iam:
    """IAM as a test wants it: gives numbered tokens, or `fault` in their place."""

    def __init__(self, *, life: float = 3600, delay: float = 0) -> None:
        self.calls = 0
        self.life = life
        self.delay = delay
        self.now = 1000.0
        self.fault: Callable[[], httpx.Response] | None = None
        self.paths: set[str] = set()
        transport = Transport(ACCOUNT.iam_url, transport=httpx.MockTransport(self._answer))
        self.source = TokenSource(ACCOUNT, transport, clock=lambda: self.now)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        self.paths.add(str(request.url))
        await anyio.sleep(self.delay)
        if self.fault is not None:
            return self.fault()
        body = {"access_token": f"token-{self.calls}", "expires_in": self.life}
        return httpx.Response(200, json=body)


def unreachable() -> httpx.Response:
    """Fail as a server that is down."""
    raise httpx.ConnectError("down")


def refused(status: int = 400) -> Callable[[], httpx.Response]:
    """Refuse as IAM does."""
    body = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
    return lambda: httpx.Response(status, json=body)


async def outcomes(count: int, call: Callable[[], Awaitable[Secret]]) -> list[Any]:
    """Return what each of many concurrent calls came to."""
    found: list[Any] = []

    async def one() -> None:
        try:
            found.append((await call()).reveal())
        except QawaitError as error:
            found.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
    return found


async def test_a_token_is_fetched_once_and_kept() -> None:
    """Later calls get the same token without a request."""
    iam = Iam()
    first = await iam.source.token()
    assert await iam.source.token() is first
    assert (first.reveal(), iam.calls) == ("token-1", 1)
    assert iam.paths == {"https://iam.test/identity/token"}


async def test_a_thousand_first_calls_make_one_request() -> None:
    """Callers who come while the token is fetched share it."""
    iam = Iam(delay=0.02)
    assert await outcomes(1000, iam.source.token) == ["token-1"] * 1000
    assert iam.calls == 1


async def test_a_thousand_refused_calls_make_one_request() -> None:
    """Callers whose token was refused together share its renewal."""
    iam = Iam(delay=0.02)
    stale = await iam.source.token()
    assert await outcomes(1000, lambda: iam.source.renew(stale)) == ["token-2"] * 1000
    assert iam.calls == 2


async def test_a_token_that_comes_back_the_same_is_still_one_request() -> None:
    """IAM may give an equal token: the waiting callers do not each ask again."""
    iam = Iam(delay=0.01)
    iam.fault = lambda: httpx.Response(200, json={"access_token": "same", "expires_in": 60})
    stale = await iam.source.token()
    assert await outcomes(100, lambda: iam.source.renew(stale)) == ["same"] * 100
    assert iam.calls == 2


async def test_a_token_refused_right_after_its_renewal_is_not_renewed_again() -> None:
    """A service that refuses every token does not turn each call into one to IAM."""
    iam = Iam()
    fresh = await iam.source.renew(await iam.source.token())
    assert await iam.source.renew(fresh) is fresh
    assert iam.calls == 2
    iam.now += 6
    assert (await iam.source.renew(fresh)).reveal() == "token-3"


@pytest.mark.parametrize(
    ("life", "age", "calls"), [(3600, 2879, 1), (3600, 2881, 2), (20, 15, 1), (20, 17, 2)]
)
async def test_a_token_is_renewed_at_80_percent_of_its_life(
    life: float, age: float, calls: int
) -> None:
    """By the monotonic clock, counted from before the request."""
    iam = Iam(life=life)
    await iam.source.token()
    iam.now += age
    assert (await iam.source.token()).reveal() == f"token-{calls}"


async def test_while_one_caller_renews_the_others_use_the_old_token() -> None:
    """Nobody waits for IAM while the old token is good."""
    iam = Iam()
    await iam.source.token()
    iam.now += 3000
    iam.delay = 0.05
    assert sorted(await outcomes(50, iam.source.token)) == ["token-1"] * 49 + ["token-2"]


@pytest.mark.parametrize("fault", [unreachable, refused(500), refused(429), refused(400)])
async def test_a_live_token_outlasts_an_outage_of_iam(fault: Callable[[], httpx.Response]) -> None:
    """The old token is used to its end, IAM is asked every few seconds, then it is over."""
    iam = Iam()
    await iam.source.token()
    iam.now += 3000
    iam.fault = fault
    for _ in range(100):
        assert (await iam.source.token()).reveal() == "token-1"
    assert iam.calls == 2
    iam.now += 6
    await iam.source.token()
    assert iam.calls == 3
    iam.now += 600
    with pytest.raises(QawaitError):
        await iam.source.token()
    iam.fault = None
    assert (await iam.source.token()).reveal() == f"token-{iam.calls}"


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refused_key_is_an_auth_error(status: int) -> None:
    """IAM's own code and words are in it, the key is not."""
    iam = Iam()
    iam.fault = refused(status)
    with pytest.raises(AuthError) as caught:
        await iam.source.token()
    assert (caught.value.status, caught.value.code) == (status, "BXNIM0415E")
    assert "Provided API key could not be found." in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        unreachable,
        refused(500),
        refused(503),
        lambda: httpx.Response(200, text="<html>", headers={"content-type": "text/html"}),
        lambda: httpx.Response(200, content=b"{"),
        lambda: httpx.Response(200, json={"expires_in": 60}),
        lambda: httpx.Response(302, headers={"location": "https://evil.test"}),
    ],
)
async def test_without_a_token_nothing_was_sent(fault: Callable[[], httpx.Response]) -> None:
    """Whatever ails IAM, the service has seen nothing: the call may be repeated."""
    iam = Iam()
    iam.fault = fault
    with pytest.raises(NotSentError):
        await iam.source.token()


async def test_throttling_by_iam_says_how_long_to_wait() -> None:
    """429 is passed on with its hint."""
    iam = Iam()
    iam.fault = lambda: httpx.Response(429, headers={"retry-after": "7"})
    with pytest.raises(ThrottledError) as caught:
        await iam.source.token()
    assert caught.value.retry_after == 7


async def test_many_callers_share_one_failure() -> None:
    """An outage is not multiplied by those who wait, and each gets an exception of its own."""
    iam = Iam(delay=0.02)
    iam.fault = refused()
    found = await outcomes(200, iam.source.token)
    assert iam.calls == 1
    assert {type(error) for error in found} == {AuthError}
    assert len({id(error) for error in found}) == 200
    assert {error.code for error in found} == {"BXNIM0415E"}


@pytest.mark.virtual
async def test_a_cancelled_refresher_does_not_fail_the_others() -> None:
    """The next in line asks IAM in its place."""
    iam = Iam(delay=5)
    found: list[str] = []

    async def wait() -> None:
        found.append((await iam.source.token()).reveal())

    async with anyio.create_task_group() as group:
        with anyio.move_on_after(2):
            async with anyio.create_task_group() as refreshing:
                refreshing.start_soon(iam.source.token)
                await anyio.sleep(1)
                for _ in range(10):
                    group.start_soon(wait)
    assert found == ["token-2"] * 10
    assert iam.calls == 2


async def test_the_source_and_its_account_show_nothing() -> None:
    """Neither key nor token is in a repr."""
    iam = Iam()
    await iam.source.token()
    text = f"{iam.source!r}{ACCOUNT!r}{json.dumps(str(vars(iam.source)))}"
    assert "canary" not in text
    assert "token-1" not in text
