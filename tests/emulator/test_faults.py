from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from qawait.errors import ConfigError
from support.emulated import BASE, Api, Reply, submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator


class Later:
    """A request made by another thread, whose answer is awaited."""

    def __init__(self, emu: Emulator, method: str, path: str) -> None:
        self._api = Api(emu)
        self._api.credentials()
        self.reply: Reply | None = None
        self._thread = threading.Thread(target=self._ask, args=(method, path))
        self._thread.start()

    def _ask(self, method: str, path: str) -> None:
        self.reply = self._api.ask(method, path)
        self._api.close()

    def wait(self) -> Reply:
        """Return the answer once it has come."""
        self._thread.join(10)
        assert self.reply is not None
        return self.reply


def test_fault_before_the_effect_prevents_it(emu: Emulator, api: Api) -> None:
    """A submit that fails before its effect makes no job."""
    emu.route("POST /jobs").fail(503)
    assert api.ask("POST", "/jobs", submit_body()).status == 503
    assert emu.jobs() == []


def test_fault_after_the_effect_hides_it(emu: Emulator, api: Api) -> None:
    """A submit that fails after its effect has made a job that the answer does not name."""
    emu.route("POST /jobs").fail(503, when="after")
    assert api.ask("POST", "/jobs", submit_body()).status == 503
    assert len(emu.jobs()) == 1


def test_fault_skips_then_strikes_some_times(emu: Emulator, api: Api) -> None:
    """A rule passes over `skip` requests, harms `times`, and leaves the rest alone."""
    rule = emu.route("GET /jobs").fail(500, skip=2, times=2)
    statuses = [api.ask("GET", "/jobs").status for _ in range(6)]
    assert statuses == [200, 200, 500, 500, 200, 200]
    assert rule.hits == 2


def test_fault_for_ever_ends_when_removed(emu: Emulator, api: Api) -> None:
    """Without a number of times a rule harms every request until it is taken back."""
    rule = emu.route("GET /jobs").fail(502, times=None)
    assert {api.ask("GET", "/jobs").status for _ in range(5)} == {502}
    rule.remove()
    assert api.ask("GET", "/jobs").status == 200


@pytest.mark.parametrize("pattern", ["GET /jobs/{id}", "* /jobs/{id}", "/jobs/*", "*"])
def test_patterns_select_requests(emu: Emulator, api: Api, pattern: str) -> None:
    """Method and path may have wildcards, and the method may be missing."""
    job_id = api.submit()
    emu.route(pattern).fail(500)
    assert api.ask("GET", f"/jobs/{job_id}").status == 500


def test_rule_can_be_for_one_job(emu: Emulator, api: Api) -> None:
    """A rule with a job id harms requests about that job only."""
    one, other = api.submit(), api.submit()
    emu.route("GET /jobs/{id}").fail(500, job_id=one, times=None)
    assert api.ask("GET", f"/jobs/{other}").status == 200
    assert api.ask("GET", f"/jobs/{one}").status == 500


def test_rule_can_be_for_one_tag(emu: Emulator, api: Api) -> None:
    """A rule with a tag harms only the submit that carries it."""
    emu.route("POST /jobs").fail(500, tag="unlucky")
    assert api.ask("POST", "/jobs", submit_body(tags=["lucky"])).status == 200
    assert api.ask("POST", "/jobs", submit_body(tags=["unlucky"])).status == 500


def test_throttle_with_and_without_retry_after(emu: Emulator, api: Api) -> None:
    """429 comes with `Retry-After` only when it is given."""
    emu.route("GET /jobs").throttle(2)
    emu.route("GET /jobs").throttle()
    first, second = api.ask("GET", "/jobs"), api.ask("GET", "/jobs")
    assert (first.status, first.headers["retry-after"]) == (429, "2")
    assert second.status == 429
    assert "retry-after" not in second.headers


