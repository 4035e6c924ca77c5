"""Each class of error, provoked on the embedded service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

import qawait
from qawait import (
    AuthError,
    ConfigError,
    DeadlineExceededError,
    JobFailedError,
    JobTimedOutError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
    UnknownStatusError,
)
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait import Client
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


async def submitted(client: Client) -> qawait.Job[Any]:
    """Submit a job that has no need to be executed for real."""
    return await client.submit(bell(), backend="ibm_manila", shots=1)


def turned() -> QuantumCircuit:
    """Return a measured circuit with two parameters."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    circuit.rz(Parameter("b"), 0)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize(
    ("pubs", "options", "said"),
    [
        (QuantumCircuit(1), {}, "measure"),
        (bell(), {"shots": 0}, "shots"),
        (bell(), {"shots": True}, "shots"),
        (bell(), {"backend": " "}, "blank"),
        (bell(), {"backend": "ibm_manilla"}, "did you mean 'ibm_manila'"),
        ((turned(), [0.1, 0.2, 0.3]), {}, "parameter"),
        (turned(), {}, "parameter"),
        ([], {}, "pub"),
        ("OPENQASM 3.0; nonsense", {}, "OpenQASM"),
        (3, {}, "circuit"),
        (bell(), {"optimization_level": 9}, "optimization_level"),
        (bell(), {"tags": ["t"] * 9}, "tags"),
        (bell(), {"tags": ["t" * 87]}, "tag"),
        (bell(), {"max_execution_time": 0}, "max_execution_time"),
        (bell(), {"on_cancel": "keep"}, "on_cancel"),
        (bell(), {"options": {"shotz": 1}}, "shotz"),
    ],
)
async def test_bad_input_is_refused_before_a_job_is_sent(
    emu: Emulator, pubs: Any, options: dict[str, Any], said: str
) -> None:
    """What is wrong with the call is said at once, and no job is posted."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match=said):
            await client.submit(pubs, **{"backend": "ibm_manila", **options})
    assert emu.ledger("POST", "/jobs") == []


async def test_a_wrong_key_is_an_auth_error(own_emu: Emulator) -> None:
    """A key that IAM refuses raises `AuthError`, with IAM's own code."""
    async with opened(own_emu, token="wrong") as client:
        with pytest.raises(AuthError) as caught:
            await submitted(client)
    assert caught.value.code == "BXNIM0415E"
    assert [entry.path for entry in own_emu.ledger()] == ["/identity/token"]


async def test_a_revoked_token_is_renewed_once(emu: Emulator) -> None:
    """A 401 in the middle of a job costs one new token, not the job."""
    async with opened(emu) as client:
        job = await submitted(client)
        emu.revoke_tokens()
        await job
    assert len(emu.ledger("POST", "/identity/token")) == 2


async def test_a_token_refused_for_good_ends_the_wait(emu: Emulator) -> None:
    """A service that refuses every token raises `AuthError` with the job's id."""
    emu.settings(run_seconds=5)
    async with opened(emu) as client:
        job = await submitted(client)
        refusing = emu.route("GET /jobs/{id}").fail(401, times=None)
        with pytest.raises(AuthError, match=job.id):
            await job
        refusing.remove()


async def test_a_service_that_is_not_there_is_not_sent(emu: Emulator) -> None:
    """A refused connection raises `NotSentError`, which names the address."""
    async with opened(emu, url="http://127.0.0.1:9/api/v1") as client:
        with pytest.raises(NotSentError):
            await submitted(client)


async def test_an_unreachable_submit_carries_its_tag(emu: Emulator) -> None:
    """A submit that cannot be sent says which submit it was."""
    async with opened(emu) as client:
        await client.backend("ibm_manila")

        async def refuse(*_: object, **__: object) -> None:
            raise NotSentError("connection refused")

        client._service.submit = refuse  # type: ignore[assignment, method-assign]
        with pytest.raises(NotSentError) as caught:
            await submitted(client)
    assert caught.value.tag
    assert caught.value.tag in str(caught.value)


