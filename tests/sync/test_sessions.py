"""Sessions and batches without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import qawait.sync
from qawait import JobStatus, SessionStatus

if TYPE_CHECKING:
    from qawait.emulator import Emulator

FLIP = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; x $0; c[0] = measure $0;'
PARAMS: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}


def opened(emu: Emulator) -> qawait.sync.Client:
    """Open a client on the emulator."""
    emu.settings(execute=False)
    return qawait.sync.connect(
        token=emu.token.reveal(), instance=emu.instance, url=emu.url, iam_url=emu.iam_url
    )


@pytest.mark.parametrize("kind", ["session", "batch"])
def test_a_session_is_closed_by_its_block(emu: Emulator, kind: str) -> None:
    """Jobs run in it, its state can be asked for, and the exit closes it once."""
    with opened(emu) as client:
        with getattr(client, kind)("ibm_manila", max_time=60) as session:
            job = session.submit_program("sampler", PARAMS)
            assert job.wait() is JobStatus.DONE
            assert session.details().max_time == 60
            assert session.usage() == session.details().usage_time
            assert session.backend == "ibm_manila"
            found = client.attach_session(session.id)
            assert found.status() is SessionStatus.IN_PROGRESS
        assert [(one.closes, one.cancels) for one in emu.sessions()] == [(1, 0)]
        assert client.active_instance == emu.instance
        assert [one.name for one in client.instances()] == ["emulator"]


def test_an_exception_ends_it(emu: Emulator) -> None:
    """An exception in the block ends session and jobs, and goes on."""
    emu.hold()
    with opened(emu) as client:
        with pytest.raises(LookupError), client.session("ibm_manila") as session:
            session.submit_program("sampler", PARAMS)
            raise LookupError
        assert emu.open_sessions() == []
        assert emu.live() == []
