"""HTTP/1.1 by the letter: what is read, what is refused, and where an answer ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm import http1
from qawait.ibm.http1 import MalformedError

BODY = b"0123456789" * 5


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> http1.Head:
    """Return what a head with these lines means."""
    return http1.read_head("\r\n".join((status, *lines, "", "")).encode("latin-1"))


def read(framing: http1.Framing, data: bytes, cuts: list[int]) -> bytes:
    """Return the body in bytes that come in pieces."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = b""
    for start, end in pairwise(places):
        if not framing.done:
            found += b"".join(framing.take(data[start:end]))
    return found


def chunked(*sizes: int, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return `BODY` in chunks of these sizes, and the rest of it in one."""
    parts, rest = [], BODY
    for size in (*sizes, len(BODY)):
        part, rest = rest[:size], rest[size:]
        if part:
            parts.append(b"%X\r\n%s\r\n" % (len(part), part))
    return b"".join(parts) + end


def test_a_head_is_read() -> None:
    """Names are in lower case, values without the space around, equal names joined."""
    found = head("Content-Length: 5", "X-A:\tb \t", "x-a: c", "Empty:")
    assert (found.status, found.length, found.reusable) == (200, 5, True)
    assert found.headers == {"content-length": "5", "x-a": "b, c", "empty": ""}


@pytest.mark.parametrize("status", ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 599 Gr\xfc\xdfe"])
def test_a_reason_may_be_missing_or_strange(status: str) -> None:
    """Only the number counts."""
    assert head(status=status).status in {200, 599}


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(("A: b", " c"), id="folded"),
        pytest.param(("A: b", "\tc"), id="folded by a tab"),
        pytest.param((" A: b",), id="space at the start"),
        pytest.param(("A : b",), id="space before the colon"),
        pytest.param(("A",), id="no colon"),
        pytest.param((": b",), id="no name"),
        pytest.param(("A: b\nC: d",), id="bare LF"),
        pytest.param(("A: b\rC: d",), id="bare CR"),
        pytest.param(("A: b\0",), id="NUL"),
        pytest.param(("\xe9: b",), id="strange name"),
        pytest.param(("Content-Length: 5", "Content-Length: 6"), id="two lengths"),
        pytest.param(("Content-Length: 5", "Content-Length: 5"), id="one length twice"),
        pytest.param(("Content-Length: 5, 5",), id="list of lengths"),
        pytest.param(("Content-Length: -5",), id="negative length"),
        pytest.param(("Content-Length: +5",), id="signed length"),
        pytest.param(("Content-Length: 0x5",), id="hexadecimal length"),
        pytest.param(("Content-Length: 5_0",), id="length as in Python"),
        pytest.param(("Content-Length: \xb2",), id="superscript length"),
        pytest.param(("Content-Length:",), id="empty length"),
        pytest.param(("Content-Length: " + "9" * 19,), id="endless length"),
        pytest.param(("Content-Length: 5", "Transfer-Encoding: chunked"), id="length and chunks"),
        pytest.param(("Transfer-Encoding: gzip, chunked",), id="stacked encodings"),
        pytest.param(("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), id="twice"),
        pytest.param(("Transfer-Encoding: identity",), id="identity"),
        pytest.param(("Transfer-Encoding: \x0bchunked",), id="vertical tab"),
    ],
)
def test_an_ambiguous_head_is_refused(lines: tuple[str, ...]) -> None:
    """What two readers could take for two things is none."""
    with pytest.raises(MalformedError):
        head(*lines)


@pytest.mark.parametrize(
    "status", ["HTTP/2 200", "HTTP/1.2 200", "HTTP/1.1  200", "HTTP/1.1 20", "HTTP/1.1 2000", "x"]
)
def test_another_status_line_is_refused(status: str) -> None:
    """Version and number stand where they have to."""
    with pytest.raises(MalformedError):
        head(status=status)


@pytest.mark.parametrize("data", [b"S", b"SSH-2.0", b"HTTP/2", b"\r\nHTTP/1.1 200", b"\x15\x03"])
def test_what_is_not_http_is_refused_at_once(data: bytes) -> None:
    """No more of it is waited for."""
    with pytest.raises(MalformedError):
        http1.find_head(data)


def test_a_head_is_bounded() -> None:
    """Neither an endless head nor one that came at once is taken."""
    for end in (b"", b"\r\n\r\n"):
        with pytest.raises(MalformedError):
            http1.find_head(b"HTTP/1.1 200 OK\r\nA: " + b"x" * limits.HEAD_BYTES + end)


def test_the_end_of_a_head_is_found_however_it_comes() -> None:
    """Byte for byte, and with a body behind it."""
    data = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    for cut in range(len(data)):
        assert http1.find_head(data[:cut], max(0, cut - 1)) == -1
    assert http1.find_head(data + BODY, len(data) - 1) == len(data)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: 5", "Connection: keep-alive, Close"), "HTTP/1.1 200"),
        (("Content-Length: 5",), "HTTP/1.0 200"),
        ((), "HTTP/1.1 200"),
        (("Content-Length: 5",), "HTTP/1.1 204"),
        (("Transfer-Encoding: chunked",), "HTTP/1.1 204"),
    ],
)
def test_a_connection_of_doubtful_use_is_not_used_again(
    lines: tuple[str, ...], status: str
) -> None:
    """It closes, or it is not clear where the next answer would begin."""
    assert not head(*lines, status=status).reusable


def test_an_answer_without_a_body_has_none() -> None:
    """204 ends with its head and leaves the connection usable."""
    found = head(status="HTTP/1.1 204 No Content")
    assert found.reusable
    assert http1.framing(found).done


@given(st.lists(st.integers(0, 60), max_size=6), st.lists(st.integers(0, 1000), max_size=8))
def test_chunks_are_put_together(sizes: list[int], cuts: list[int]) -> None:
    """However a body is cut into chunks, and these into pieces."""
    framing = http1.framing(head("Transfer-Encoding: Chunked"))
    data = chunked(*(size for size in sizes if size), end=b"000;a=b\r\nX: y\r\n\r\n")
    assert read(framing, data, cuts) == BODY
    assert framing.done
    assert not framing.extra


@given(st.integers(0, 1000), st.lists(st.integers(0, 1000), max_size=4))
def test_a_body_that_is_cut_short_is_never_whole(cut: int, cuts: list[int]) -> None:
    """By length or by chunks, the end of the connection is noticed."""
    for lines, data in (
        ("Transfer-Encoding: chunked", chunked(7, 9)),
        (f"Content-Length: {len(BODY)}", BODY),
    ):
        framing = http1.framing(head(lines))
        read(framing, data[: cut % len(data)], cuts)
        assert not framing.done
        with pytest.raises(MalformedError):
            framing.end()


@pytest.mark.parametrize("line", ["Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"])
def test_what_follows_a_body_is_noticed(line: str) -> None:
    """It is no part of the body, and the connection has to go."""
    framing = http1.framing(head(line))
    whole = chunked(5) if "chunked" in line else BODY
    assert b"".join(framing.take(whole + b"HTTP/1.1 200 OK\r\n")) == BODY
    assert framing.extra


@pytest.mark.parametrize(
    "data",
    [
        b"5\n01234\r\n",
        b"5\r\n0123456",
        b"5\r\n01234\n",
        b" 5\r\n",
        b"-5\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"\r\n",
        b"g\r\n",
        b"1" * 16 + b"\r\n",
        b"5;" + b"x" * 2000,
        b"5;\0\r\n",
        b"0\r\nfolded\r\n\r\n",
        b"0\r\n A: b\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 20_000,
    ],
)
def test_malformed_chunks_are_refused(data: bytes) -> None:
    """Sizes, ends of lines and trailers are as they have to be, and bounded."""
    with pytest.raises(MalformedError):
        http1.framing(head("Transfer-Encoding: chunked")).take(data)


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """As the refusals of old proxies do."""
    framing = http1.framing(head())
    assert framing.take(b"a") + framing.take(b"b") == [b"a", b"b"]
    framing.end()
    assert framing.done


@pytest.mark.parametrize(
    "value", ["a\r\nX: canary", "a\n", "a\0", "canary ", " canary", "€", "\x7f"]
)
def test_a_value_that_could_end_its_line_is_not_sent(value: str) -> None:
    """The error names the header, not its value."""
    with pytest.raises(ConfigError, match="'Authorization'") as caught:
        http1.write_fields([("Authorization", value)])
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb"])
def test_a_name_that_is_none_is_not_sent(name: str) -> None:
    """Names are tokens."""
    with pytest.raises(ConfigError):
        http1.write_fields([(name, "x")])
