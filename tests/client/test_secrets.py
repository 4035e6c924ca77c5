"""No credential is ever shown: a canary key and token, looked for everywhere."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING

import pytest

import qawait
from support.leaks import shown
from support.open import bell, opened

if TYPE_CHECKING:
    from qawait.emulator import Emulator

pytestmark = pytest.mark.anyio


async def test_no_log_repr_or_exception_shows_a_credential(
    emu: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and token appear in no log at DEBUG, repr, exception or traceback with locals."""
    caplog.set_level(logging.DEBUG)
    key = emu.token  # wrapped, or this very frame would show it
    seen: list[str] = []
    async with opened(emu) as client:
        token = await client._service.tokens.token()
        job = await client.submit(bell(), backend="ibm_manila", shots=1)
        await job
        seen += [repr(client), repr(job), repr(client._service), str(vars(client))]
        for fault in ("reset", "truncate", "malform"):
            getattr(emu.route("GET /jobs/{id}/results"), fault)(times=None)
            with pytest.raises(qawait.QawaitError) as failed:
                await (await client.submit(bell(), backend="ibm_manila", shots=1))
            seen.append(shown(failed.value))
            emu.clear_faults()
        emu.route("POST /jobs").fail(400, body=f"Bearer {token.reveal()} {key.reveal()}")
        with pytest.raises(qawait.RejectedError) as refused:
            await client.submit(bell(), backend="ibm_manila")
        seen.append(shown(refused.value))
        emu.route("GET /jobs/{id}").fail(401, body=token.reveal(), times=None)
        with pytest.raises(qawait.AuthError) as unauthorised:
            await client.attach(job.id + "x")
        seen.append(shown(unauthorised.value))
        with pytest.raises(TypeError):
            pickle.dumps(emu.token)
    seen += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    assert len(seen) > 10
    everything = "\n".join(seen)
    assert key.reveal() not in everything
    assert token.reveal() not in everything


async def test_the_key_goes_to_iam_and_nowhere_else(own_emu: Emulator) -> None:
    """When IAM fails no request, and no key, reaches the service."""
    own_emu.route("POST /identity/token").fail(500, times=None)
    async with opened(own_emu) as client:
        with pytest.raises(qawait.QawaitError):
            await client.submit(bell(), backend="ibm_manila")
    assert {entry.path for entry in own_emu.ledger()} == {"/identity/token"}
