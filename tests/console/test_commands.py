"""Every command: what it prints, as text and as JSON, and its exit codes."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qawait.__main__ import main
from support.emulated import Api
from support.open import BELL_QASM3
from support.terminal import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qawait.emulator import Emulator

COMMANDS = [
    "run",
    "jobs",
    "watch",
    "result",
    "cancel",
    "recover",
    "backends",
    "emulator",
    "serve",
    "doctor",
]


@dataclasses.dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """The JSON objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """Runs commands on the emulator, as a program whose output is a pipe would."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        """Run one command."""
        try:
            code = main(list(arguments))
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        out, err = self._capsys.readouterr()
        return Said(code, out, err)


@pytest.fixture
def qawait(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Give the command line, with the emulator's account in the environment."""
    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    return Command(capsys)


@pytest.fixture
def homeless(qawait: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Give the command line without any account."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL", "IAM_URL"):
        monkeypatch.delenv(name)
    return qawait


@pytest.fixture
def api(emu: Emulator) -> Iterator[Api]:
    """Submit jobs, which end without being executed."""
    emu.settings(execute=False)
    client = Api(emu)
    yield client
    client.close()


@pytest.fixture
def bell(tmp_path: Path) -> str:
    """Give a file with a circuit."""
    path = tmp_path / "bell.qasm"
    path.write_text(BELL_QASM3)
    return str(path)


@pytest.fixture
def flip(tmp_path: Path) -> str:
    """Give a file with a circuit in OpenQASM 2, whose outcome is known."""
    path = tmp_path / "flip.qasm"
    path.write_text(
        'OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; creg c[1]; x q[0]; measure q -> c;'
    )
    return str(path)


# --- run -----------------------------------------------------------------------------------------


def test_run_prints_counts(qawait: Command, flip: str) -> None:
    """The outcome of each measurement and its count, and nothing else on stdout or stderr."""
    said = qawait("run", flip, "--backend", "ibm_manila", "--shots", "100")
    assert said == Said(0, "1  100\n", "")


def test_run_prints_json(qawait: Command, flip: str, emu: Emulator) -> None:
    """One object with the job, its backend and each pub's counts by register."""
    said = qawait("run", flip, "--backend", "ibm_manila", "--shots", "100", "--json")
    assert said.rows == [
        {
            "job_id": emu.jobs()[0].id,
            "status": "DONE",
            "backend": "ibm_manila",
            "pubs": [{"counts": {"c": {"1": 100}}}],
        }
    ]


def test_run_takes_the_least_busy_backend(qawait: Command, bell: str, emu: Emulator) -> None:
    """Without a backend the shortest queue of those that are large enough is taken."""
    assert qawait("run", bell).code == 0
    assert emu.jobs()[0].backend in {"ibm_fez", "ibm_manila"}


