"""What IBM's primitives answer without a job, and qawait's: the same layers and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from qawait.errors import ConfigError
from side_by_side.circuits import fitted, ghz
from side_by_side.clients import is_installed, primitive_class
from support.open import opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.skipif(
    not is_installed("0.50"), reason="before 0.50 IBM's samplers answered no such questions"
)
TWIRLED: dict[str, Any] = {"twirling": {"enable_gates": True, "num_randomizations": 8}}
KINDS = ["sampler", "estimator"]


def pubs(kind: str, backend: Any) -> list[Any]:
    """Return a circuit with three layers of gates, as a pub of this kind."""
    circuit = fitted(ghz(4, measured=kind == "sampler"), backend)
    return [(circuit,) if kind == "sampler" else (circuit, "I" * circuit.num_qubits)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("types", ["gates", "all"])
def test_both_clients_find_the_same_layers(emu: Emulator, ibm: Any, kind: str, types: Any) -> None:
    """Layers are found in the same order, and nothing is sent for it."""
    backend = ibm.backend("ibm_manila")
    given = pubs(kind, backend)
    expected = primitive_class("executor", kind)(backend, TWIRLED).find_unique_layers(given, types)
    emu.reset()
    found = anyio.run(_layers, emu, kind, given, types)
    assert found == expected
    assert len(found) > 1
    assert emu.ledger("POST", "/jobs") == []


async def _layers(emu: Emulator, kind: str, given: list[Any], types: Any) -> list[Any]:
    async with opened(emu) as client:
        make: Any = getattr(client, kind)
        primitive = make("ibm_manila", options=TWIRLED, program="executor")
        layers: list[Any] = await primitive.find_unique_layers(given, types)
        return layers


@pytest.mark.parametrize("kind", KINDS)
def test_both_clients_decide_alike_on_what_is_left_open(emu: Emulator, ibm: Any, kind: str) -> None:
    """The options come back as IBM's object, with every value that a job would have."""
    primitive = primitive_class("executor", kind)(ibm.backend("ibm_manila"), TWIRLED)
    found = anyio.run(_options, emu, kind)
    assert type(found) is type(primitive.options)
    assert found == primitive.finalize_options()


async def _options(emu: Emulator, kind: str) -> Any:
    async with opened(emu) as client:
        make: Any = getattr(client, kind)
        return await make("ibm_manila", options=TWIRLED, program="executor").finalize_options()


@pytest.mark.parametrize(
    ("program", "types", "message"),
    [("legacy", "gates", 'for program="executor" only'), ("executor", "some", "types must be")],
)
def test_what_cannot_be_answered_is_said(
    emu: Emulator, program: Any, types: Any, message: str
) -> None:
    """The legacy programs are prepared by the service, which tells nobody."""

    async def ask() -> None:
        async with opened(emu) as client:
            sampler = client.sampler("ibm_manila", program=program)
            with pytest.raises(ConfigError, match=message):
                await sampler.find_unique_layers([], types)

    anyio.run(ask)
