"""A guardian over an emulator: whatever its parent left live when it died is settled, once."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.guardians import (
    Lone,
    finished,
    make_journal,
    opened,
    requests,
    rows,
    settled,
    submit,
    until,
    where,
)

if TYPE_CHECKING:
    from qawait.emulator import Emulator
    from support.emulated import Api

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="pidfds and /proc are Linux's"),
    pytest.mark.usefixtures("held"),
]


# --- what is settled, and how -------------------------------------------------------------------


def test_nothing_open_sends_nothing(emu: Emulator, api: Api) -> None:
    """A guardian whose parent left nothing open ends at once and asks nobody."""
    submit(api, "T")
    assert settled(emu, api, *opened("T", "J"), {"close": {"tag": "T"}}) == 0
    assert requests(emu) == []


def test_one_live_job_is_queried_and_cancelled(emu: Emulator, api: Api) -> None:
    """A live job takes one query and one cancel, which are sent with the parent's headers."""
    job_id = submit(api, "T")
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert requests(emu) == ["GET /jobs/{id}", "POST /jobs/{id}/cancel"]
    assert emu.job(job_id).status == "Cancelled"
    assert emu.ledger()[-1].headers["ibm-api-version"] == "2026-04-15"


@pytest.mark.parametrize("outcome", ["complete", "fail", "too_long"])
def test_a_finished_job_gets_no_cancel(emu: Emulator, api: Api, outcome: str) -> None:
    """A job that is seen final gets no cancel, however it ended."""
    emu.next_job(outcome=outcome)
    job_id = finished(emu, api, "T")
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert emu.cancels(job_id) == 0


def test_an_undocumented_status_counts_as_live(emu: Emulator, api: Api) -> None:
    """A job whose status nobody documented is cancelled."""
    emu.next_job(status="Pausing")
    job_id = submit(api, "T")
    emu.release()
    until(lambda: api.job(job_id)["state"]["status"] == "Pausing")
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert emu.cancels(job_id) == 1


def test_an_acknowledged_cancel_is_not_repeated(emu: Emulator, api: Api) -> None:
    """Of a job whose cancel was acknowledged nothing is asked any more."""
    job_id = submit(api, "T")
    assert settled(emu, api, *opened("T", job_id, "ACKED")) == 0
    assert requests(emu) == []


@pytest.mark.parametrize("state", ["SENT", "UNKNOWN"])
def test_a_sent_cancel_is_asked_about_first(emu: Emulator, api: Api, state: str) -> None:
    """Where the parent's cancel took effect no other is sent; where it did not, one is."""
    effective, lost = submit(api, "effective"), submit(api, "lost")
    api.ask("POST", f"/jobs/{effective}/cancel")
    messages = [*opened("effective", effective, state), *opened("lost", lost, state)]
    assert settled(emu, api, *messages) == 0
    assert (emu.cancels(effective), emu.cancels(lost)) == (1, 1)


def test_a_lost_answer_is_asked_about(emu: Emulator, api: Api) -> None:
    """A cancel whose 204 was lost is not sent again: a query shows that it took effect."""
    job_id = submit(api, "T")
    emu.route("POST /jobs/{id}/cancel").reset(when="after")
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert emu.cancels(job_id) == 1
    assert requests(emu) == ["GET /jobs/{id}", "POST /jobs/{id}/cancel", "GET /jobs/{id}"]


@pytest.mark.parametrize("fault", ["reset", "fail", "close"])
def test_a_cancel_without_effect_is_repeated(emu: Emulator, api: Api, fault: str) -> None:
    """A cancel that did not reach the job is sent again after a query showed it live."""
    job_id = submit(api, "T")
    emu.route("POST /jobs/{id}/cancel").fault(fault, when="before")
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert requests(emu) == 2 * ["GET /jobs/{id}", "POST /jobs/{id}/cancel"]
    assert emu.cancels(job_id) == 1


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '{"state": 3}', "[" * 100_000])
def test_a_malformed_answer_is_asked_for_again(emu: Emulator, api: Api, body: str) -> None:
    """An answer that makes no sense neither ends the guardian nor settles the job."""
    job_id = submit(api, "T")
    emu.route("GET /jobs/{id}").replace(body)
    assert settled(emu, api, *opened("T", job_id)) == 0
    assert emu.cancels(job_id) == 1


def test_throttling_is_honoured(emu: Emulator, api: Api) -> None:
    """After a 429 the service is left alone as long as it asks for."""
    job_id = submit(api, "T")
    emu.route("POST /jobs/{id}/cancel").throttle(1)
    assert settled(emu, api, *opened("T", job_id)) == 0
    refused, accepted = emu.ledger("POST", "/jobs/{id}/cancel")
    assert (refused.status, accepted.status) == (429, 204)
    assert accepted.monotonic - refused.monotonic >= 1.0


