"""What is sent, where to, and what is read: over mocked connections."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import httpx
import pytest
import respx

from qawait.errors import ConfigError, NotSentError, ProtocolError, UnknownOutcomeError
from qawait.ibm.transport import Transport, trusting
from qawait.ibm.wire import Reply, Request
from qawait.secret import Secret
from support.mocked import mockable

pytestmark = pytest.mark.anyio

BASE = "https://api.test/base/v1"


def get(path: str = "/x", **fields: Any) -> Request:
    """Return a request."""
    return Request(**{"name": "GET /x", "method": "GET", "path": path} | fields)


async def send(request: Request, headers: dict[str, Any] | None = None, **options: Any) -> Reply:
    """Send one request through a transport of its own."""
    transport = Transport(BASE, **{"transport": mockable()} | options)
    try:
        return await transport.send(request, headers or {})
    finally:
        await transport.aclose()


@respx.mock
async def test_a_request_is_sent_below_the_base() -> None:
    """Path and query are put together and encoded; headers and body arrive."""
    route = respx.put("https://api.test/base/v1/x").respond(200, json={"a": 1})
    request = get(
        method="PUT",
        query=(("t", "a b"), ("t", "c+d"), ("z", "2026-01-01T00:00:00+01:00")),
        body=b"{}",
        content_type="application/json",
    )
    reply = await send(request, {"Service-CRN": "crn", "Authorization": Secret("Bearer t")})
    sent = route.calls.last.request
    assert (reply.status, json.loads(reply.body)) == (200, {"a": 1})
    assert sent.url.raw_path == (b"/base/v1/x?t=a%20b&t=c%2Bd&z=2026-01-01T00%3A00%3A00%2B01%3A00")
    assert sent.content == b"{}"
    expected = {
        "host": "api.test",
        "service-crn": "crn",
        "authorization": "Bearer t",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": "2",
    }
    assert dict(sent.headers) == expected


@respx.mock
async def test_a_get_has_no_body_and_a_bare_post_a_length_of_zero() -> None:
    """Servers that insist on a length get one."""
    route = respx.route().respond(204)
    await send(get(accept=None))
    assert set(route.calls.last.request.headers) == {"host", "accept-encoding"}
    await send(get(method="POST", accept=None))
    assert route.calls.last.request.headers["content-length"] == "0"


@respx.mock
async def test_a_compressed_answer_is_unpacked() -> None:
    """Gzip is undone here, not by httpx."""
    packed = gzip.compress(b'{"a":1}')
    respx.get().respond(200, content=packed, headers={"content-encoding": "gzip"})
    assert (await send(get())).body == b'{"a":1}'


@respx.mock
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
async def test_no_redirect_is_followed(status: int) -> None:
    """The answer is an error, and the other host sees nothing."""
    respx.post("https://api.test/base/v1/x").respond(
        status, headers={"location": "https://evil.test/"}
    )
    evil = respx.route(host="evil.test").respond(200, json={})
    secret = {"Authorization": Secret("Bearer t"), "Service-CRN": "crn"}
    with pytest.raises(ProtocolError):
        await send(get(method="POST", body=Secret("apikey=k")), secret)
    assert not evil.called


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "//evil.test/x",
        "/../../x",
        "/x/..",
        "/x?y",
        "/x#y",
        "/x y",
        "/x\r\nHost: evil",
        "@evil.test",
        "https://evil.test/x",
        "/é",
        "\\\\evil.test",
    ],
)
async def test_a_path_cannot_leave_the_base(path: str) -> None:
    """Whatever a path holds, the request goes to the base's origin or nowhere."""
    with respx.mock(assert_all_called=False) as router:
        route = router.route().respond(200, json={})
        with pytest.raises(ConfigError):
            await send(get(path))
        assert not route.called


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (httpx.ConnectError("refused"), NotSentError),
        (httpx.ConnectTimeout("slow"), NotSentError),
        (httpx.PoolTimeout("full"), NotSentError),
        (httpx.ProxyError("407 Proxy Authentication Required"), NotSentError),
        (httpx.UnsupportedProtocol("x"), NotSentError),
        (httpx.ReadError("reset"), UnknownOutcomeError),
        (httpx.ReadTimeout("slow"), UnknownOutcomeError),
        (httpx.WriteError("broken"), UnknownOutcomeError),
        (httpx.WriteTimeout("slow"), UnknownOutcomeError),
        (httpx.CloseError("x"), UnknownOutcomeError),
        (httpx.RemoteProtocolError("Server disconnected"), UnknownOutcomeError),
        (httpx.RemoteProtocolError("illegal status line"), ProtocolError),
        (OSError("what"), UnknownOutcomeError),
        (RuntimeError("what"), UnknownOutcomeError),
    ],
)
@pytest.mark.parametrize("mocked", [False, True], ids=["injected", "respx"])
async def test_verdicts(fault: Exception, verdict: type[Exception], mocked: bool) -> None:  # noqa: FBT001 - a parameter
    """Not sent only where that is certain; all else is unknown or malformed."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise fault

    options: dict[str, Any] = {} if mocked else {"transport": httpx.MockTransport(fail)}
    with respx.mock(assert_all_called=False) as router, pytest.raises(verdict) as caught:
        router.route().mock(side_effect=fault)
        await send(get(method="POST"), **options)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_our_own_logs_hold_templates_only(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each call: name, status, seconds; no path, query, header or body."""
    caplog.set_level(logging.DEBUG)
    request = get("/jobs/canary-id", name="GET /jobs/{id}", query=(("q", "canary-query"),))
    with respx.mock:
        respx.route().respond(200, text="canary-body", headers={"x": "canary-header"})
        await send(request, {"Service-CRN": "canary-crn"})
    own = [record.getMessage() for record in caplog.records if record.name.startswith("qawait")]
    assert len(own) == 1
    assert own[0].startswith("GET /jobs/{id}: 200 after ")
    assert "canary" not in caplog.text


async def test_cookies_are_not_kept() -> None:
    """A cookie of one answer does not come back with the next request."""
    with respx.mock:
        route = respx.route().respond(204, headers={"set-cookie": "a=b"})
        transport = Transport(BASE, transport=mockable())
        await transport.send(get(), {})
        await transport.send(get(), {})
        await transport.aclose()
    assert "cookie" not in route.calls.last.request.headers


def test_a_file_of_certificates_that_is_missing_is_refused() -> None:
    """The error names the file."""
    with pytest.raises(ConfigError, match=r"/nowhere\.pem"):
        trusting("/nowhere.pem")


def test_a_transport_shows_its_host_only() -> None:
    """Neither path nor proxy is in the repr."""
    proxy = Secret("http://u:canary@127.0.0.1:9")
    assert repr(Transport(BASE, proxy=proxy)) == "<Transport api.test>"
