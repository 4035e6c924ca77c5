"""Panels of a client without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qawait.sync
from support.emulated import FLIP

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from qawait.emulator import Emulator
    from qawait.panels.board import Board


class Pictures:
    """Keeps how many jobs had ended in each picture."""

    seen: list[tuple[int, int]]

    def __init__(self, _: Callable[[], object], board: Board) -> None:
        self.seen.append((0, len(board.rows)))

    async def show(self, board: Board) -> None:
        """Take down a picture."""
        self.seen.append((board.ended, len(board.rows)))

    close = show


def test_a_with_block_shows_the_client_s_jobs(
    emu: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs submitted in the block are shown to their ends, and it ends with the block."""
    Pictures.seen = []
    monkeypatch.setattr("qawait.panels.panel.usual_view", lambda: Pictures)
    emu.settings(execute=False)
    params: dict[str, Any] = {"pubs": [[FLIP, None, 1]], "options": {}, "version": 2}
    with qawait.sync.connect(
        token=emu.token.reveal(), instance=emu.instance, url=emu.url, iam_url=emu.iam_url
    ) as client:
        with client.panel():
            client.submit_program("sampler", params, backend="ibm_manila").wait()
        assert Pictures.seen[0] == (0, 0)
        assert Pictures.seen[-1] == (1, 1)
        shown = len(Pictures.seen)
        client.submit_program("sampler", params, backend="ibm_manila").wait()
        assert len(Pictures.seen) == shown