def test_an_expired_token_ends_the_run(emu: Emulator, api: Api, tmp_path: Path) -> None:
    """A refused bearer is not tried again; the jobs are left to the journal."""
    ids = [submit(api, f"T{n}") for n in range(3)]
    path = tmp_path / "journal"
    make_journal(path, "T0", "T1", "T2")
    api.credentials()
    emu.revoke_tokens()
    messages = [one for n, job_id in enumerate(ids) for one in opened(f"T{n}", job_id)]
    start = time.monotonic()
    assert settled(emu, api, *messages, journal=path) == 1
    assert time.monotonic() - start < 2.0
    assert len(requests(emu)) <= 4
    assert len(emu.live()) == 3
    assert rows(path) == dict.fromkeys(("T0", "T1", "T2"), (None, "NONE", None))


def test_it_gives_up_in_time(emu: Emulator, api: Api) -> None:
    """A service that fails all the time is left alone when the time is up, without hammering."""
    job_id = submit(api, "T")
    emu.route("* /jobs/{id}").fail(503, times=None)
    emu.route("* /jobs/{id}/cancel").fail(503, times=None)
    start = time.monotonic()
    assert settled(emu, api, *opened("T", job_id), seconds=1.5) == 1
    assert time.monotonic() - start < 3.0
    assert len(requests(emu)) < 15


def test_a_hanging_answer_ends_with_the_time(emu: Emulator, api: Api) -> None:
    """An answer that never comes does not keep the guardian beyond its time."""
    job_id = submit(api, "T")
    rule = emu.route("GET /jobs/{id}").hang()
    start = time.monotonic()
    assert settled(emu, api, *opened("T", job_id), seconds=1.0) == 1
    assert time.monotonic() - start < 2.5
    rule.remove()


# --- submits without an answer ------------------------------------------------------------------


def test_an_unknown_id_is_found_by_its_tag(emu: Emulator, api: Api) -> None:
    """A submit without an answer is found by its own tag; another job of the client is not."""
    job_id, other = submit(api, "T"), submit(api, "other")
    assert settled(emu, api, *opened("T")) == 0
    assert (emu.cancels(job_id), emu.cancels(other)) == (1, 0)


def test_every_double_is_cancelled(emu: Emulator, api: Api) -> None:
    """Where one submit made two jobs, both are cancelled."""
    ids = [submit(api, "T"), submit(api, "T")]
    assert settled(emu, api, *opened("T")) == 0
    assert [emu.cancels(job_id) for job_id in ids] == [1, 1]


def test_a_submit_that_lands_late_is_found(emu: Emulator, api: Api) -> None:
    """A submit that reaches the service half a second after the death is cancelled too."""
    api.credentials()
    late = threading.Timer(0.5, submit, (api, "T"))
    late.start()
    assert settled(emu, api, *opened("T")) == 0
    late.join()
    assert [job.cancels for job in emu.jobs()] == [1]


def test_outcomes_go_to_the_journal(emu: Emulator, api: Api, tmp_path: Path) -> None:
    """Each outcome is in the journal: cancelled, final before, and never submitted."""
    path = tmp_path / "journal"
    make_journal(path, "live", "done", "acked", "lost", "none", "stranger")
    done = finished(emu, api, "done")
    live, lost = submit(api, "live"), submit(api, "lost")
    messages = [
        *opened("live", live),
        *opened("done", done),
        *opened("acked", "J", "ACKED"),
        *opened("lost"),
        *opened("none"),
    ]
    assert settled(emu, api, *messages, journal=path) == 0
    assert rows(path) == {
        "live": (live, "ACKED", "CANCELLED_BY_GUARDIAN"),
        "done": (done, "MOOT", "FINAL"),
        "acked": ("J", "ACKED", "FINAL"),
        "lost": (lost, "ACKED", "CANCELLED_BY_GUARDIAN"),
        "none": (None, "MOOT", "NEVER_SUBMITTED"),
        "stranger": (None, "NONE", None),
    }
    assert len(emu.ledger("GET", "/jobs")) >= 6


def test_a_journal_that_fails_harms_nothing(emu: Emulator, api: Api, tmp_path: Path) -> None:
    """Without a journal, or with a broken one, jobs are settled all the same."""
    (tmp_path / "broken").write_bytes(b"no database" * 1000)
    for name in ("absent", "broken"):
        job_id = submit(api, name)
        assert settled(emu, api, *opened(name, job_id), journal=tmp_path / name) == 2
        assert emu.cancels(job_id) == 1
    assert not (tmp_path / "absent").exists()


# --- many jobs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0.0, 30.0])
def test_many_jobs_are_cancelled_once_each(emu: Emulator, api: Api, lag: float) -> None:
    """450 jobs, over three pages or not listed at all, are cancelled once each."""
    emu.settings(list_lag=lag)
    ids = [submit(api, f"T{n}") for n in range(450)]
    spared = submit(api, "detached")
    messages = [one for n, job_id in enumerate(ids) for one in opened(f"T{n}", job_id)]
    assert settled(emu, api, *messages) == 0
    assert [emu.job(job_id).cancels for job_id in ids] == [1] * 450
    assert emu.cancels(spared) == 0
    queries = len(emu.ledger("GET", "/jobs/{id}"))
    assert queries == (450 if lag else 0)