def test_body_and_headers_of_a_failure(emu: Emulator, api: Api) -> None:
    """A failure may be an HTML page, as of a proxy, with headers of its own."""
    page = "<html>Forbidden</html>"
    emu.route("POST /jobs").fail(403, body=page, headers={"CF-Ray": "x"})
    reply = api.ask("POST", "/jobs", submit_body())
    assert (reply.status, reply.body.decode()) == (403, page)
    assert reply.headers["content-type"] == "text/html"
    assert reply.headers["cf-ray"] == "x"


def test_default_failure_has_the_documented_shape(emu: Emulator, api: Api) -> None:
    """Without a body, a failure looks like the service's own."""
    emu.route("GET /jobs").fail(500)
    assert set(api.ask("GET", "/jobs").json) == {"errors", "trace"}


def test_iam_can_fail(emu: Emulator, api: Api) -> None:
    """Faults strike IAM as they do the service."""
    emu.route("POST /identity/token").fail(500)
    assert api.login().status == 500
    assert api.login().status == 200


@pytest.mark.parametrize(("when", "jobs"), [("headers", 0), ("before", 0), ("after", 1)])
def test_reset_is_a_tcp_reset(emu: Emulator, api: Api, when: str, jobs: int) -> None:
    """The client's socket sees a reset, before or after the effect."""
    api.credentials()
    emu.route("POST /jobs").reset(when=when)
    with pytest.raises(ConnectionResetError) as caught:
        api.ask("POST", "/jobs", submit_body())
    assert not isinstance(caught.value, http.client.RemoteDisconnected)
    assert len(emu.jobs()) == jobs


@pytest.mark.parametrize(("when", "jobs"), [("before", 0), ("after", 1)])
def test_close_is_an_orderly_end(emu: Emulator, api: Api, when: str, jobs: int) -> None:
    """The client's socket sees an end of stream in place of an answer."""
    api.credentials()
    emu.route("POST /jobs").close(when=when)
    with pytest.raises(http.client.RemoteDisconnected):
        api.ask("POST", "/jobs", submit_body())
    assert len(emu.jobs()) == jobs


def test_truncated_body_is_shorter_than_its_length(emu: Emulator, api: Api) -> None:
    """The headers promise more bytes than come before the end of the stream."""
    job_id = api.submit()
    emu.route("GET /jobs/{id}").truncate(keep=0.5)
    with pytest.raises(http.client.IncompleteRead) as caught:
        api.ask("GET", f"/jobs/{job_id}")
    assert len(caught.value.partial) > 0
    assert caught.value.expected


def test_cut_resets_after_a_part_of_the_body(emu: Emulator, api: Api) -> None:
    """The connection is reset in the middle of an answer."""
    job_id = api.submit()
    emu.route("GET /jobs/{id}").cut()
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        api.ask("GET", f"/jobs/{job_id}")


def test_truncated_gzip_is_well_framed(emu: Emulator, api: Api) -> None:
    """HTTP is in order, but the gzip stream inside ends early."""
    emu.route("GET /jobs").truncate_gzip()
    reply = api.ask("GET", "/jobs")
    assert (reply.status, reply.headers["content-encoding"]) == (200, "gzip")
    assert int(reply.headers["content-length"]) == len(reply.body)
    with pytest.raises(EOFError):
        gzip.decompress(reply.body)
    assert not zlib.decompressobj(31).eof


def test_malformed_json(emu: Emulator, api: Api) -> None:
    """A malformed answer has status 200, a true length, and JSON that breaks off."""
    emu.route("GET /jobs").malform()
    reply = api.ask("GET", "/jobs")
    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json


def test_replaced_body(emu: Emulator, api: Api) -> None:
    """A replaced body comes with the true status and headers, unless they are given too."""
    emu.route("GET /jobs").replace('{"jobs": null}')
    emu.route("GET /jobs").replace("{}", status=203, headers={"X-New": "1"})
    first, second = api.ask("GET", "/jobs"), api.ask("GET", "/jobs")
    assert (first.status, first.json) == (200, {"jobs": None})
    assert (second.status, second.headers["x-new"], second.body) == (203, "1", b"{}")
    assert second.headers["content-type"] == "application/json"