def test_run_reads_standard_input(
    qawait: Command, monkeypatch: pytest.MonkeyPatch, flip: str
) -> None:
    """`-` is standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(flip).read_text()))
    assert qawait("run", "-", "--backend", "ibm_manila", "--shots", "3").out == "1  3\n"


def test_run_local_needs_no_account(homeless: Command, flip: str) -> None:
    """With `--local` an embedded service executes the circuit."""
    said = homeless("run", flip, "--local", "--backend", "ibm_manila", "--shots", "5")
    assert said == Said(0, "1  5\n", "")


def test_run_detached_prints_the_id_and_leaves_the_job(
    qawait: Command, flip: str, emu: Emulator
) -> None:
    """`--detach` returns as soon as there is an id; the job goes on."""
    emu.hold()
    said = qawait("run", flip, "--backend", "ibm_manila", "--detach", "--tag", "mine")
    [job] = emu.live()
    assert said == Said(0, f"{job.id}\n", "")
    assert "mine" in job.tags
    assert job.cancels == 0
    as_json = qawait("run", flip, "--backend", "ibm_manila", "--detach", "--json")
    assert as_json.rows == [{"job_id": emu.live()[1].id}]


def test_run_of_a_failing_job(qawait: Command, flip: str, emu: Emulator) -> None:
    """A job that fails is code 1, its reason on stderr; as JSON, an object there."""
    emu.script(outcome="fail", reason="no luck", times=None)
    said = qawait("run", flip, "--backend", "ibm_manila")
    assert (said.code, said.out) == (1, "")
    assert "no luck" in said.err
    as_json = qawait("run", flip, "--backend", "ibm_manila", "--json")
    assert (as_json.code, as_json.out) == (1, "")
    told = json.loads(as_json.err)
    assert (told["error"], told["job_id"]) == ("JobFailedError", emu.jobs()[1].id)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.qasm"], "missing.qasm cannot be read: No such file"),
        (["FLIP", "--backend", "ibm_nowhere"], "ibm_nowhere"),
        (["FLIP", "--backend", "ibm_manila", "--shots", "-1"], "shots"),
        (["FLIP", "--local", "--detach"], "--detach makes no sense with --local"),
        (["FLIP", "--local", "--name", "me"], "--local needs no account"),
    ],
)
def test_run_of_what_cannot_be(
    qawait: Command, flip: str, emu: Emulator, arguments: list[str], said: str
) -> None:
    """What is wrong is said on stderr, with code 3, and nothing is submitted."""
    given = [flip if word == "FLIP" else word for word in arguments]
    ended = qawait("run", *given)
    assert (ended.code, ended.out) == (3, "")
    assert said in ended.err
    assert emu.jobs() == []


def test_interrupting_run_cancels_once(flip: str, emu: Emulator) -> None:
    """Ctrl-C ends `run` with code 130, says what became of the job, and cancelled it once."""
    emu.hold()
    arguments = ("-m", "qawait", "run", flip, "--backend", "ibm_manila")
    with terminal(*arguments, env=emu.env) as shown:
        shown.until("queued")
        shown.interrupt()
        assert shown.end() == 130
        assert shown.text.count("its cancel was accepted") == 1
        assert "cancel accepted" in shown.text
        assert "Traceback" not in shown.text
        assert shown.has_cursor
    assert [job.cancels for job in emu.jobs()] == [1]


# --- jobs, watch, result, cancel -----------------------------------------------------------------


def test_jobs_are_listed_newest_first(qawait: Command, api: Api) -> None:
    """A line for each job, with its backend and status."""
    ids = [api.submit(tags=["mine"]), api.submit()]
    lines = qawait("jobs").out.splitlines()
    assert lines[0].split() == ["job", "created", "backend", "status", "program"]
    assert [line.split()[0] for line in lines[1:]] == ids[::-1]
    assert [row["job_id"] for row in qawait("jobs", "--tag", "mine", "--json").rows] == ids[:1]
    assert [row["job_id"] for row in qawait("jobs", "--limit", "1", "--json").rows] == ids[1:]


def test_jobs_by_whether_they_have_ended(qawait: Command, api: Api, emu: Emulator) -> None:
    """`--pending` and `--ended` part them; none at all is no error."""
    assert qawait("jobs") == Said(0, "no jobs\n", "")
    assert qawait("jobs", "--json") == Said(0, "", "")
    done = api.submit()
    emu.wait_for(done, "Completed")
    emu.hold()
    live = api.submit()
    assert [row["job_id"] for row in qawait("jobs", "--pending", "--json").rows] == [live]
    assert [row["job_id"] for row in qawait("jobs", "--ended", "--json").rows] == [done]


def test_watch_tells_each_stage(qawait: Command, api: Api, emu: Emulator) -> None:
    """Where the output is no terminal, a line for each stage; code 0 if all are done."""
    job_id = api.submit()
    emu.wait_for(job_id, "Completed")
    assert qawait("watch", job_id) == Said(0, f"DONE {job_id}\n", "")
    rows = qawait("watch", job_id, "--json").rows
    assert [(row["job_id"], row["stage"]) for row in rows] == [(job_id, "DONE")]


def test_watch_of_a_job_that_ends_badly(qawait: Command, api: Api, emu: Emulator) -> None:
    """Code 1 if one was cancelled or failed."""
    emu.next_job(outcome="fail", reason="no luck")
    ids = [api.submit(), api.submit()]
    for job_id in ids:
        emu.wait_for(job_id, "Completed", "Failed")
    said = qawait("watch", *ids)
    assert said.code == 1
    assert "no luck" in said.out


def test_interrupting_watch_leaves_the_job(api: Api, emu: Emulator) -> None:
    """Ctrl-C ends `watch` with code 130, and nothing is cancelled."""
    emu.hold()
    job_id = api.submit()
    with terminal("-m", "qawait", "watch", job_id, env=emu.env, columns=120) as shown:
        shown.until("queued")
        shown.interrupt()
        assert shown.end() == 130
        assert "goes on (QUEUED); it was detached" in shown.text
        assert shown.has_cursor
    assert [(job.live, job.cancels) for job in emu.jobs()] == [(True, 0)]


def test_result_prints_what_run_would(qawait: Command, flip: str, emu: Emulator) -> None:
    """The result of a job that has ended."""
    qawait("run", flip, "--backend", "ibm_manila", "--shots", "7")
    job_id = emu.jobs()[0].id
    assert qawait("result", job_id) == Said(0, "1  7\n", "")
    assert qawait("result", job_id, "--json").rows[0]["pubs"] == [{"counts": {"c": {"1": 7}}}]


def test_result_of_a_job_that_has_not_ended(qawait: Command, api: Api, emu: Emulator) -> None:
    """Code 1 at once, and what to do; with `--wait`, the result."""
    emu.hold()
    job_id = api.submit()
    said = qawait("result", job_id)
    assert (said.code, said.out) == (1, "")
    assert "--wait" in said.err
    emu.release()
    assert qawait("result", job_id, "--wait").code == 0


def test_result_of_a_cancelled_job(qawait: Command, api: Api, emu: Emulator) -> None:
    """Code 1, and that it was cancelled."""
    emu.hold()
    job_id = api.submit()
    qawait("cancel", job_id)
    said = qawait("result", job_id)
    assert said.code == 1
    assert "the job was cancelled" in said.err


def test_cancel_says_what_became_of_each(qawait: Command, api: Api, emu: Emulator) -> None:
    """Each live job is cancelled once, one that has ended not at all."""
    done = api.submit()
    emu.wait_for(done, "Completed")
    emu.hold()
    live = api.submit()
    said = qawait("cancel", live, done, live)
    assert said == Said(0, f"{live}  requested\n{done}  already final\n", "")
    assert [emu.cancels(live), emu.cancels(done)] == [1, 0]
    assert qawait("cancel", live, "--json").rows == [{"job_id": live, "outcome": "already final"}]


def test_cancel_of_an_unknown_job(qawait: Command, api: Api, emu: Emulator) -> None:
    """Code 1, what the service says of it, and the others are cancelled."""
    emu.hold()
    live = api.submit()
    said = qawait("cancel", "d0nowhere", live)
    assert said.code == 1
    assert "d0nowhere  not cancelled: " in said.out
    assert emu.cancels(live) == 1


@pytest.mark.parametrize("command", ["watch", "result"])
def test_an_unknown_job_is_refused(qawait: Command, command: str) -> None:
    """Code 3 and the service's words on stderr."""
    said = qawait(command, "d0nowhere")
    assert (said.code, said.out) == (3, "")
    assert "d0nowhere" in said.err


