"""JSON that Python's parser takes and this one does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.errors import ProtocolError, QawaitError
from qawait.ibm.wire import Reply, Request, backends, iam, jobs
from qawait.ibm.wire.reading import decode, json_of, object_of, scrub
from qawait.ibm.wire.refusals import retry_after
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = Request(name="GET /x", method="GET", path="/x")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1,"a":2}',
        b'{"x":[{"a":1,"a":1}]}',
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"[" * 101 + b"]" * 101,
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":1',
        b'{"a":1}x',
        b"",
        b" ",
        b"<html></html>",
        b"9" * 5_000,
    ],
)
def test_json_that_is_not_strict_is_refused(body: bytes) -> None:
    """Each is a protocol error, and none a recursion or value error."""
    with pytest.raises(ProtocolError):
        json_of(Reply(status=200, body=body), ASKED)


def test_the_deepest_json_that_is_taken() -> None:
    """The limit itself is within it."""
    depth = limits.JSON_DEPTH
    assert decode(b"[" * depth + b"]" * depth)[1] is None
    assert decode(b"[" * (depth + 1) + b"]" * (depth + 1))[1] is not None


@pytest.mark.parametrize(
    ("media", "accepted"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("", True),
        ("text/html", False),
        ("text/plain", False),
        ("application/jsonx", False),
    ],
)
def test_the_content_type_must_be_json_or_absent(media: str, accepted: bool) -> None:  # noqa: FBT001 - a parameter
    """A page of a proxy is not looked into."""
    answer = Reply(status=200, body=b"{}", headers={"content-type": media} if media else {})
    if accepted:
        assert object_of(answer, ASKED) == {}
    else:
        with pytest.raises(ProtocolError):
            object_of(answer, ASKED)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"'])
def test_an_object_must_be_one(body: bytes) -> None:
    """Other JSON is malformed here."""
    with pytest.raises(ProtocolError):
        object_of(Reply(status=200, body=body), ASKED)


def test_an_excerpt_is_short_and_harmless() -> None:
    """No control character, no escape, no more than the limit."""
    text = scrub(b"a\x1b[31m\x00\xff\r\n" + b"x" * 1_000)
    assert len(text.encode()) <= limits.ERROR_EXCERPT_BYTES
    assert not any(ord(character) < 32 and character != "\n" for character in text)


PARSERS: list[Callable[[Reply], object]] = [
    lambda reply: jobs.parse_created(reply, ASKED),
    lambda reply: jobs.parse_job(reply, ASKED),
    lambda reply: jobs.parse_jobs(reply, ASKED),
    lambda reply: jobs.parse_cancel(reply, ASKED),
    lambda reply: jobs.parse_results(reply, ASKED),
    lambda reply: jobs.parse_failure_text(reply, ASKED),
    lambda reply: jobs.parse_logs(reply, ASKED),
    lambda reply: jobs.parse_object(reply, ASKED),
    lambda reply: backends.parse_listing(reply, ASKED),
    lambda reply: backends.parse_properties(reply, ASKED),
    lambda reply: iam.parse(reply, ASKED, api_key=Secret("k")),
]

KEYS = [
    "id",
    "state",
    "status",
    "jobs",
    "devices",
    "name",
    "errors",
    "code",
    "message",
    "access_token",
    "expires_in",
    "expiration",
    "reason_code",
    "tags",
    "trace",
    "usage",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    status=st.sampled_from([200, 204, 400, 401, 404, 429, 500]),
    body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_body_gives_a_value_or_an_error_of_ours(status: int, body: bytes) -> None:
    """Whatever comes, nothing but a `QawaitError` escapes from any parser."""
    for parse in PARSERS:
        try:
            parse(Reply(status=status, body=body, at=1.0))
        except QawaitError as error:
            assert str(error).isprintable()  # noqa: PT017 - a value is as good


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_retry_after_gives_a_bounded_wait(hint: str, date: str) -> None:
    """No spelling gives an exception, a negative, or an endless wait."""
    wait = retry_after(Reply(status=429, headers={"retry-after": hint, "date": date}, at=0.0))
    assert wait is None or 0 <= wait <= limits.RETRY_AFTER_CAP_SECONDS
