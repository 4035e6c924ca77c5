"""Backends: found, described with an age, and asked whether they run jobs."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from qawait import BackendPausedWarning, ConfigError, RejectedError
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

DESCRIPTION = "GET /backends/{name}/configuration"
STATUS = "GET /backends/{name}/status"


def count(emu: Emulator, asked: str) -> int:
    """Return how often something was asked for."""
    return sum(f"{entry.method} {entry.route}" == asked for entry in emu.ledger())


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({}, ["ibm_fez", "ibm_manila"]),
        ({"name": "ibm_fez"}, ["ibm_fez"]),
        ({"name": "ibm_nowhere"}, []),
        ({"min_num_qubits": 6}, ["ibm_fez"]),
        ({"operational": True}, ["ibm_fez"]),
        ({"operational": False}, ["ibm_manila"]),
        ({"simulator": True}, []),
        ({"min_num_qubits": 6, "operational": False}, []),
        ({"include_mocks": True}, ["ibm_fez", "ibm_manila", "mock_fez", "mock_manila"]),
    ],
)
async def test_filters_on_the_listing(
    emu: Emulator, conditions: dict[str, Any], names: list[str]
) -> None:
    """Every condition given must hold; a listing is all that is asked for."""
    emu.settings(backend_states={"ibm_manila": "paused"})
    async with opened(emu) as client:
        assert [backend.name for backend in await client.backends(**conditions)] == names
    assert count(emu, DESCRIPTION) == 0


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"filters": lambda backend: "cz" in backend.basis_gates}, ["ibm_fez"]),
        ({"filters": lambda backend: backend.target.num_qubits == 5}, ["ibm_manila"]),
        ({"dynamic_circuits": False}, ["ibm_fez", "ibm_manila"]),
        ({"dynamic_circuits": True}, []),
        ({"use_fractional_gates": True}, []),
        ({"name": "ibm_manila", "calibration_id": "c1"}, ["ibm_manila"]),
    ],
)
async def test_filters_on_descriptions(
    emu: Emulator, conditions: dict[str, Any], names: list[str]
) -> None:
    """Conditions that a listing cannot decide look at each backend's description, once."""
    async with opened(emu) as client:
        assert [backend.name for backend in await client.backends(**conditions)] == names
        described = count(emu, DESCRIPTION)
        await client.backends(**conditions)
    assert 1 <= described == count(emu, DESCRIPTION) <= 2


