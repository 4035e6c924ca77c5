"""Submits at the pace the service takes them: one line for all of a client's tasks.

The service documents a number of submits per minute, and says no (429, code 1202)
to any beyond. How it counts is not documented, so no 60 s ever see more submits
answered than the limit: that holds for windows and buckets of every kind. Nobody
is slowed down before the service has said no, unless the limit was given.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import anyio

from qawait import limits
from qawait.errors import NotSentError, RejectedError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_MINUTE: Final = 60.0
_LIMIT_CODE: Final = 1202


class Pace:
    """The line in which a client's submits wait for their turns, first come, first served.

    `per_minute` is the limit if it is known beforehand. Otherwise it is learnt
    from the service's first refusal, and forgotten when nobody has had to wait
    for a while.
    """

    def __init__(self, random: Callable[[], float], per_minute: int | None = None) -> None:
        self._random = random
        self._told = per_minute
        self._learnt: int | None = None
        self._line: list[Place] = []
        self._numbers = itertools.count()
        self._in_flight = 0
        self._taken: deque[float] = deque()  # when the service took submits, for a minute
        self._not_before = -math.inf
        self._pressed = -math.inf  # when somebody last had to wait
        self._moved = -math.inf  # when somebody last got through
        self._refusal: ThrottledError | None = None

    @property
    def limit(self) -> int | None:
        """The submits per minute that are kept to now; `None` while there is no limit."""
        known = [limit for limit in (self._told, self._learnt) if limit is not None]
        return min(known, default=None)

    def place(self) -> Place:
        """Return a place in the line, behind all that were given out before."""
        return Place(self, next(self._numbers))

    async def turn(self, place: Place) -> None:
        """Return when it is the turn of this place.

        Raises:
            ThrottledError: nobody's turn has come for `limits.THROTTLED_SECONDS`.
        """
        place.joined = min(place.joined, anyio.current_time())
        heapq.heappush(self._line, place)
        try:
            while (pause := self._pause(place)) > 0:
                self._pressed = now = anyio.current_time()
                left = max(place.joined, self._moved) + limits.THROTTLED_SECONDS - now
                if left <= 0 or (place is self._line[0] and left < pause < math.inf):
                    raise self._given_up()
                await place.woken(min(pause, left))
        finally:
            self._line.remove(place)
            heapq.heapify(self._line)
            self._wake()
        self._in_flight += 1

    def _pause(self, place: Place) -> float:
        """Return the seconds until this place has to look again, 0 when it is its turn."""
        if self._line[0] is not place:
            return math.inf
        now = anyio.current_time()
        self._forget(now)
        if now < self._not_before:
            return self._not_before - now
        if self.limit is None or self._in_flight + len(self._taken) < self.limit:
            return 0.0
        return self._taken[0] + _MINUTE - now if self._taken else math.inf

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] + _MINUTE <= now:
            self._taken.popleft()
        if now - self._pressed > limits.PACE_MEMORY_SECONDS:
            self._learnt = None

    def passed(self, *, taken: bool) -> None:
        """Note that a submit is over, and whether the service may have counted it."""
        self._in_flight -= 1
        self._moved = now = anyio.current_time()
        self._forget(now)
        if taken:
            self._taken.append(now)
            if self._learnt is not None:
                self._learnt = max(self._learnt, len(self._taken))
        self._wake()

    def refused(self, error: ThrottledError) -> None:
        """Note that the service took a submit for one too many; it had no effect."""
        self._in_flight -= 1
        self._pressed = now = anyio.current_time()
        self._forget(now)
        self._refusal = error
        if error.code == _LIMIT_CODE or error.retry_after is None:
            self._learnt = max(limits.SUBMITS_PER_MINUTE, len(self._taken), self._learnt or 0)
        pause = error.retry_after
        pause = limits.THROTTLED_PAUSE_SECONDS if pause is None else pause
        jittered = pause * (1 + limits.POLL_JITTER * self._random())
        self._not_before = max(self._not_before, now + jittered)
        self._wake()

    def _wake(self) -> None:
        if self._line:
            self._line[0].wake()

    def _given_up(self) -> ThrottledError:
        if self._refusal is not None:
            told = self._refusal.again()  # one for each submit, with a tag of its own
            told.tag = None
            return told
        message = f"no submit has come through for {limits.THROTTLED_SECONDS:g} s"
        return ThrottledError(message, status=429)


class Place:
    """One submit's place in the line; left, it says whether the service may have counted it."""

    __slots__ = ("_event", "_number", "_pace", "has_turn", "joined", "since")

    def __init__(self, pace: Pace, number: int) -> None:
        self._pace = pace
        self._number = number
        self._event = anyio.Event()
        self.has_turn = False
        self.joined = math.inf  # when it first waited for its turn
        self.since = math.inf  # when its turn came

    def __lt__(self, other: Place) -> bool:
        return self._number < other._number

    async def turn(self) -> None:
        """Return when it is this submit's turn.

        Raises:
            ThrottledError: as `Pace.turn`.
        """
        await self._pace.turn(self)
        self.has_turn, self.since = True, anyio.current_time()

    async def again(self, error: ThrottledError) -> None:
        """Return when the next turn of a submit that was refused for now has come.

        Raises:
            ThrottledError: as `Pace.turn`.
        """
        self.has_turn, self.since = False, math.inf
        self._pace.refused(error)
        await self.turn()

    async def woken(self, seconds: float) -> None:
        """Return after `wake`, or after so many seconds."""
        self._event = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._event.wait()

    def wake(self) -> None:
        """Let it look again whether its turn has come."""
        self._event.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.has_turn:
            self.has_turn = False
            spared = isinstance(error, NotSentError | RejectedError)
            self._pace.passed(taken=not spared)
