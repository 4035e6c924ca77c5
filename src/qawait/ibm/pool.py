"""The connections to one origin: few, kept, the last used first, and one for cancels.

Taking one and giving it back costs the same however many requests wait. What
is found dead while idle is replaced before anything is sent; a request that
goes out on a connection which dies all the same is never sent again here.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import anyio

from qawait import limits
from qawait.ibm.connection import connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from qawait.ibm.body import BodyReader
    from qawait.ibm.connection import Answer, Connection
    from qawait.ibm.route import Route


class Lanes:
    """Lets so many requests through at once, and an urgent one besides; urgent ones go first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._urgent: OrderedDict[anyio.Event, None] = OrderedDict()
        self._others: OrderedDict[anyio.Event, None] = OrderedDict()

    async def enter(self, *, urgent: bool = False) -> None:
        """Wait for a turn; whoever returns from here has to `leave`."""
        if self._taken < self._size + urgent:
            self._taken += 1
            return
        queue = self._urgent if urgent else self._others
        turn = anyio.Event()
        queue[turn] = None
        try:
            await turn.wait()
        except BaseException:
            if turn in queue:
                del queue[turn]
            else:
                self.leave()
            raise

    def leave(self) -> None:
        """Pass the turn on."""
        if self._urgent:
            self._urgent.popitem(last=False)[0].set()
        elif self._others and self._taken <= self._size:
            self._others.popitem(last=False)[0].set()
        else:
            self._taken -= 1


class Lease:
    """An answer together with the connection it comes on, which `aclose` gives back."""

    __slots__ = ("_answer", "_connection", "_pool")

    def __init__(self, pool: Pool, connection: Connection, answer: Answer) -> None:
        self._pool = pool
        self._connection = connection
        self._answer = answer

    @property
    def status(self) -> int:
        """The status code."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are in lower case."""
        return self._answer.headers

    async def into(self, reader: BodyReader) -> str | None:
        """Give the body to a reader; return the reader's first fault."""
        return await self._answer.into(reader)

    async def aclose(self) -> None:
        """Keep the connection if its answer was read to the end, else close it."""
        await self._pool.give_back(self._connection, reusable=self._answer.reusable)


class Pool:
    """Keeps idle connections in a stack, the last used on top.

    How many there are follows from how many are asked at once: `Lanes` limits
    that. Once `keep_warm` has been called, one connection that has proved itself
    stays out of the others' reach, for the next urgent request.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: deque[Connection] = deque()
        self._warm: Connection | None = None
        self._keeps_warm = False
        self._busy: set[Connection] = set()
        self._closed = False

    def keep_warm(self) -> None:
        """Keep a connection ready for urgent requests from now on."""
        self._keeps_warm = True

    async def ask(
        self,
        head: bytes,
        body: bytes,
        *,
        urgent: bool,
        announce: Callable[[], Awaitable[None]],
    ) -> Lease:
        """Send one request and return its answer, not yet read; call `announce` before any byte.

        Raises:
            UnreachableError: there is no connection; `announce` was not called.
        """
        connection = await self._take(urgent=urgent)
        try:
            await announce()
            answer = await connection.ask(head, body)
        except BaseException:
            await self.give_back(connection, reusable=False)
            raise
        return Lease(self, connection, answer)

    async def _take(self, *, urgent: bool) -> Connection:
        now = time.monotonic()
        expired = now - limits.KEEPALIVE_SECONDS
        while self._idle and self._idle[0].idle_since < expired:
            await self._idle.popleft().aclose()
        while (found := self._pick(now, urgent=urgent)) is not None:
            if found.idle_since >= expired and found.is_quiet():
                break
            await found.aclose()
        connection = found or await connect(self._route)
        self._busy.add(connection)
        return connection

    def _pick(self, now: float, *, urgent: bool) -> Connection | None:
        if urgent:
            if self._idle:
                return self._idle.pop()
            warm, self._warm = self._warm, None
            return warm
        if self._keeps_warm and self._idle:
            self._keep_one_warm(now)
        return self._idle.pop() if self._idle else None

    def _keep_one_warm(self, now: float) -> None:
        """Put one aside; a poll uses the one that has idled for long, so that it stays good."""
        stale = self._warm
        if stale is not None and stale.idle_since >= now - limits.WARM_SECONDS:
            return
        self._warm = self._idle.pop()
        if stale is not None:
            self._idle.append(stale)

    async def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Keep a connection for the next request, or close it."""
        self._busy.discard(connection)
        if not reusable or self._closed:
            await connection.aclose()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    async def aclose(self) -> None:
        """Close every connection, those in use too."""
        self._closed = True
        warm = () if self._warm is None else (self._warm,)
        everyone = (*self._idle, *self._busy, *warm)
        self._idle.clear()
        self._warm = None
        for connection in everyone:
            await connection.aclose()