async def test_ibms_client_finds_the_same(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same conditions give the same backends there."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    theirs = QiskitRuntimeService()
    some: list[dict[str, Any]] = [
        {"min_num_qubits": 6},
        {"dynamic_circuits": False},
        {"operational": True, "simulator": False},
        {"filters": lambda backend: backend.num_qubits < 6},
    ]
    async with opened(emu) as client:
        for conditions in some:
            ours = [backend.name for backend in await client.backends(**conditions)]
            assert ours == [backend.name for backend in theirs.backends(**conditions)]


async def test_a_calibration_is_asked_for_and_sent(emu: Emulator) -> None:
    """Its id goes with the questions and with the jobs, as IBM's client sends it."""
    emu.settings(execute=False)
    async with opened(emu) as client:
        backend = await client.backend("ibm_manila", calibration_id="c1")
        await client.run(bell(), backend=backend)
    assert [entry.query for entry in emu.ledger() if entry.route in DESCRIPTION] == [
        "calibration_id=c1"
    ]
    [sent] = emu.ledger("POST", "/jobs")
    assert json.loads(sent.body or "")["calibration_id"] == "c1"


async def test_a_backend_as_it_was_calibrated_at_a_time(emu: Emulator) -> None:
    """The time goes with the question about properties, with its zone; nothing is kept of it."""
    then = datetime(2026, 11, 20, 4, 33, tzinfo=UTC)
    async with opened(emu) as client:
        backend = await client.backend("ibm_manila", calibrated_before=then)
        assert backend.properties is not None
        await client.backend("ibm_manila")
    asked = [parse_qs(entry.query) for entry in emu.ledger("GET", "/backends/{name}/properties")]
    assert asked == [{"updated_before": ["2026-11-20T04:33:00+00:00"]}, {}]


@pytest.mark.parametrize(
    "given",
    [
        {"calibrated_before": "yesterday"},
        {"calibrated_before": datetime.now(UTC), "calibration_id": "c1"},
    ],
)
async def test_a_wrong_calibration_is_refused_unsent(emu: Emulator, given: Any) -> None:
    """Nothing is asked for a time that is none, or for two calibrations."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError):
            await client.backend("ibm_manila", **given)
    assert [entry for entry in emu.ledger() if "backends" in entry.path] == []


async def test_the_least_busy(emu: Emulator) -> None:
    """The shortest queue counts, of those that run jobs and meet the conditions."""
    emu.settings(execute=False)
    emu.hold()
    async with opened(emu, on_cancel="detach") as client:
        await client.submit(bell(), backend="ibm_manila")
        assert (await client.least_busy()).name == "ibm_fez"
        assert (await client.least_busy(filters=lambda one: one.num_qubits < 6)).queue_length == 1
        emu.settings(backend_states={"ibm_fez": "paused"})
        assert (await client.least_busy()).name == "ibm_manila"
        with pytest.raises(ConfigError, match="no backend that takes jobs now"):
            await client.least_busy(min_num_qubits=100)


async def test_ages(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Description and status have an age each, and `max_age` bounds both."""
    async with opened(emu) as client:
        await client.backend("ibm_manila")
        emu.settings(backend_states={"ibm_manila": "paused"})
        assert (await client.backend("ibm_manila")).status == "online"
        monkeypatch.setattr("qawait.limits.BACKEND_STATUS_SECONDS", -1.0)
        assert (await client.backend("ibm_manila")).status == "paused"
        assert (count(emu, DESCRIPTION), count(emu, STATUS)) == (1, 2)
        await client.backend("ibm_manila", max_age=0)
        assert (count(emu, DESCRIPTION), count(emu, STATUS)) == (2, 3)


async def test_a_listing_brings_the_status_up_to_date(emu: Emulator) -> None:
    """What a listing says of a known backend counts from then on."""
    async with opened(emu) as client:
        await client.backend("ibm_manila")
        emu.settings(backend_states={"ibm_manila": "offline"})
        await client.backends()
        assert (await client.backend("ibm_manila")).status == "offline"
    assert count(emu, STATUS) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_age": -1}, "max_age"),
        ({"max_age": "1"}, "max_age"),
        ({"use_fractional_gates": True}, "no fractional gates"),
    ],
)
async def test_what_makes_no_sense(emu: Emulator, options: dict[str, Any], said: str) -> None:
    """Each wrong option is named."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match=said):
            await client.backend("ibm_manila", **options)


@pytest.mark.parametrize("options", [{"filters": 5}, {"calibration_id": "c1"}])
async def test_conditions_that_make_no_sense(emu: Emulator, options: dict[str, Any]) -> None:
    """They are refused before anything is sent."""
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match=next(iter(options))):
            await client.backends(**options)
    assert emu.ledger() == []


# --- before a job is sent ----------------------------------------------------------------------


async def test_an_offline_backend_takes_no_job(emu: Emulator) -> None:
    """The refusal says so and what to do, and nothing is submitted."""
    emu.settings(backend_states={"ibm_manila": "offline"})
    async with opened(emu) as client:
        with pytest.raises(ConfigError, match=r"ibm_manila is offline.*least_busy"):
            await client.submit(bell(), backend="ibm_manila")
        with pytest.raises(ConfigError, match="offline"):
            await client.session("ibm_manila")
    assert emu.ledger("POST", "/jobs") == emu.ledger("POST", "/sessions") == []


async def test_a_paused_backend_is_warned_of(emu: Emulator) -> None:
    """The job is sent and waits, and a warning says why; as an error it stops the submit."""
    emu.settings(backend_states={"ibm_manila": "paused"}, execute=False)
    async with opened(emu) as client:
        with pytest.warns(BackendPausedWarning, match="ibm_manila is paused"):
            job = await client.submit(bell(), backend="ibm_manila")
        assert emu.job(job.id).status == "Queued"
        with warnings.catch_warnings():
            warnings.simplefilter("error", BackendPausedWarning)
            with pytest.raises(BackendPausedWarning):
                await client.submit(bell(), backend="ibm_manila")
    assert len(emu.jobs()) == 1


async def test_a_backend_that_goes_offline_is_noticed(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status that has grown old is asked for again before a job is sent."""
    emu.settings(execute=False)
    async with opened(emu) as client:
        await client.run(bell(), backend="ibm_manila")
        emu.settings(backend_states={"ibm_manila": "offline"})
        monkeypatch.setattr("qawait.limits.BACKEND_STATUS_SECONDS", -1.0)
        with pytest.raises(ConfigError, match="offline"):
            await client.run(bell(), backend="ibm_manila")
    assert len(emu.jobs()) == 1


async def test_a_status_that_cannot_be_had_stops_nothing(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may take the job although it does not tell the status."""
    emu.settings(execute=False)
    async with opened(emu) as client:
        await client.backend("ibm_manila")
        monkeypatch.setattr("qawait.limits.BACKEND_STATUS_SECONDS", -1.0)
        monkeypatch.setattr("qawait.limits.RETRY_ATTEMPTS", 1)
        emu.route(STATUS).fail(503, times=None)
        await client.run(bell(), backend="ibm_manila")
        with pytest.raises(RejectedError, match="503"):
            await client.backend("ibm_manila")