async def test_an_outcome_nobody_can_tell_carries_its_tag(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When neither submit nor look-up is answered, the error names the tag to look for."""
    monkeypatch.setattr("qawait.limits.LOOKUP_SECONDS", 0.2)
    emu.route("POST /jobs").reset(when="after")
    emu.route("GET /jobs").reset(times=None)
    async with opened(emu) as client:
        with pytest.raises(UnknownOutcomeError) as caught:
            await submitted(client)
    assert caught.value.tag in emu.jobs()[0].tags


async def test_a_refusal_carries_what_the_service_said(emu: Emulator) -> None:
    """A 4xx to a submit raises `RejectedError` with status, code, trace and tag."""
    emu.route("POST /jobs").fail(
        409,
        body='{"errors": [{"code": 1212, "message": "Usage exceeds instance limit"}],'
        ' "trace": "t-1"}',
    )
    async with opened(emu) as client:
        with pytest.raises(RejectedError, match="Usage exceeds") as caught:
            await submitted(client)
    error = caught.value
    assert (error.status, error.code, error.trace) == (409, 1212, "t-1")
    assert error.request == "POST /jobs"
    assert error.tag


async def test_a_throttled_submit_is_sent_when_its_time_has_come(emu: Emulator) -> None:
    """A 429 with `Retry-After` is waited out."""
    emu.route("POST /jobs").throttle(retry_after=0.2)
    async with opened(emu) as client:
        await (await submitted(client))
    assert len(emu.jobs()) == 1


async def test_a_submit_throttled_for_good_says_so(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that throttles for ever raises `ThrottledError` with the tag."""
    monkeypatch.setattr("qawait.limits.THROTTLED_SECONDS", 0.3)
    emu.route("POST /jobs").throttle(retry_after=0.2, times=None)
    async with opened(emu) as client:
        with pytest.raises(ThrottledError) as caught:
            await submitted(client)
    assert caught.value.retry_after == pytest.approx(0.2)
    assert caught.value.tag


async def test_a_malformed_result_is_a_protocol_error(emu: Emulator) -> None:
    """A result that makes no sense raises `ProtocolError` with the job's id."""
    emu.route("GET /jobs/{id}/results").replace("[1, 2", times=None)
    async with opened(emu) as client:
        job = await submitted(client)
        with pytest.raises(ProtocolError, match=job.id):
            await job


async def test_a_truncated_result_is_asked_for_again(emu: Emulator) -> None:
    """A result that was cut short on its way is never taken for whole."""
    emu.route("GET /jobs/{id}/results").truncate()
    async with opened(emu) as client:
        job = await submitted(client)
        assert sum((await job)[0].data.meas.get_counts().values()) == 1
    assert len(emu.ledger("GET", "/jobs/{id}/results")) == 2


async def test_a_failed_job_carries_reason_and_traceback(emu: Emulator) -> None:
    """A failed job raises `JobFailedError` with the service's reason, code and text."""
    emu.next_job(outcome="fail", reason="no luck", code=5203, text="Traceback: it broke")
    async with opened(emu) as client:
        job = await submitted(client)
        with pytest.raises(JobFailedError, match="no luck") as caught:
            await job
    error = caught.value
    assert (error.job_id, error.reason, error.code) == (job.id, "no luck", 5203)
    assert "it broke" in (error.text or "")


async def test_a_job_that_ran_too_long_says_so(emu: Emulator) -> None:
    """Code 1305 raises `JobTimedOutError` with the job's id."""
    emu.next_job(outcome="too_long")
    async with opened(emu) as client:
        job = await submitted(client)
        with pytest.raises(JobTimedOutError, match=job.id):
            await job


async def test_a_deadline_of_the_callers_carries_the_id(emu: Emulator) -> None:
    """`wait(timeout=…)` raises `DeadlineExceededError`, a `TimeoutError`, with the job's id."""
    emu.settings(run_seconds=5)
    async with opened(emu) as client:
        job = await submitted(client)
        with pytest.raises(TimeoutError, match=job.id) as caught:
            await job.wait(timeout=0.05)
    assert isinstance(caught.value, DeadlineExceededError)


async def test_an_unknown_status_never_hangs_a_wait(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status nobody documented raises `UnknownStatusError` with the service's word and id."""
    monkeypatch.setattr("qawait.limits.UNKNOWN_STATUS_SECONDS", 0.2)
    emu.next_job(status="Pondering", hold="running")
    async with opened(emu) as client:
        job = await submitted(client)
        with anyio.fail_after(5), pytest.raises(UnknownStatusError, match=job.id) as caught:
            await job
    assert caught.value.raw == "Pondering"


async def test_an_unknown_job_is_refused(emu: Emulator) -> None:
    """Attaching to a job that does not exist raises `RejectedError` with status 404."""
    async with opened(emu) as client:
        with pytest.raises(RejectedError) as caught:
            await client.attach("nosuchjob")
    assert caught.value.status == 404
    assert caught.value.job_id == "nosuchjob"


async def test_a_job_deleted_under_way_ends_its_wait(emu: Emulator) -> None:
    """A job that is gone from the service ends its wait with an error, not never."""
    emu.settings(run_seconds=5)
    async with opened(emu) as client:
        job = await submitted(client)
        emu.route("GET /jobs/{id}").fail(404, times=None)
        with pytest.raises(QawaitError, match=job.id):
            await job


async def test_polls_that_fail_never_end_a_wait(emu: Emulator) -> None:
    """Resets, 5xx, 429 and nonsense while polling delay the result and nothing else."""
    emu.settings(run_seconds=0.3)
    async with opened(emu) as client:
        await client.backend("ibm_manila")
        status = emu.route("GET /jobs/{id}")
        status.reset()
        status.fail(503)
        status.fail(502, body="<html>Bad gateway</html>")
        status.throttle(retry_after=0.1)
        status.malform()
        status.truncate()
        assert await (await submitted(client))
