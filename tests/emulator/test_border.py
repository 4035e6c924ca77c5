from __future__ import annotations

import socket

import pytest

from qawait.emulator.border import classify
from qawait.emulator.server import bind
from support.emulated import BASE, Api, exchange, submit_body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1:1"])
def test_foreign_host_gets_421(api: Api, host: str) -> None:
    """A request addressed to another host, as after DNS rebinding, is misdirected."""
    assert api.ask("GET", "/jobs", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "[::1]:80", "[::1]", "LOCALHOST"])
def test_loopback_hosts_are_let_in(api: Api, host: str) -> None:
    """Every way to write a loopback address is accepted."""
    assert api.ask("GET", "/jobs", headers={"Host": host}).status == 200


@pytest.mark.parametrize("path", [f"{BASE}/jobs", "/_emulator/ledger", "/identity/token"])
def test_web_pages_are_refused(api: Api, path: str) -> None:
    """A request with an Origin comes from a browser, and is refused everywhere."""
    headers = {**api.credentials(), "Origin": "http://127.0.0.1"}
    assert api.raw("GET", path, headers=headers).status == 403


def test_strangers_are_not_in_the_ledger(api: Api) -> None:
    """What is refused at the border never reached the service."""
    api.ask("GET", "/jobs", headers={"Origin": "http://evil.example"})
    assert api.emu.ledger(route="/jobs") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example"])
def test_only_loopback_is_bound(host: str) -> None:
    """The emulator cannot be made to listen to the network."""
    with pytest.raises(ValueError, match="loopback"):
        bind(host, 0)


def test_both_base_paths_are_served(api: Api) -> None:
    """The API is below `/api/v1` and below `/experimental/api/v1`."""
    job_id = api.submit()
    for base in ("/api/v1", "/experimental/api/v1"):
        reply = api.raw("GET", f"{base}/jobs/{job_id}", headers=api.credentials())
        assert reply.json["id"] == job_id


def test_unknown_path_and_method_get_documented_errors(api: Api) -> None:
    """Even what does not exist is answered in the documented shape."""
    assert (api.ask("GET", "/nonsense").status, api.ask("GET", "/nonsense").code) == (404, 404)
    assert api.ask("PATCH", "/jobs").status == 405


@pytest.mark.parametrize(
    ("path", "route", "job_id"),
    [
        ("/experimental/api/v1/jobs", "/jobs", None),
        ("/api/v1/jobs/abc", "/jobs/{id}", "abc"),
        ("/api/v1/jobs/abc/cancel", "/jobs/{id}/cancel", "abc"),
        ("/api/v1/backends/ibm_fez/status", "/backends/{name}/status", None),
        ("/api/v1/sessions/s1/close", "/sessions/{id}/close", None),
        ("/identity/token", "/identity/token", None),
        ("/", "/", None),
        ("*", "*", None),
    ],
)
def test_paths_are_classified(path: str, route: str, job_id: str | None) -> None:
    """A path is known by its template, and by the job it is about."""
    assert classify(path)[1:] == (route, job_id)


def test_too_large_body_gets_413(api: Api) -> None:
    """A body beyond the limit is refused, and the service goes on."""
    padding = "x" * (65 * 1024 * 1024)
    reply = api.ask("POST", "/jobs", submit_body(tags=[padding]))
    assert reply.status == 413
    assert api.ask("GET", "/jobs").json["count"] == 0


@pytest.mark.parametrize(
    "body", ["[" * 200_000, '{"params":' * 100_000, "nonsense", "[]", '{"a":', "\x00"]
)
def test_strange_json_is_refused(api: Api, body: str) -> None:
    """JSON that is broken, no object or endlessly nested is answered 400."""
    assert (api.ask("POST", "/jobs", body).status, api.ask("POST", "/jobs", body).code) == (
        400,
        1208,
    )


def raw_request(api: Api, method: str, path: str) -> bytes:
    """Return the bytes of a request that closes the connection."""
    headers = {"Host": "127.0.0.1", "Connection": "close", **api.credentials()}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {BASE}{path} HTTP/1.1", *lines, "", ""]).encode()


def test_204_has_neither_body_nor_length(api: Api) -> None:
    """On the wire a 204 is a status line and headers, without framing, and nothing more."""
    job_id = api.submit()
    api.emu.wait_for(job_id, "Completed")
    answer = exchange(api.emu, raw_request(api, "DELETE", f"/jobs/{job_id}"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 No Content")
    assert body == b""
    assert b"content-length" not in head.lower()
    assert b"transfer-encoding" not in head.lower()


def test_headers_and_body_come_in_one_write(api: Api) -> None:
    """A small answer is one packet: the first read brings all of it."""
    request = raw_request(api, "GET", "/jobs").replace(b"Connection: close\r\n", b"")
    with socket.create_connection((api.emu.host, api.emu.port), timeout=5) as sock:
        for _ in range(20):
            sock.sendall(request)
            assert sock.recv(65_536).endswith(b'"offset":0}')
