"""What an earlier program left behind: found in the journal, and settled on demand.

Only jobs whose owner is dead are touched, and only while its lock is held: two
programs never settle each other's jobs.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qawait.errors import QawaitError, RejectedError
from qawait.guard import journal
from qawait.guard.owner import taken_over
from qawait.jobs.service import CancelReply
from qawait.jobs.submitting import look_up
from qawait.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from qawait.guard.journal import Row
    from qawait.jobs.calls import Calls
    from qawait.jobs.service import Service, SessionService
    from qawait.types import Snapshot

_log = logging.getLogger("qawait.recovery")

Policy: TypeAlias = Literal["list", "attach", "cancel"]
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A job or session that an earlier program left without seeing its end.

    A job that was to be detached is found and left alone by `cancel` too.
    `job_id` is `None` if the submit's answer never arrived and no job carries its
    tag. `status` is the service's word now. `outcome` says what recovery did:
    `found` (still live, left alone), `attached`, `cancelled`, `already final`,
    `never submitted`, `closed` (a session), or why it could not be settled. A
    session's `tag` begins with `session:`, and `job_id` is its id.
    """

    tag: str
    job_id: str | None
    backend: str
    intended: float
    on_cancel: str
    status: str | None
    outcome: str


async def recover(
    path: Path,
    mine: Callable[[Row], bool],
    settle: Callable[[Row], Awaitable[LeftBehind]],
) -> list[LeftBehind]:
    """Settle each of `mine` whose owner is dead, holding the dead owner's lock meanwhile.

    Raises:
        QawaitError: the service cannot be asked.
    """
    rows = [row for row in await in_thread(lambda: journal.unsettled(path)) if mine(row)]
    found: list[LeftBehind] = []
    for owner in dict.fromkeys(row.owner for row in rows):
        with taken_over(path.parent, owner) as is_dead:
            # looked at again: another program may have settled them before the lock was had
            theirs = await _of_owner(path, owner, mine) if is_dead else []
            for row in theirs:
                left = await settle(row)
                found.append(left)
                if left.outcome in SETTLED:
                    await _take_down(path, left)
    return found


async def _of_owner(path: Path, owner: str, mine: Callable[[Row], bool]) -> list[Row]:
    rows = await in_thread(lambda: journal.unsettled(path))
    return [row for row in rows if row.owner == owner and mine(row)]


async def _take_down(path: Path, left: LeftBehind) -> None:
    with contextlib.suppress(OSError, sqlite3.Error):
        await in_thread(lambda: journal.settle(path, left.tag, left.job_id, left.outcome))


SETTLED: Final = frozenset({"attached", "cancelled", "already final", "never submitted", "closed"})
"""The outcomes after which there is nothing more to recover."""


async def settle(
    row: Row,
    policy: Policy,
    *,
    service: Service,
    calls: Calls,
    take: Callable[[Snapshot, Row], None],
) -> LeftBehind:
    """Look at one job that was left behind and apply the policy.

    With `attach`, `take` is called with a job that is still live.

    Raises:
        QawaitError: the service cannot be asked.
    """
    seen = await _see(row, service, calls)
    if seen is None:
        return _left(row, None, "never submitted")
    if seen.is_final:
        return _left(row, seen, "already final")
    if policy == "cancel" and row.on_cancel == "cancel":
        return await _cancel(row, seen, service)
    if policy == "attach":
        take(seen, row)
        return _left(row, seen, "attached")
    return _left(row, seen, "found")


async def settle_session(
    row: Row, policy: Policy, *, service: SessionService, calls: Calls
) -> LeftBehind:
    """Look at one session that was left behind and, with `cancel`, end it.

    Raises:
        QawaitError: the service cannot be asked.
    """
    session_id = row.job_id or ""
    try:
        seen = await calls.retrying(lambda: service.session(session_id))
    except RejectedError as error:
        if error.status != _NOT_FOUND:
            raise
        return _left(row, None, "already final")
    if seen.state == "closed" or seen.accepting_jobs is False:
        outcome = "already final"
    elif policy == "cancel":
        end = service.close_session if row.on_cancel == "detach" else service.cancel_session
        outcome = await _ended(session_id, end)
    else:
        outcome = "found"
    return replace(_left(row, None, outcome), status=seen.state)


async def _ended(session_id: str, end: Callable[[str], Awaitable[None]]) -> str:
    try:
        await end(session_id)
    except QawaitError as error:
        _log.warning("ending session %s failed: %s", session_id, type(error).__name__)
        return f"not settled: {error.message}"
    return "closed"


async def _see(row: Row, service: Service, calls: Calls) -> Snapshot | None:
    """Return what the service says about the job; `None` if there is none."""
    if row.job_id is None:
        found = await look_up(service, calls, row.tag)
        return found[0] if found else None
    job_id = row.job_id
    try:
        return await calls.retrying(lambda: service.status(job_id))
    except RejectedError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


async def _cancel(row: Row, seen: Snapshot, service: Service) -> LeftBehind:
    if row.cancel == "ACKED":
        return _left(row, seen, "cancelled")  # the service took its cancel before
    try:
        reply = await service.cancel(seen.job_id)
    except QawaitError as error:
        _log.warning("cancelling job %s failed: %s", seen.job_id, type(error).__name__)
        return _left(row, seen, f"not settled: {error.message}")
    accepted = reply is CancelReply.ACCEPTED
    return _left(row, seen, "cancelled" if accepted else "already final")


def _left(row: Row, seen: Snapshot | None, outcome: str) -> LeftBehind:
    return LeftBehind(
        tag=row.tag,
        job_id=seen.job_id if seen else row.job_id,
        backend=row.backend,
        intended=row.intended,
        on_cancel=row.on_cancel,
        status=seen.raw_status if seen else None,
        outcome=outcome,
    )