# --- the others ----------------------------------------------------------------------------------


def test_backends_are_listed(qawait: Command) -> None:
    """A line for each, with qubits, status and queue; conditions leave some out."""
    lines = qawait("backends").out.splitlines()
    assert lines[0].split() == ["backend", "qubits", "status", "queue", "processor"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["ibm_fez", "156", "online"],
        ["ibm_manila", "5", "online"],
    ]
    rows = qawait("backends", "--json", "--min-qubits", "100", "--operational").rows
    assert [(row["name"], row["num_qubits"], row["queue_length"]) for row in rows] == [
        ("ibm_fez", 156, 0)
    ]
    assert qawait("backends", "--min-qubits", "999") == Said(0, "no backends\n", "")


def test_backends_of_the_embedded_service(homeless: Command) -> None:
    """`--local` lists what `run --local` runs on."""
    assert [row["name"] for row in homeless("backends", "--local", "--json").rows] == [
        "ibm_fez",
        "ibm_manila",
    ]


def test_recover_as_json_is_silent_when_nothing_is_left(qawait: Command) -> None:
    """No line, and code 0."""
    assert qawait("recover", "--json") == Said(0, "", "")


@pytest.mark.parametrize("command", [["jobs"], ["cancel", "d0"], ["recover"], ["backends"]])
def test_without_an_account_the_error_says_what_to_do(
    homeless: Command, command: list[str]
) -> None:
    """How to give or save one, and where to look further; code 3."""
    said = homeless(*command)
    assert (said.code, said.out) == (3, "")
    for hint in ("QISKIT_IBM_TOKEN", "save_account", "qawait doctor", "--local"):
        assert hint in said.err


