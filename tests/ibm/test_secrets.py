"""A key or token is in no log, repr, exception or traceback with locals, whatever fails."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

import anyio
import pytest

from qawait.errors import QawaitError
from qawait.ibm.account import Account
from qawait.ibm.service import IBMService
from qawait.secret import Secret
from support.leaks import shown
from support.tcp import answer, read_request, reset, tcp_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

KEY = "canary-key-0123456789"
TOKEN = "canary-token-0123456789"
CANARY = re.compile("canary-(key|token)")
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1:2::"
GRANT = json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()
ECHO = f"<html>{TOKEN} {KEY} Authorization: Bearer {TOKEN}</html>".encode()

IAM_FAULTS: dict[str, bytes | None] = {
    "": answer(GRANT),
    "refused": answer(b'{"errorCode":"X","errorMessage":"' + KEY.encode() + b'"}', status="400 No"),
    "down": answer(ECHO, status="503 Down"),
    "cut": answer(GRANT, length=len(GRANT) + 1),
    "malformed": answer(GRANT[:-1]),
    "twice": answer(GRANT[:-1] + b',"expires_in":1}'),
    "no life": answer(json.dumps({"access_token": TOKEN}).encode()),
    "not a header": answer(json.dumps({"access_token": TOKEN + "\r\n", "expires_in": 9}).encode()),
    "list": answer(b"[" + GRANT + b"]"),
    "html": answer(ECHO, headers=("Content-Type: text/html",)),
    "no gzip": answer(GRANT, headers=("Content-Encoding: gzip",)),
    "redirect": answer(ECHO, status="307 Go", headers=("Location: http://127.0.0.1:1/",)),
    "reset": None,
}
API_FAULTS: dict[str, bytes | None] = {
    "": answer(b"{}"),
    "refused": answer(ECHO, status="400 No"),
    "unauthorised": answer(ECHO, status="401 No"),
    "down": answer(ECHO, status="503 Down"),
    "html": answer(ECHO, headers=("Content-Type: text/html",)),
    "text": answer(ECHO),
    "cut": answer(ECHO, length=len(ECHO) + 1),
    "no HTTP": ECHO,
    "redirect": answer(ECHO, status="307 Go", headers=("Location: http://127.0.0.1:1/",)),
    "reset": None,
}


def account(origin: str) -> Account:
    """Return an account on a local server."""
    return Account(token=Secret(KEY), instance=CRN, url=f"{origin}/api/v1", iam_url=origin)


def server(iam: str = "", api: str = "") -> Callable[[SocketStream], Awaitable[None]]:
    """Fail so at IAM's path and at all others; `None` resets the connection."""

    async def handler(stream: SocketStream) -> None:
        while True:
            at_iam = b" /identity/token" in await read_request(stream)
            said = IAM_FAULTS[iam] if at_iam else API_FAULTS[api]
            if said is None:
                await reset(stream)
                return
            await stream.send(said)
            if iam or api:
                return

    return handler


async def failure(*, iam: str = "", api: str = "") -> BaseException:
    """Return the error of one call to such a server."""
    async with tcp_server(server(iam, api)) as origin:
        ibm = IBMService(account(origin))
        with pytest.raises(QawaitError) as caught:
            await ibm.fetch("job-1")
        assert not CANARY.search(f"{ibm!r}{vars(ibm)!r}{vars(ibm.tokens)!r}")
        await ibm.aclose()
    return caught.value


@pytest.mark.parametrize("fault", sorted(IAM_FAULTS)[1:])
async def test_a_fault_at_iam_shows_no_key(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not even if IAM repeats what it was sent, or answers with a broken token."""
    caplog.set_level(logging.DEBUG)
    error = await failure(iam=fault)
    assert not CANARY.search(shown(error))
    assert not CANARY.search(caplog.text)


@pytest.mark.parametrize("fault", sorted(API_FAULTS)[1:])
async def test_a_fault_at_the_api_shows_no_token(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even if the service repeats what it was sent."""
    caplog.set_level(logging.DEBUG)
    error = await failure(api=fault)
    assert not CANARY.search(shown(error))
    assert not CANARY.search(caplog.text)


async def test_a_service_that_is_gone_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Connections that never stood are the easy case."""
    caplog.set_level(logging.DEBUG)
    ibm = IBMService(account("http://127.0.0.1:9"))
    with pytest.raises(QawaitError) as caught:
        await ibm.usage()
    await ibm.aclose()
    assert not CANARY.search(shown(caught.value))
    assert not CANARY.search(caplog.text)


async def test_a_call_that_works_logs_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, with every library's logger on."""
    caplog.set_level(logging.DEBUG)
    async with tcp_server(server()) as origin:
        ibm = IBMService(account(origin))
        assert await ibm.usage() == {}
        await ibm.aclose()
    assert "qawait" in caplog.text
    assert not CANARY.search(caplog.text)


@pytest.mark.parametrize("silent", ["iam", "api"])
async def test_a_cancelled_call_shows_nothing(silent: str) -> None:
    """The frames of a cancellation end where the HTTP client begins."""

    async def handler(stream: SocketStream) -> None:
        while True:
            at_iam = b" /identity/token" in await read_request(stream)
            if at_iam == (silent == "iam"):
                await anyio.sleep_forever()
            await stream.send(answer(GRANT))

    caught: list[BaseException] = []
    async with tcp_server(handler) as origin:
        ibm = IBMService(account(origin))

        async def call() -> None:
            try:
                await ibm.usage()
            except BaseException as error:
                caught.append(error)
                raise

        with anyio.move_on_after(0.1):
            await call()
        await ibm.aclose()
    assert isinstance(caught[0], anyio.get_cancelled_exc_class())
    text = shown(caught[0])
    assert "test_secrets" in text
    assert "ibm/connection" not in text
    assert not CANARY.search(text)


async def test_the_looking_glass_works() -> None:
    """The helper of these tests does find a secret in the locals of a frame."""
    plain = f"Bearer {TOKEN}"
    with pytest.raises(QawaitError) as caught:
        raise QawaitError("x" * len(plain))
    assert CANARY.search(shown(caught.value))
