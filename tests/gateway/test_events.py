"""Server-sent events: numbered, resumable, and they end with the job."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from support.killing import until

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.gateways import Server


def events(text: str) -> list[dict[str, Any]]:
    """Return the changes that a stream told of, each with the number it was sent under."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append({**json.loads(fields["data"]), "sent": int(fields["id"])})
    return found


def test_a_stream_tells_of_every_change_and_ends(server: Server) -> None:
    """The events of a job grow in number, begin with its acceptance and end with its end."""
    job_id = server.submit()
    reply = server.ask("GET", f"/job/{job_id}/events")
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply.body.decode())
    numbers = [event["sent"] for event in told]
    assert numbers == sorted(set(numbers))
    assert told[0]["status"] == "INITIALIZING"
    assert told[-1]["status"] == "DONE"
    assert server.ask("GET", f"/job/{job_id}/result").status == 200


def test_a_stream_is_resumed_where_it_was_left(server: Server) -> None:
    """`Last-Event-ID` gives exactly what came after it; after the last there is nothing."""
    job_id = server.submit()
    told = events(server.ask("GET", f"/job/{job_id}/events").body.decode())
    headers = {"Last-Event-ID": str(told[2]["sent"])}
    rest = events(server.ask("GET", f"/job/{job_id}/events", headers=headers).body.decode())
    assert rest == told[3:]
    headers = {"Last-Event-ID": str(told[-1]["sent"])}
    assert server.ask("GET", f"/job/{job_id}/events", headers=headers).status == 204


def test_a_live_stream_shows_what_happens(server: Server, emu: Emulator) -> None:
    """A reader who is there while the job waits is told when it goes on."""
    emu.hold()
    job_id = server.submit()
    with contextlib.closing(server.connection()) as connection:
        connection.request("GET", f"/job/{job_id}/events")
        answer = connection.getresponse()
        text = b""
        while b'"QUEUED"' not in text:
            text += answer.read1()
        emu.release()
        text += answer.read()
    assert events(text.decode())[-1]["status"] == "DONE"


def test_one_stream_tells_of_all_jobs(server: Server) -> None:
    """`GET /events` tells of jobs that are accepted while it is read."""
    with contextlib.closing(server.connection()) as connection:
        connection.request("GET", "/events")
        answer = connection.getresponse()
        ids = {server.submit(), server.submit()}
        text = b""
        while text.count(b'"status": "DONE"') < 2:
            text += answer.read1()
    told = events(text.decode())
    assert {event["job_id"] for event in told} == ids


def test_a_reader_who_was_away_misses_nothing(server: Server) -> None:
    """`GET /events` with `Last-Event-ID` gives the changes of all jobs since then."""
    first = server.submit()
    seen = events(server.ask("GET", f"/job/{first}/events").body.decode())[-1]["sent"]
    second = server.submit()
    server.wait_for(second, "DONE")
    with contextlib.closing(server.connection()) as connection:
        connection.request("GET", "/events", headers={"Last-Event-ID": str(seen)})
        answer = connection.getresponse()
        text = b""
        while b'"status": "DONE"' not in text:
            text += answer.read1()
    told = events(text.decode())
    assert {event["job_id"] for event in told} == {second}
    assert told[0]["status"] == "INITIALIZING"


def test_a_reader_who_leaves_gives_its_place_back(server: Server) -> None:
    """A stream whose client has gone is counted no more."""

    def streams() -> int:
        lines = server.ask("GET", "/metrics").body.decode().splitlines()
        return next(
            int(line.split()[1]) for line in lines if "gateway_streams " in line and line[0] != "#"
        )

    before = streams()
    connection = server.connection()
    connection.request("GET", "/events")
    connection.getresponse().read1()
    assert streams() == before + 1
    connection.close()
    until(lambda: streams() == before, 20)
