"""What can go wrong between a client and a service, as data."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from qawait.errors import (
    AuthError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qawait.types import Snapshot

Call = Literal[
    "submit",
    "find",
    "status",
    "pending",
    "ended",
    "fetch",
    "failure_text",
    "cancel",
    "inputs",
    "logs",
    "metrics",
    "set_tags",
    "delete",
    "queue_length",
]
"""The requests that a service takes."""

_RETRY_AFTER = 3.0


class Trouble(enum.Enum):
    """The errors a client sees when a request goes wrong; calling one makes the error."""

    LOST = "lost"
    """The answer never came: the request may have taken effect."""
    NOT_SENT = "not sent"
    """The connection was refused."""
    THROTTLED = "throttled"
    """The service asks for a pause of 3 s (429)."""
    UNAVAILABLE = "unavailable"
    """The service fails (503)."""
    MALFORMED = "malformed"
    """The answer makes no sense."""
    REFUSED = "refused"
    """The service says no (400)."""
    UNAUTHORISED = "unauthorised"
    """The service refuses the credentials (401)."""

    def __call__(self) -> QawaitError:
        """Return a new error of this kind."""
        return _ERRORS[self]()


def _throttled() -> QawaitError:
    error = ThrottledError("slow down", status=429)
    error.retry_after = _RETRY_AFTER
    return error


_ERRORS: dict[Trouble, Callable[[], QawaitError]] = {
    Trouble.LOST: lambda: UnknownOutcomeError("the answer was lost"),
    Trouble.NOT_SENT: lambda: NotSentError("the connection was refused"),
    Trouble.THROTTLED: _throttled,
    Trouble.UNAVAILABLE: lambda: RejectedError("the service failed", status=503),
    Trouble.MALFORMED: lambda: ProtocolError("the answer makes no sense"),
    Trouble.REFUSED: lambda: RejectedError("the input is invalid", status=400),
    Trouble.UNAUTHORISED: lambda: AuthError("the token has expired", status=401),
}


class Spoil(enum.Enum):
    """How a list of jobs can differ from the truth; calling one returns the list it makes."""

    EMPTIED = "emptied"
    """No job is shown."""
    THINNED = "thinned"
    """Every other job is missing."""
    REPEATED = "repeated"
    """Each job is shown twice."""
    REVERSED = "reversed"
    """The newest comes first."""
    GARBLED = "garbled"
    """Each status is a word that nobody documented."""

    def __call__(self, listed: Sequence[Snapshot]) -> list[Snapshot]:
        """Return what the service answers in place of `listed`."""
        return _SPOILT[self](listed)


def _garbled(seen: Snapshot) -> Snapshot:
    return replace(seen, status=None, raw_status="Pondering")


_SPOILT: dict[Spoil, Callable[[Sequence[Snapshot]], list[Snapshot]]] = {
    Spoil.EMPTIED: lambda _: [],
    Spoil.THINNED: lambda listed: list(listed[1::2]),
    Spoil.REPEATED: lambda listed: [*listed, *listed],
    Spoil.REVERSED: lambda listed: list(listed[::-1]),
    Spoil.GARBLED: lambda listed: [_garbled(seen) for seen in listed],
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: the request numbered `nth` of its call, from 0, or each of them.

    `error` is raised before the request takes effect or, with `after`, although
    it does; with no error the answer is only `delay` seconds late. With `late`,
    the effect comes that many seconds after the request arrived, and an error
    does not wait for it: the client gives up while its request is on the way.
    What a query is told is as it was `stale` seconds ago and, if it is a list of
    jobs, as `spoil` makes it.
    """

    call: Call
    nth: int | None
    error: Callable[[], QawaitError] | None = Trouble.LOST
    after: bool = False
    delay: float = 0.0
    late: float = 0.0
    spoil: Spoil | None = None
    stale: float = 0.0

    def befalls(self, call: Call, nth: int) -> bool:
        """Whether it is this request that goes wrong."""
        return self.call == call and self.nth in (None, nth)

    @property
    def spares_effect(self) -> bool:
        """Whether the request takes effect."""
        return self.error is None or self.after


@dataclass(frozen=True, slots=True)
class Outage:
    """A time, on the loop's clock, in which every request fails without an effect.

    Each fails `delay` seconds later than it would be answered, as after a time-out.
    """

    begins: float
    ends: float
    error: Callable[[], QawaitError] = Trouble.NOT_SENT
    delay: float = 0.0

    def fault(self, call: Call) -> Fault:
        """Return what befalls a request."""
        return Fault(call, None, self.error, delay=self.delay)