def test_delay_holds_the_request_back(emu: Emulator, api: Api) -> None:
    """A delayed request is answered as ever, but later."""
    emu.route("GET /jobs").delay(0.2)
    api.credentials()
    start = time.monotonic()
    assert api.ask("GET", "/jobs").status == 200
    assert time.monotonic() - start >= 0.19


def test_hang_ends_when_released(emu: Emulator) -> None:
    """A hanging request stays without an answer until it is released, then has its effect."""
    rule = emu.route("GET /jobs").hang()
    later = Later(emu, "GET", "/jobs")
    while not rule.hits:
        time.sleep(0.005)
    assert later.reply is None
    rule.release()
    assert later.wait().status == 200


def test_hang_for_a_time(emu: Emulator, api: Api) -> None:
    """A hang may have an end of its own."""
    emu.route("GET /jobs").hang(seconds=0.05)
    assert api.ask("GET", "/jobs").status == 200


def test_hang_after_the_effect(emu: Emulator, api: Api) -> None:
    """A submit that hangs after its effect has made its job meanwhile."""
    api.credentials()
    emu.route("POST /jobs").hang(when="after", seconds=0.05)
    assert api.ask("POST", "/jobs", submit_body()).status == 200
    assert len(emu.jobs()) == 1


@pytest.mark.parametrize("anyway", [False, True])
def test_client_that_leaves_while_it_waits(emu: Emulator, api: Api, *, anyway: bool) -> None:
    """A hanging request whose client is gone has no effect any more, unless that is asked."""
    rule = emu.route("POST /jobs").hang(anyway=anyway)
    body = json.dumps(submit_body())
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **api.credentials()}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"POST {BASE}/jobs HTTP/1.1", *lines, "", ""])
    with socket.create_connection((emu.host, emu.port)) as sock:
        sock.sendall(head.encode() + body.encode())
        while not rule.hits:
            time.sleep(0.005)
    # By its next answer the service has seen that the client is gone.
    emu.jobs()
    rule.release()
    assert api.ask("GET", "/jobs").json["count"] == int(anyway)


def test_reset_lets_go_of_what_hangs(emu: Emulator) -> None:
    """Resetting the emulator leaves no request hanging."""
    rule = emu.route("GET /jobs").hang()
    later = Later(emu, "GET", "/jobs")
    while not rule.hits:
        time.sleep(0.005)
    emu.reset()
    assert later.wait().status == 200


def test_slow_bytes(emu: Emulator, api: Api) -> None:
    """The body comes whole, but drop by drop."""
    emu.route("GET /jobs").slow(size=10, seconds=0.02)
    api.credentials()
    start = time.monotonic()
    assert api.ask("GET", "/jobs").json["count"] == 0
    assert time.monotonic() - start >= 0.06


def test_delay_and_failure_add_up(emu: Emulator, api: Api) -> None:
    """Rules that match the same request strike in order, up to one that ends it."""
    emu.route("GET /jobs").delay(0.01)
    emu.route("GET /jobs").fail(500)
    emu.route("GET /jobs").fail(502)
    assert [api.ask("GET", "/jobs").status for _ in range(3)] == [500, 502, 200]
    assert emu.ledger(route="/jobs")[0].fault == "delay(before),fail(before)"


def test_nonsense_rules_are_refused(emu: Emulator) -> None:
    """A rule of an unknown kind, phase or field is an error at once."""
    route = emu.route("GET /jobs")
    for nonsense in (
        {"kind": "explode"},
        {"kind": "fail", "when": "later"},
        {"kind": "fail", "x": 1},
    ):
        with pytest.raises(ConfigError):
            route.fault(**nonsense)
    assert emu.faults() == []
