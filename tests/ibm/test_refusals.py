"""Every status with every kind of error body, and how long to wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qawait.errors import AuthError, ProtocolError, RejectedError, ThrottledError
from qawait.ibm.wire import Reply, Request
from qawait.ibm.wire.refusals import expect, refusal, retry_after
from qawait.secret import Secret
from support.recorded import exchanges

ASKED = Request(name="GET /jobs/{id}", method="GET", path="/jobs/secret-id")
STATUSES = (400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504, 520, 521, 522, 524)
NOW = "Fri, 20 Nov 2026 07:00:00 GMT"

BODIES: dict[str, tuple[bytes, int | str | None, str]] = {
    "container": (
        b'{"errors":[{"code":1291,"message":"Job not found.","solution":"Look."}],"trace":"abc"}',
        1291,
        "Job not found.",
    ),
    "bare": (b'{"errors":[{"message":"no"}]}', None, "no"),
    "word": (b'{"errors":[{"code":"not_found","message":"no"}]}', "not_found", "no"),
    "digits": (b'{"errors":[{"code":"1291","message":"no"}]}', 1291, "no"),
    "strings": (b'{"errors":["no"]}', None, "no"),
    "single": (b'{"error":{"code":7,"message":"no"}}', 7, "no"),
    "plain": (b'{"code":7,"message":"no","trace":"abc"}', 7, "no"),
    "iam": (b'{"errorCode":"BXNIM0415E","errorMessage":"No key."}', "BXNIM0415E", "No key."),
    "odd": (b'{"errors":[{"code":[],"message":{}}],"trace":5}', None, "status"),
    "empty list": (b'{"errors":[]}', None, "status"),
    "html": (b"<html><h1>403 Forbidden</h1>cloudflare</html>", None, "cloudflare"),
    "text": (b"no healthy upstream", None, "upstream"),
    "empty": (b"", None, "status"),
    "binary": (b"\xff\x00\x1b[2J\xfe", None, "status"),
}


def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
    """Return a refusal; underscores in header names stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=body, headers=named)


def coded(status: int, code: object) -> Reply:
    """Return a refusal with a code."""
    return answer(status, json.dumps({"errors": [{"code": code, "message": "m"}]}).encode())


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", BODIES)
def test_every_status_with_every_body(status: int, kind: str) -> None:
    """Each gives one refusal with status, code, request and a short printable text."""
    body, code, said = BODIES[kind]
    with pytest.raises(RejectedError) as caught:
        expect(answer(status, body), ASKED)
    error = caught.value
    assert (error.status, error.code, error.request) == (status, code, ASKED.name)
    assert said in error.message
    assert error.message.isprintable()
    assert len(error.message) < 400
    assert isinstance(error, AuthError) == (status == 401)
    assert isinstance(error, ThrottledError) == (status == 429)


def test_solution_and_trace_are_kept() -> None:
    """What IBM's support asks for is in the error."""
    error = refusal(answer(404, BODIES["container"][0]), ASKED)
    assert (error.solution, error.trace) == ("Look.", "abc")


def test_iam_s_request_id_is_the_trace() -> None:
    """IAM names its trace otherwise."""
    found = exchanges("14", method="POST", path="/identity/token")[0]
    error = refusal(answer(found.status, found.raw), ASKED)
    assert error.trace == found.received["context"]["requestId"]


def test_every_recorded_refusal_is_read() -> None:
    """Code and message of each are the recorded ones."""
    found = [x for x in exchanges() if x.status >= 400 and "errors" in str(x.received)]
    assert len(found) > 20
    for one in found:
        error = refusal(answer(one.status, one.raw), ASKED)
        assert error.code == one.received["errors"][0]["code"]
        assert one.received["errors"][0]["message"] in error.message


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (coded(403, 1200), AuthError),
        (coded(403, 1201), AuthError),
        (coded(403, "1201"), AuthError),
        (coded(403, 1212), RejectedError),
        (coded(403, None), RejectedError),
        (coded(500, 1201), RejectedError),
        (coded(400, 1202), ThrottledError),
        (coded(503, 1202), ThrottledError),
        (answer(503, retry_after="3"), ThrottledError),
        (answer(400, retry_after="3"), RejectedError),
    ],
)
def test_codes_that_change_what_to_do(reply: Reply, kind: type[RejectedError]) -> None:
    """Credentials and throttling are told apart from other refusals."""
    assert type(refusal(reply, ASKED)) is kind


@pytest.mark.parametrize("status", [100, 201, 206, 301, 304, 600, 999])
def test_a_status_that_means_nothing_here_is_malformed(status: int) -> None:
    """Neither a success that was asked for nor a refusal."""
    with pytest.raises(ProtocolError):
        expect(answer(status), ASKED)


RETRY_TABLE: list[tuple[str, float | None]] = [
    ("0", 0.0),
    ("2", 2.0),
    (" 2 ", 2.0),
    ("1.5", 1.5),
    ("3600", 120.0),
    ("99999999999999999999", None),
    ("-5", None),
    ("nan", None),
    ("inf", None),
    ("1e3", None),
    ("soon", None),
    ("", None),
    ("Fri, 20 Nov 2026 07:00:30 GMT", 30.0),
    ("Fri, 20 Nov 2026 06:00:00 GMT", 0.0),
    ("Sat, 20 Nov 2027 07:00:00 GMT", 120.0),
    ("Fri, 20 Nov 2026 07:00:30 -0000", 30.0),
    ("Friday, 20-Nov-26 07:00:30 GMT", 30.0),
    ("Fri, 99 Nov 2026 07:00:30 GMT", None),
    ("\uff12", None),
]


@pytest.mark.parametrize(("hint", "seconds"), RETRY_TABLE)
def test_retry_after(hint: str, seconds: float | None) -> None:
    """Seconds and dates are read and capped; nonsense is as if absent."""
    assert retry_after(answer(429, retry_after=hint, date=NOW)) == seconds
    error = refusal(answer(429, retry_after=hint, date=NOW), ASKED)
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


def test_a_date_without_the_server_s_own_counts_from_the_arrival() -> None:
    """The server's clock is preferred; ours is what is left."""
    hint = {"retry-after": "Fri, 20 Nov 2026 07:00:30 GMT"}
    at = 1795158000.0  # 07:00:00 of that day
    assert retry_after(Reply(status=429, headers=hint, at=at)) == 30.0
    assert retry_after(Reply(status=429, headers=hint)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<pre>authorization: Bearer canary-token</pre>",
        b"apikey=canary-token&grant_type=x",
        b'{"errors":[{"message":"bad token canary-token"}]}',
        b'{"errors":[{"message":"m","solution":"not canary-token","code":"canary-token"}]}',
        b'{"errors":[{"message":"m"}],"trace":"canary-token"}',
    ],
)
def test_an_echoed_credential_is_not_quoted(body: bytes) -> None:
    """An answer that repeats the token does not get it into an error."""
    error = refusal(answer(400, body), ASKED, hide=(Secret("canary-token"),))
    assert "canary-token" not in f"{error}{vars(error)}"


@pytest.mark.parametrize("size", [100, 10_000, 3_000_000])
def test_a_long_answer_is_quoted_briefly(size: int) -> None:
    """An error stays short whatever the answer's size."""
    words: list[Any] = [b"<" * size, json.dumps({"message": "é" * size}).encode()]
    for body in words:
        assert len(str(refusal(answer(500, body), ASKED)).encode()) < 2_300
