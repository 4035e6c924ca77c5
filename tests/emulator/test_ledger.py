from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest

from qawait.emulator import ledger
from support.emulated import Api, submit_body

if TYPE_CHECKING:
    from qawait.emulator import Emulator


def test_every_request_is_one_entry(emu: Emulator, api: Api) -> None:
    """Each request is written down once, in order, with how it was answered."""
    job_id = api.submit()
    api.ask("GET", f"/jobs/{job_id}?exclude_params=true")
    api.ask("GET", "/jobs/unknown")
    entries = [(e.method, e.route, e.status, e.job_id) for e in emu.ledger()]
    assert entries == [
        ("POST", "/identity/token", 200, None),
        ("POST", "/jobs", 200, job_id),
        ("GET", "/jobs/{id}", 200, job_id),
        ("GET", "/jobs/{id}", 404, "unknown"),
    ]


def test_entry_tells_when_and_what(emu: Emulator, api: Api) -> None:
    """An entry has a number, both clocks, path, query and headers."""
    before = (time.time(), time.monotonic())
    api.ask("GET", "/jobs?limit=3", headers={"X-Qx-Client-Application": "test"})
    entry = emu.ledger()[-1]
    assert before[0] <= entry.wall <= time.time()
    assert before[1] <= entry.monotonic <= time.monotonic()
    assert (entry.path, entry.query) == ("/experimental/api/v1/jobs", "limit=3")
    assert entry.headers["x-qx-client-application"] == "test"


def test_no_credential_is_written_down(emu: Emulator, api: Api) -> None:
    """Neither the API key nor a bearer token can be read from the ledger."""
    key = emu.token.reveal()
    api.ask("GET", "/jobs", headers={"X-Mistake": f"key {key}", "Cookie": "c=1"})
    text = json.dumps([dataclasses.asdict(entry) for entry in emu.ledger()])
    assert key not in text
    assert api.token not in text
    assert "x-mistake" not in text


def test_submits_are_kept_with_tags_and_body(emu: Emulator, api: Api) -> None:
    """A submit's entry has its tags, its body and the body's digest."""
    body = json.dumps(submit_body(tags=["a", "b"]))
    api.ask("POST", "/jobs", body)
    (entry,) = emu.ledger("POST", "/jobs")
    assert entry.tags == ("a", "b")
    assert entry.body == body
    assert entry.body_sha256 == hashlib.sha256(body.encode()).hexdigest()


def test_large_bodies_are_only_hashed(emu: Emulator, api: Api) -> None:
    """Beyond the bound a body is known by its digest alone."""
    emu.settings(ledger_body=10)
    api.submit()
    (entry,) = emu.ledger("POST", "/jobs")
    assert entry.body is None
    assert entry.body_sha256


def test_selection(emu: Emulator, api: Api) -> None:
    """Entries can be selected by method, route, job, tag and number."""
    one, other = api.submit(tags=["x"]), api.submit()
    api.ask("POST", f"/jobs/{one}/cancel")
    api.ask("GET", f"/jobs/{other}")
    assert [e.method for e in emu.ledger(job_id=one)] == ["POST", "POST"]
    assert [e.job_id for e in emu.ledger(tag="x")] == [one]
    assert len(emu.ledger("POST", "/jobs")) == 2
    last = emu.ledger()[-1].number
    assert emu.ledger(since=last) == []
    assert [e.number for e in emu.ledger(since=last - 1)] == [last]


@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_answers_are_told_apart(emu: Emulator, api: Api, when: str) -> None:
    """A request harmed has its fault written down, no status, and its tags all the same."""
    api.credentials()
    emu.route("POST /jobs").reset(when=when)
    with pytest.raises(ConnectionResetError):
        api.ask("POST", "/jobs", submit_body(tags=["t"]))
    (entry,) = emu.ledger("POST", "/jobs")
    assert (entry.status, entry.fault, entry.tags) == (None, f"reset({when})", ("t",))
    assert (entry.job_id is not None) == (when == "after")


def test_clearing_goes_on_counting(emu: Emulator, api: Api) -> None:
    """A cleared ledger is empty, and numbers are never used twice."""
    api.ask("GET", "/jobs")
    last = emu.ledger()[-1].number
    emu.clear_ledger()
    assert emu.ledger() == []
    api.ask("GET", "/jobs")
    assert emu.ledger()[0].number == last + 1


def test_control_requests_are_not_in_the_ledger(emu: Emulator) -> None:
    """Looking leaves no trace."""
    emu.jobs()
    emu.settings()
    assert emu.ledger() == []


def test_only_the_latest_bodies_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts together are bounded: the oldest make room for the latest."""
    monkeypatch.setattr(ledger, "TOTAL_BODY_BYTES", 25)
    book = ledger.Ledger(100, "secret")
    scope = {"method": "POST", "query_string": b"", "headers": []}
    entries = [book.open(scope, "/api/v1/jobs", "/jobs", None) for _ in range(4)]
    for entry in entries:
        book.keep_body(entry, b"0123456789", 100)
    assert [entry.body is not None for entry in entries] == [False, False, True, True]
    assert all(entry.body_sha256 for entry in entries)
