"""Puts journal, guardian and keeper together for one client, when it first submits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import current_token

from qawait.errors import ConfigError
from qawait.guard.folder import make_private, state_folder
from qawait.guard.guardian import Guardian
from qawait.guard.journal import Journal
from qawait.guard.keeper import Guard
from qawait.guard.owner import claim
from qawait.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qawait.guard.owner import Owner
    from qawait.guard.where import Where

_log = logging.getLogger("qawait.guard")

FILE = "journal.sqlite3"


def journal_path() -> Path:
    """Return where the user's journal is."""
    return state_folder() / FILE


class Protection:
    """What outlives this process on behalf of one client; nothing is made before it is needed.

    A disk that cannot hold the journal is logged once; jobs go on without it.
    """

    def __init__(self, where: Where, *, instance: str, with_guardian: bool) -> None:
        self._owner = _claimed()
        journal = None
        if self._owner is not None:
            watch = _loop_watch(self._let_go)
            journal = Journal(journal_path(), self._owner, on_idle=watch)
        self.guardian: Guardian | None = None
        self.guard = Guard(
            url=where.url,
            instance=instance,
            owner=self._owner,
            journal=journal,
            guardian=None,
        )
        if with_guardian:
            locks = () if self._owner is None else (self._owner.lock,)
            self.guardian = Guardian(where, replay=self.guard.replay, pass_fds=locks)
            self.guard.guardian = self.guardian

    async def close(self) -> None:
        """Write what is left to write, and end the guardian, which settles what is open."""
        if self.guard.journal is not None:
            with anyio.CancelScope(shield=True):
                await in_thread(self.guard.journal.close)
        if self.guardian is not None and not self.guardian.is_closed:
            await self.guardian.close()
        if self._owner is not None and self.guard.is_idle:
            self._owner.retire(state_folder())
        elif self._owner is not None:
            self._owner.release()

    def _let_go(self) -> None:
        if self.guardian is not None and not self.guardian.is_closed:
            _log.warning("the event loop has ended with the client open; the guardian takes over")
            self.guardian.let_go()


def _claimed() -> Owner | None:
    folder = state_folder()
    try:
        make_private(folder)
        return claim(folder)
    except (OSError, ConfigError) as error:
        _log.warning("no journal in %s (%s); jobs go on without it", folder, error)
        return None


def _loop_watch(let_go: Callable[[], None]) -> Callable[[], None]:
    """Return what calls `let_go` once asyncio's loop was closed without ending its tasks.

    Trio never does that.
    """
    loop = current_token().native_token

    def look() -> None:
        if isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed():
            with contextlib.suppress(OSError):
                let_go()

    return look
