"""What is read from the answers to IBM's own client."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from qawait.errors import JobFailedError, ProtocolError
from qawait.ibm.wire import Reply, Request, backends, iam, jobs
from qawait.ibm.wire.records import snapshot, timestamp
from qawait.jobs.service import CancelReply
from qawait.secret import Secret
from qawait.types import JobStatus
from support.mocked import job_record
from support.recorded import Exchange, exchange, exchanges

ANY = Request(name="GET /x", method="GET", path="/x")


def reply(found: Exchange) -> Reply:
    """Return a recorded answer."""
    headers = {"content-type": found.content_type}
    return Reply(status=found.status, headers=headers, body=found.raw)


def json_reply(value: object, status: int = 200) -> Reply:
    """Return an answer in JSON."""
    headers = {"content-type": "application/json"}
    return Reply(status=status, headers=headers, body=json.dumps(value).encode())


# --- answers -----------------------------------------------------------------------------------


def test_every_recorded_job_is_read() -> None:
    """Each recorded job record gives its id, a documented status and its time."""
    found = [x for x in exchanges(method="GET", path="/jobs/") if x.status == 200]
    records = [x.received for x in found if isinstance(x.received, dict) and "state" in x.received]
    assert len(records) > 50
    for record in records:
        read = snapshot(record, ANY)
        assert read.job_id == record["id"]
        assert (read.status is None) == (read.raw_status == "Validating")
        assert ("created" in record) == (read.created is not None)


def test_a_failed_job_is_read_in_full() -> None:
    """Reason, code and solution are the service's."""
    found = next(x for x in exchanges("09") if "Failed" in str(x.received))
    read = jobs.parse_job(reply(found), ANY)
    assert read.status is JobStatus.ERROR
    assert (read.reason, read.code) == ("Circuit has too many qubits for the backend", 1517)
    assert read.solution
    assert read.backend == "ibm_manila"
    assert read.program == "sampler"
    assert read.estimated_seconds == 2.1


TOO_LONG = "Cancelled - Ran too long"
STATUS_TABLE: list[tuple[dict[str, Any], JobStatus | None, bool]] = [
    ({"state": {"status": "Queued"}}, JobStatus.QUEUED, False),
    ({"state": {"status": "Running"}}, JobStatus.RUNNING, False),
    ({"state": {"status": "Completed"}}, JobStatus.DONE, False),
    ({"state": {"status": "Failed"}}, JobStatus.ERROR, False),
    ({"state": {"status": "Cancelled"}}, JobStatus.CANCELLED, False),
    ({"state": {"status": "CANCELLED"}}, JobStatus.CANCELLED, False),
    ({"state": {"status": "Running"}, "status": "Queued"}, JobStatus.RUNNING, False),
    ({"status": "Completed"}, JobStatus.DONE, False),
    ({"state": {}, "status": "Failed"}, JobStatus.ERROR, False),
    ({"state": None, "status": "Failed"}, JobStatus.ERROR, False),
    ({"state": {"status": "Cancelled", "reason_code": 1305}}, JobStatus.ERROR, True),
    ({"state": {"status": "Cancelled", "reasonCode": 1305}}, JobStatus.ERROR, True),
    ({"state": {"status": "Cancelled", "reason_code": "1305"}}, JobStatus.ERROR, True),
    ({"state": {"status": "Cancelled"}, "status": TOO_LONG}, JobStatus.ERROR, True),
    ({"state": {"status": TOO_LONG}}, JobStatus.ERROR, True),
    ({"status": TOO_LONG.upper()}, JobStatus.ERROR, True),
    ({"state": {"status": "Completed", "reason_code": 1305}}, JobStatus.DONE, False),
    ({"state": {"status": "Validating"}}, None, False),
]


