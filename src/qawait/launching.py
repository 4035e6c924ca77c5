"""What scopes and sessions submit through: the client, as far as they know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.ibm.backend import Backend
    from qawait.jobs.driver import Driver
    from qawait.runner import JobOptions, Prepare


class Launcher(Protocol):
    """What a scope or a session submits through: the client."""

    async def launch(
        self,
        prepare: Prepare,
        backend: Backend | str | None,
        options: JobOptions,
        *,
        delivers: bool,
        own: Callable[[Driver], object] | None = None,
        session_id: str | None = None,
    ) -> Driver:
        """Prepare and submit one job; `own` is called with its driver before it is sent."""
        ...
