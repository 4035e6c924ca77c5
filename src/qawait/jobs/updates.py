"""One status stream to many readers: the latest wins, memory is bounded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from qawait.jobs.waiting import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from qawait.types import Update

_log = logging.getLogger("qawait.updates")


class UpdateStream:
    """Holds the latest update of a job and wakes whoever waits for the next one.

    Readers hold a number, the stream holds no readers: one that is slow or gone
    costs nobody anything.
    """

    __slots__ = ("_listeners", "changed", "is_closed", "latest", "version")

    def __init__(self) -> None:
        self.latest: Update | None = None
        self.version = 0
        self.is_closed = False
        self.changed = Signal()
        self._listeners: tuple[Callable[[Update], object], ...] = ()

    def listen(self, listener: Callable[[Update], object]) -> None:
        """Call `listener` with every update from now on; its errors are logged by type."""
        self._listeners += (listener,)

    def ignore(self, listener: Callable[[Update], object]) -> None:
        """Call `listener` no more."""
        self._listeners = tuple(known for known in self._listeners if known is not listener)

    def close(self) -> None:
        """End every reader's loop: there will be no more updates."""
        self.is_closed = True
        self._listeners = ()
        self.changed.set()

    @property
    def is_watched(self) -> bool:
        """Whether anybody would notice an update now."""
        return bool(self._listeners) or self.changed.is_awaited

    def publish(self, update: Update) -> None:
        """Make `update` the latest, and tell everyone."""
        self.latest = update
        self.version += 1
        for listener in self._listeners:
            _tell(listener, update)
        if update.stage.is_final:
            self._listeners = ()
        self.changed.set()


def _tell(listener: Callable[[Update], object], update: Update) -> None:
    try:
        listener(update)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a stale CancelledError too is not ours
        # by type only: the message may hold what a log must not
        _log.warning("an on_update callback failed with %s", type(error).__name__)


class Updates:
    """The updates of one job for one reader: the latest at once, the final one last.

    An iterator object, not a generator: a loop that is left early leaves nothing
    behind.
    """

    __slots__ = ("_ended", "_seen", "_stream")

    def __init__(self, stream: UpdateStream) -> None:
        self._stream = stream
        self._seen = 0
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        if self._ended:
            raise StopAsyncIteration
        stream = self._stream
        await stream.changed.until(lambda: stream.version != self._seen or stream.is_closed)
        update = stream.latest
        if update is None or stream.version == self._seen:
            self._ended = True
            raise StopAsyncIteration
        self._seen = stream.version
        self._ended = update.stage.is_final
        return update
