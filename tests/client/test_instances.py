"""Which instance a client works on, and that it sees no other's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import qawait
from qawait import AuthError, ConfigError
from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio

PARAMS: dict[str, Any] = {
    "pubs": [['OPENQASM 3.0; include "stdgates.inc"; bit[1] c; c[0] = measure $0;', None, 1]],
    "version": 2,
}


@pytest.fixture
def crns(emu: Emulator) -> dict[str, str]:
    """Give the account more instances than one."""
    emu.settings(execute=False)
    return {
        "emulator": emu.instance,
        "work": emu.add_instance("work", plan="premium", tags=["lab"]),
        "flexible": emu.add_instance("flexible", plan="flex", tags=["lab"], region="eu-de"),
    }


def asked(emu: Emulator) -> list[str]:
    """Return what was asked for so far."""
    return [f"{entry.method} {entry.route}" for entry in emu.ledger()]


async def test_with_a_crn_nothing_is_looked_up(emu: Emulator) -> None:
    """One request to IAM, and then work."""
    async with opened(emu) as client:
        await client.backends()
    assert asked(emu) == ["POST /identity/token", "GET /backends"]


async def test_without_one_the_instances_are_asked_for(emu: Emulator, crns: dict[str, str]) -> None:
    """One token serves search, catalog (each plan once) and the work after it."""
    async with opened(emu, instance=None) as client:
        assert client.active_instance == crns["emulator"]
        await client.backends()
    assert asked(emu) == [
        "POST /identity/token",
        "POST /gs/v3/resources/search",
        *["GET /catalog/{plan}"] * 3,
        "GET /backends",
    ]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"instance": "work"}, "work"),
        ({"instance": "auto"}, "emulator"),
        ({"plans_preference": ["premium", "open"]}, "work"),
        ({"region": "eu-de"}, "flexible"),
        ({"tags": ["lab"]}, "flexible"),
        ({"tags": ["lab"], "region": "us-east"}, "work"),
    ],
)
async def test_the_choice_is_that_of_ibms_client(
    emu: Emulator,
    crns: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    wish: dict[str, Any],
    expected: str,
) -> None:
    """Name, plan, region and tags choose the instance that IBM's client puts first."""
    async with opened(emu, **{"instance": None, **wish}) as client:
        assert client.active_instance == crns[expected]
    assert theirs(emu, monkeypatch, wish) == crns[expected]


def theirs(emu: Emulator, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any]) -> str:
    """Return the instance that IBM's client puts first."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    for name, value in emu.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    service = QiskitRuntimeService(**wish)
    return str(service.backends("ibm_manila")[0]._instance)


async def test_instances_are_listed(emu: Emulator, crns: dict[str, str]) -> None:
    """Each has its CRN, name, plan, pricing, tags and region, as IBM's client has them."""
    async with opened(emu) as client:
        found = {one.name: one for one in await client.instances()}
    assert {name: one.crn for name, one in found.items()} == crns
    work = found["work"]
    assert (work.plan, work.pricing_type, work.tags) == ("premium", "subscription", ("lab",))
    assert [found[name].region for name in ("work", "flexible")] == ["us-east", "eu-de"]


async def test_an_instance_sees_its_own_jobs_only(emu: Emulator, crns: dict[str, str]) -> None:
    """Jobs of another instance are neither listed nor found by id."""
    async with opened(emu) as here, opened(emu, instance=crns["work"]) as there:
        job = await there.submit_program("sampler", PARAMS, backend="ibm_manila")
        await job.wait()
        assert [one.id async for one in there.jobs()] == [job.id]
        assert [one.id async for one in here.jobs()] == []
        with pytest.raises(qawait.RejectedError) as caught:
            await here.attach(job.id)
        assert caught.value.status == 404


@pytest.mark.usefixtures("crns")
@pytest.mark.parametrize("wish", [{"instance": "nobody"}, {"plans_preference": ["gratis"]}])
async def test_no_instance_as_wanted(emu: Emulator, wish: dict[str, Any]) -> None:
    """The refusal lists what the account has, and no other request follows."""
    with pytest.raises(ConfigError, match="'work' \\(premium, us-east, tags lab\\)"):
        await opened(emu, **{"instance": None, **wish})
    assert "GET /backends" not in asked(emu)


async def test_a_wrong_key(emu: Emulator) -> None:
    """IAM's refusal ends the search; the key goes to IAM only."""
    with pytest.raises(AuthError, match="API key"):
        await opened(emu, instance=None, token="wrong-key")
    assert asked(emu) == ["POST /identity/token"]


async def test_a_search_that_fails_for_now_is_tried_again(emu: Emulator) -> None:
    """A 503 of the search does not end the opening."""
    emu.route("POST /gs/v3/resources/search").fail(503)
    async with opened(emu, instance=None) as client:
        assert client.active_instance == emu.instance


async def test_a_refused_token_is_renewed_once(emu: Emulator) -> None:
    """A token that expired between two questions is replaced, as for the API."""
    async with opened(emu) as client:
        await client.instances()
        emu.revoke_tokens()
        assert len(await client.instances()) == 1


async def test_another_instance_needs_another_client(emu: Emulator, crns: dict[str, str]) -> None:
    """Asking a client for another instance's backends says what to do."""
    async with opened(emu) as client:
        await client.backends(instance=emu.instance)
        with pytest.raises(ConfigError, match=r"qawait\.connect\(instance="):
            await client.backends(instance=crns["work"])


async def test_an_opening_is_used_once(emu: Emulator) -> None:
    """Awaited again, it refuses instead of opening a second client that nobody closes."""
    opening = opened(emu)
    client = await opening
    with pytest.raises(ConfigError, match="has been used"):
        await opening
    with pytest.raises(ConfigError, match="has been used"):
        async with opening:
            pass
    await client.aclose()