@pytest.mark.parametrize(("record", "status", "too_long"), STATUS_TABLE)
def test_statuses(record: dict[str, Any], status: JobStatus | None, too_long: bool) -> None:  # noqa: FBT001 - a parameter
    """`state.status` counts, and running too long is an error however it is said."""
    read = snapshot({"id": "j"} | record, ANY)
    assert (read.status, read.ran_too_long) == (status, too_long)
    assert read.raw_status


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "Queued",
        {},
        {"id": "j"},
        {"id": "", "status": "Queued"},
        {"id": 5, "status": "Queued"},
        {"id": "a/b", "status": "Queued"},
        {"id": "j", "state": {"status": 3}},
        {"id": "j", "state": {"status": " "}, "status": []},
    ],
)
def test_a_record_without_id_or_status_is_malformed(record: Any) -> None:
    """Nothing is made up for the two fields that count."""
    with pytest.raises(ProtocolError):
        snapshot(record, ANY)


def test_the_image_of_a_job_is_read() -> None:
    """The service calls it the runtime; most jobs have none."""
    record = {"id": "j", "state": {"status": "Queued"}}
    assert snapshot(record | {"runtime": "mine:1"}, ANY).image == "mine:1"
    assert snapshot(record, ANY).image is None


def test_optional_fields_of_a_wrong_type_are_as_if_absent() -> None:
    """A listing does not end because one field of one job is odd."""
    odd: dict[str, Any] = dict.fromkeys(
        ("backend", "session_id", "program", "created", "tags", "private", "usage"), 7
    )
    odd |= {"id": "j", "state": {"status": "Queued", "reason": 1, "reason_code": "x"}}
    odd |= {"estimated_running_time_seconds": 10**400, "tags": ["a", 1, None]}
    read = snapshot(odd, ANY)
    assert read.tags == ("a",)
    assert (read.backend, read.created, read.estimated_seconds, read.code) == (None,) * 4


def test_words_from_outside_cannot_steer_a_terminal() -> None:
    """Escapes and lone surrogates are gone; line ends of a traceback stay."""
    record = {"id": "j", "state": {"status": "Failed", "reason": "a\x1b[2J\nb\ud800"}}
    assert snapshot(record, ANY).reason == "a [2J\nb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T04:33:45.870693Z", datetime(2026, 11, 20, 4, 33, 45, 870693, UTC)),
        ("2026-11-20T04:33:45.8Z", datetime(2026, 11, 20, 4, 33, 45, 800000, UTC)),
        ("2026-11-20T04:33:45.870693123Z", datetime(2026, 11, 20, 4, 33, 45, 870693, UTC)),
        ("2026-11-20T04:33:45Z", datetime(2026, 11, 20, 4, 33, 45, 0, UTC)),
        ("2026-11-20T04:33:45", datetime(2026, 11, 20, 4, 33, 45, 0, UTC)),
        (
            "2026-11-20T04:33:45+02:00",
            datetime(2026, 11, 20, 4, 33, 45, 0, timezone(timedelta(hours=2))),
        ),
        ("yesterday", None),
        ("", None),
        (17, None),
        (None, None),
    ],
)
def test_timestamps(text: object, expected: datetime | None) -> None:
    """Any number of digits, with or without a zone; nonsense is as if absent."""
    assert timestamp(text) == expected


def test_the_answer_about_another_job_is_refused() -> None:
    """The state of one job is never taken for that of another."""
    answer = json_reply({"id": "other", "status": "Completed"})
    with pytest.raises(ProtocolError):
        jobs.parse_job(answer, ANY, job_id="mine")


def test_recorded_listings_are_read() -> None:
    """Each job of a page, in its order; an empty page is empty."""
    for found in exchanges("11", method="GET"):
        if found.path == "/jobs":
            ids = [job.job_id for job in jobs.parse_jobs(reply(found), ANY)]
            assert ids == [record["id"] for record in found.received["jobs"]]