def test_a_service_that_is_away_is_an_error(qawait: Command, emu: Emulator) -> None:
    """Code 3; as JSON, an object on stderr."""
    emu.route("GET /jobs").fail(500, times=None)
    said = qawait("jobs", "--json")
    assert (said.code, said.out) == (3, "")
    assert json.loads(said.err)["error"] == "RejectedError"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(qawait: Command, command: str) -> None:
    """`--help` is code 0 and names `--json`; a strange option is code 2."""
    helped = qawait(command, "--help")
    assert helped.code == 0
    assert "--json" in helped.out
    strange = qawait(command, "--unheard-of")
    assert (strange.code, strange.out) == (2, "")
    assert "--unheard-of" in strange.err or "required" in strange.err


def test_the_usage_names_every_command(qawait: Command) -> None:
    """`qawait --help` lists them; `--version` is a line."""
    listed = qawait("--help").out
    assert all(f"\n  {command} " in listed for command in COMMANDS)
    assert qawait("--version").out.startswith("qawait ")


# --- in a terminal -------------------------------------------------------------------------------


def test_a_terminal_sees_progress_and_the_panel(flip: str, emu: Emulator) -> None:
    """`run` says what it does, shows the job, and leaves the outcome and no line of progress."""
    arguments = ("-m", "qawait", "run", flip, "--backend", "ibm_manila")
    with terminal(*arguments, env=emu.env) as shown:
        assert shown.end() == 0
        assert "connecting …" in shown.text
        assert "✓ done" in shown.text
        assert "100%" in shown.text


@pytest.mark.parametrize("command", ["run", "jobs"])
def test_json_in_a_terminal_is_json_only(flip: str, emu: Emulator, command: str) -> None:
    """With `--json` a terminal sees no progress and no panel."""
    rest = (flip, "--backend", "ibm_manila") if command == "run" else ()
    with terminal("-m", "qawait", command, *rest, "--json", env=emu.env) as shown:
        assert shown.end() == 0
        assert all(json.loads(line) for line in shown.raw.splitlines())


def test_colours_are_left_out_on_request(api: Api, emu: Emulator) -> None:
    """`NO_COLOR` leaves a table plain; without it the heading is dim."""
    api.submit()
    with terminal("-m", "qawait", "jobs", env=emu.env) as shown:
        assert shown.end() == 0
        assert "\x1b[2m" in shown.raw
    with terminal("-m", "qawait", "jobs", env={**emu.env, "NO_COLOR": "1"}) as shown:
        assert shown.end() == 0
        assert "\x1b[2m" not in shown.raw