def test_a_listing_that_fails_is_done_without(emu: Emulator, api: Api) -> None:
    """Where jobs cannot be listed, each is asked for by itself."""
    ids = [submit(api, f"T{n}") for n in range(20)]
    emu.route("GET /jobs").fail(500, times=None)
    messages = [one for n, job_id in enumerate(ids) for one in opened(f"T{n}", job_id)]
    assert settled(emu, api, *messages) == 0
    assert [emu.cancels(job_id) for job_id in ids] == [1] * 20


def test_faults_among_many_cost_no_cancel(emu: Emulator, api: Api) -> None:
    """Lost answers, errors and throttling among 60 jobs leave none live and cancel none twice."""
    ids = [submit(api, f"T{n}") for n in range(60)]
    cancels = emu.route("POST /jobs/{id}/cancel")
    cancels.reset(when="after", times=5, skip=3)
    cancels.fail(502, times=5, skip=20)
    cancels.throttle(times=5, skip=40)
    messages = [one for n, job_id in enumerate(ids) for one in opened(f"T{n}", job_id)]
    assert settled(emu, api, *messages) == 0
    assert [emu.job(job_id).cancels_accepted for job_id in ids] == [1] * 60
    assert [emu.job(job_id).cancels for job_id in ids] == [1] * 60


# --- what it is told ----------------------------------------------------------------------------


def test_a_torn_last_line_is_ignored(emu: Emulator, api: Api) -> None:
    """What the parent had not finished writing when it died does not count."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Lone()
    guardian.tell({"conf": where(emu).message()}, {"token": api.token}, *opened("T", job_id))
    guardian.write(b'{"close": {"tag": "T"}}')
    assert guardian.end() == 0
    assert emu.cancels(job_id) == 1


@pytest.mark.parametrize("noise", [b"x" * 300_000, b"\xff\xfe", b"[]", b'{"open": 3}', b"[" * 9999])
def test_noise_is_passed_over(emu: Emulator, api: Api, noise: bytes) -> None:
    """A line that is too long or makes no sense is dropped, and the next one counts."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Lone()
    guardian.tell({"conf": where(emu).message()}, {"token": "old"}, {"token": api.token})
    guardian.write(noise + b"\n")
    guardian.tell(*opened("T", job_id))
    assert guardian.end() == 0
    assert emu.cancels(job_id) == 1


def test_a_repeated_open_forgets_nothing(emu: Emulator, api: Api) -> None:
    """Opening a job again does not forget its id, nor that its cancel was acknowledged."""
    job_id = submit(api, "T")
    assert settled(emu, api, *opened("T", job_id, "ACKED"), *opened("T")) == 0
    assert requests(emu) == []


def test_without_a_service_it_leaves_jobs_to_the_journal() -> None:
    """A guardian that was never told where the service is ends and says that jobs are left."""
    guardian = Lone()
    guardian.tell(*opened("T", "J"))
    assert guardian.end() == 1


# --- what it is ---------------------------------------------------------------------------------


def test_nothing_that_lies_about_is_imported(
    emu: Emulator, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules in the working directory, PYTHONPATH or sitecustomize are not imported."""
    for name in ("json", "http", "socket", "sqlite3", "ssl", "sitecustomize", "random"):
        hostile = f"open({str(tmp_path / 'harm')!r}, 'w').close(); raise SystemExit(9)"
        (tmp_path / f"{name}.py").write_text(hostile)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job_id = submit(api, "T")
    api.credentials()
    guardian = Lone(cwd=tmp_path)
    guardian.tell({"conf": where(emu).message()}, {"token": api.token}, *opened("T", job_id))
    assert guardian.end() == 0
    assert emu.cancels(job_id) == 1
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_do_not_end_it(emu: Emulator, api: Api, number: signal.Signals) -> None:
    """SIGINT, SIGTERM and SIGHUP pass it by; it settles what is open afterwards."""
    job_id = submit(api, "T")
    api.credentials()
    guardian = Lone()
    guardian.process.send_signal(number)
    guardian.tell({"conf": where(emu).message()}, {"token": api.token}, *opened("T", job_id))
    assert guardian.end() == 0
    assert emu.cancels(job_id) == 1


def test_it_is_small(emu: Emulator) -> None:
    """An idle guardian takes at most 13 MiB, most of it shared with other interpreters."""
    guardian = Lone()
    guardian.tell(
        {"conf": where(emu).message()}, *(opened(f"T{n}", f"J{n}")[1] for n in range(100))
    )
    status = Path(f"/proc/{guardian.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    guardian.process.kill()
    guardian.end()
    assert found is not None
    assert int(found[1]) < 13 * 1024


def test_nothing_dumps_its_memory() -> None:
    """It can make no core dump, and other processes of the user cannot read its memory."""
    guardian = Lone()
    limits = Path(f"/proc/{guardian.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    # The files of a process that cannot be dumped belong to root.
    assert Path(f"/proc/{guardian.process.pid}/mem").stat().st_uid == 0
    assert guardian.end() == 0