@pytest.mark.parametrize("body", [{}, {"jobs": None}, {"jobs": {}}, {"jobs": [{}]}, []])
def test_a_malformed_listing_is_refused(body: Any) -> None:
    """No job is lost in silence."""
    with pytest.raises(ProtocolError):
        jobs.parse_jobs(json_reply(body), ANY)


def test_the_id_of_a_new_job() -> None:
    """The recorded answers give the id; anything else is malformed."""
    found = exchange("03", "POST", "/jobs")
    assert jobs.parse_created(reply(found), ANY) == found.received["id"]
    malformed: list[Any] = [{}, {"id": None}, {"id": "a/b"}, {"id": ["x"]}, [], "id"]
    for body in malformed:
        with pytest.raises(ProtocolError):
            jobs.parse_created(json_reply(body), ANY)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (exchange("08", "POST", "/cancel", status=204), CancelReply.ACCEPTED),
        (exchange("08", "POST", "/cancel", status=409), CancelReply.NOT_CANCELLABLE),
        (exchange("09", "GET", "/nope", status=404), CancelReply.NOT_FOUND),
    ],
)
def test_the_recorded_answers_to_a_cancel(found: Exchange, expected: CancelReply) -> None:
    """That a job has ended, or is not there, is an answer and no error."""
    assert jobs.parse_cancel(reply(found), ANY) is expected


def test_recorded_results_are_given_undecoded() -> None:
    """200 is the body as it came, 204 is none."""
    done = exchange("03", "GET", "/results")
    assert jobs.parse_results(reply(done), ANY) == done.raw
    assert jobs.parse_results(reply(exchange("09", "GET", "/results", status=204)), ANY) is None
    assert jobs.parse_results(Reply(status=200, body=b" \n"), ANY) is None


def test_a_traceback_in_place_of_a_result_is_a_failed_job() -> None:
    """The recorded text is kept, although its type says JSON."""
    found = exchange("09", "GET", "/results")
    assert "json" in found.content_type
    with pytest.raises(JobFailedError) as caught:
        jobs.parse_results(reply(found), ANY, job_id="j")
    assert caught.value.text == found.received.strip()
    assert jobs.parse_failure_text(reply(found), ANY) == found.received.strip()


@pytest.mark.parametrize("body", [b"<html>Traceback</html>", b"hello", b"\x00\x01", b"1"])
def test_what_is_neither_result_nor_traceback_is_malformed(body: bytes) -> None:
    """A page of something in between is not a failure of the job."""
    with pytest.raises(ProtocolError):
        jobs.parse_results(Reply(status=200, body=body), ANY)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Reply(status=204), None),
        (Reply(status=404), None),
        (Reply(status=200, body=b'{"results":[]}'), None),
        (Reply(status=200, body=b"<html>"), None),
        (Reply(status=200, body=b"x", headers={"content-type": "text/html"}), None),
        (Reply(status=200, body=b" boom \n"), "boom"),
    ],
)
def test_failure_texts(answer: Reply, text: str | None) -> None:
    """What a failed job left is text, or nothing."""
    assert jobs.parse_failure_text(answer, ANY) == text


def test_logs_are_text_and_404_means_none() -> None:
    """As IBM's client has it."""
    found = exchange("03", "GET", "/logs")
    assert jobs.parse_logs(reply(found), ANY) == found.received
    assert jobs.parse_logs(Reply(status=404), ANY) == ""


def test_recorded_backends_are_read() -> None:
    """Each device has its name; a listing without names is malformed."""
    found = exchange("01", "GET", "/backends")
    assert backends.parse_listing(reply(found), ANY) == found.received["devices"]
    malformed: list[Any] = [{}, {"devices": {}}, {"devices": [{"name": 1}]}, {"devices": ["x"]}]
    for body in malformed:
        with pytest.raises(ProtocolError):
            backends.parse_listing(json_reply(body), ANY)


@pytest.mark.parametrize("body", [None, {}])
def test_a_backend_may_have_no_properties(body: object) -> None:
    """Both ways in which the service says so are `None`."""
    assert backends.parse_properties(json_reply(body), ANY) is None


def test_mocks_are_listed_only_on_demand() -> None:
    """Mock backends are not in the way of those that run jobs."""
    assert backends.listing().query == ()
    assert backends.listing(include_mocks=True).query == (("include_mocks", "true"),)


# --- tokens ------------------------------------------------------------------------------------

KEY = Secret("canary-key")


def test_the_recorded_token_shape_is_read() -> None:
    """The token is taken as it is, and its life from `expires_in`."""
    found = exchange("01", "POST", "/identity/token")
    grant = iam.parse(json_reply(found.received | {"access_token": "a.b.c"}), ANY, api_key=KEY)
    assert (grant.token, grant.life) == (Secret("a.b.c"), 3600)


def test_a_life_may_be_given_by_its_end() -> None:
    """Without `expires_in` the end counts from when the answer came."""
    body = json.dumps({"access_token": "t", "expiration": 1_000_060}).encode()
    grant = iam.parse(Reply(status=200, body=body, at=1_000_000.0), ANY, api_key=KEY)
    assert grant.life == 60


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in": 60},
        {"access_token": "", "expires_in": 60},
        {"access_token": 5, "expires_in": 60},
        {"access_token": "a b", "expires_in": 60},
        {"access_token": "a\r\nX: y", "expires_in": 60},
        {"access_token": "é", "expires_in": 60},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "t", "expires_in": "60"},
        {"access_token": "t", "expires_in": True},
        {"access_token": "t", "expires_in": 10**400},
    ],
)
def test_a_token_that_could_not_be_used_is_refused(body: dict[str, Any]) -> None:
    """A token must fit into a header and say how long it lives."""
    with pytest.raises(ProtocolError):
        iam.parse(json_reply(body), ANY, api_key=KEY)


# --- pages that say what they said before --------------------------------------------------------


def page(*records: dict[str, Any]) -> Reply:
    """Return a page of job records."""
    return json_reply({"jobs": list(records)})


def test_a_record_that_says_nothing_new_gives_the_same_snapshot() -> None:
    """Nothing is made anew of a record that is as it was."""
    (first,) = jobs.parse_jobs(page(job_record("job-1")), ANY)
    (second,) = jobs.parse_jobs(page(job_record("job-1")), ANY, known={"job-1": first})
    assert second is first


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"status": "Running"}},
        {"state": {"status": "Queued", "reason": "calibrating"}},
        {"state": {"status": "Queued", "reason_code": 1517}},
        {"estimated_running_time_seconds": 77.0},
        {"tags": ["another"]},
        {"session_id": "session-1"},
        {"usage": {"quantum_seconds": 12}},
    ],
)
def test_a_record_that_says_something_new_gives_a_new_snapshot(change: dict[str, Any]) -> None:
    """Whatever can change in a job's life is noticed."""
    before = job_record("job-1") | {"state": {"status": "Queued"}}
    (first,) = jobs.parse_jobs(page(before), ANY)
    (second,) = jobs.parse_jobs(page(before | change), ANY, known={"job-1": first})
    assert second != first
    assert second == snapshot(before | change, ANY)


@pytest.mark.parametrize("odd", [None, 3, [], {"id": 5}, {"id": "job-1"}])
def test_an_odd_record_is_refused_whatever_is_known(odd: object) -> None:
    """That a job is known makes no record valid."""
    (first,) = jobs.parse_jobs(page(job_record("job-1")), ANY)
    with pytest.raises(ProtocolError):
        jobs.parse_jobs(json_reply({"jobs": [odd]}), ANY, known={"job-1": first})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'"text"', b"null"])
def test_a_page_that_is_no_object_is_refused(body: bytes) -> None:
    """Each gives a clear error, whatever it is instead."""
    with pytest.raises(ProtocolError):
        jobs.parse_jobs(Reply(status=200, headers={}, body=body), ANY)
