"""What is done to a simulated client, and in what circumstances: plain data, drawn from a seed."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from qawait.testing.faults import Call, Spoil, Trouble
from qawait.testing.ledger import Outcome
from qawait.types import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qawait.types import OnCancel

T = TypeVar("T")


class Verb(enum.Enum):
    """What can be done."""

    SUBMIT = "submit"
    JOIN = "join"  # one more waiter for a job
    STOP = "stop"  # a waiter
    CANCEL = "cancel"
    POLL = "poll"
    FETCH = "fetch"
    FAULT = "fault"  # for a request that is still to come
    LEAVE = "leave"
    KILL = "kill"
    KILL_GUARDIAN = "kill guardian"
    RESTART = "restart"
    RECOVER = "recover"
    ADVANCE = "advance"


Shape = Literal["plain", "wait_for", "sibling", "owned", "as_completed"]
"""How a waiter waits: by itself, in a nursery with a sibling, for a scope's jobs, …"""
Stop = Literal["once", "twice", "scope", "both", "sibling"]
"""How a waiter is stopped."""

SHAPES: Final[tuple[Shape, ...]] = ("plain", "wait_for", "sibling", "owned", "as_completed")
STOPS: Final[tuple[Stop, ...]] = ("once", "twice", "scope", "both", "sibling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that is done `pause` seconds after the one before.

    `which` chooses among the waiters or jobs there are. `seconds` is the limit of
    a `wait_for`, or the time between two cancellations. `lands` tells whether a
    killed client's requests that are on the wire arrive. A fault befalls the
    request after the next `which` of its call; an answer that comes all the same
    is `stale` seconds old and spoilt.
    """

    verb: Verb
    pause: float = 0.0
    which: int = 0
    shape: Shape = "plain"
    stop: Stop = "once"
    on_cancel: OnCancel = "cancel"
    seconds: float = 0.0
    lands: bool = True
    call: Call = "submit"
    trouble: Trouble | None = Trouble.LOST
    after: bool = False
    delay: float = 0.0
    late: float = 0.0
    spoil: Spoil | None = None
    stale: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The circumstances of a simulation; `seed` orders what happens at the same moment."""

    seed: int = 0
    latency: float = 0.01
    connect_seconds: float = 0.0
    listing_lag: float = 0.0
    cut_lands: bool = True
    disk_seconds: float = 0.001
    pipe_seconds: float = 0.0001
    watchdog: bool = False
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A setting and what is done in it."""

    setting: Setting = Setting()
    actions: tuple[Action, ...] = ()


_MOST_ACTIONS: Final = 11
OFTEN: Final = (
    *(Verb.SUBMIT,) * 4,
    *(Verb.STOP,) * 7,
    *(Verb.FAULT,) * 7,
    *(Verb.JOIN, Verb.CANCEL, Verb.POLL, Verb.FETCH) * 2,
    *(Verb.LEAVE, Verb.KILL, Verb.KILL_GUARDIAN, Verb.RESTART, Verb.RECOVER),
    *(Verb.ADVANCE,) * 2,
)
"""What is drawn from: what stands here more often is done more often."""


def draw(seed: int, verbs: Sequence[Verb] = OFTEN) -> Plan:
    """Return the plan of a seed; the same at every call, and on every Python."""
    draws = random.Random(seed)  # noqa: S311 - not a secret
    actions = [_action(draws, Verb.SUBMIT)]
    actions += [
        _action(draws, _chosen(draws, verbs)) for _ in range(draws.randrange(1, _MOST_ACTIONS))
    ]
    return Plan(setting=_setting(draws, seed), actions=tuple(actions))


PAUSES: Final = (0.0, 0.0, 0.0001, 0.005, 0.01, 0.02, 0.3, 1.0, 4.0)
LATENCIES: Final = (0.01, 0.01, 0.05, 0.4)

Error = tuple[Trouble | None, bool]
"""A trouble, and whether the request takes effect all the same."""
_EFFECT: Final[tuple[Error, ...]] = (
    (Trouble.LOST, False),
    (Trouble.LOST, True),
    (Trouble.LOST, True),
    (Trouble.NOT_SENT, False),
    (Trouble.THROTTLED, False),
    (None, False),
)
_QUESTION: Final[tuple[Error, ...]] = (
    (Trouble.LOST, False),
    (Trouble.NOT_SENT, False),
    (Trouble.THROTTLED, False),
    (Trouble.UNAVAILABLE, False),
    (Trouble.MALFORMED, False),
    (None, False),
)
_TOLD: Final[tuple[Error, ...]] = ((None, False),) * 2  # answers that may be stale or spoilt
ERRORS: Final[dict[Call, tuple[Error, ...]]] = {
    "submit": (*_EFFECT, *_EFFECT, (Trouble.REFUSED, False)),
    "cancel": _EFFECT,
    "find": (*_QUESTION, *_TOLD),
    "status": (*_QUESTION, *_QUESTION, *_TOLD, (Trouble.UNAUTHORISED, False)),
    "pending": (*_QUESTION, *_TOLD * 6),
    "fetch": _QUESTION,
}
"""What can befall each call. Only a lost answer leaves open whether there was an effect."""
SPOILS: Final[dict[Call, tuple[Spoil | None, ...]]] = {
    "find": (None, Spoil.REPEATED, Spoil.REVERSED),
    "pending": (None, None, *Spoil),
}
"""What lists of jobs can look like. A look-up that shows none of them twice is believed."""
STALE: Final[dict[Call, tuple[float, ...]]] = {
    "find": (0.0, 0.0, 0.3),
    "status": (0.0, 0.3, 5.0),
    "pending": (0.0, 0.3, 5.0),
}
"""How old an answer can be; of a look-up's no older than the listing may lag."""
_CALLS: Final[tuple[Call, ...]] = (
    *("submit",) * 3,
    *("cancel",) * 3,
    *("find", "status", "fetch"),
    *("pending",) * 2,
)
LATE: Final = (0.0, 0.0, 0.5, 1.5)
"""How late an effect can come: a look-up asks again after 2 s before it believes in an absence."""


def _setting(draws: random.Random, seed: int) -> Setting:
    return Setting(
        seed=seed,
        latency=_chosen(draws, LATENCIES),
        connect_seconds=_chosen(draws, (0.0, 0.0, 0.03)),
        listing_lag=_chosen(draws, (0.0, 0.0, 0.0, 0.3)),
        cut_lands=_chance(draws, 0.7),
        disk_seconds=_chosen(draws, (0.0005, 0.01)),
        pipe_seconds=_chosen(draws, (0.0, 0.0002, 0.005)),
        watchdog=_chance(draws, 0.2),
        outcomes=tuple(_outcome(draws) for _ in range(3)),
    )


def _outcome(draws: random.Random) -> Outcome:
    return Outcome(
        queue_seconds=_chosen(draws, (0.0, 0.02, 1.0, 8.0)),
        run_seconds=_chosen(draws, (0.0, 0.02, 1.0, 8.0)),
        ends_as=_chosen(draws, (JobStatus.DONE, JobStatus.DONE, JobStatus.ERROR)),
        outruns_cancel=_chance(draws, 0.15),
    )


def _action(draws: random.Random, verb: Verb) -> Action:
    call = _chosen(draws, _CALLS)
    trouble, after = _chosen(draws, ERRORS[call])
    return Action(
        verb=verb,
        pause=_chosen(draws, PAUSES) * (0.5 + draws.random()),
        which=_chosen(draws, (0, 0, 0, 1, 2, 3)),
        shape=_chosen(draws, (*SHAPES, "plain", "plain")),
        stop=_chosen(draws, STOPS),
        on_cancel="detach" if _chance(draws, 0.15) else "cancel",
        seconds=_chosen(draws, (0.0, 0.01, 0.1, 1.5)),
        lands=_chance(draws, 0.7),
        call=call,
        trouble=trouble,
        after=after,
        delay=_chosen(draws, (0.0, 0.0, 0.02, 1.0)),
        late=_chosen(draws, LATE) if after else 0.0,
        spoil=_chosen(draws, SPOILS.get(call, (None,))),
        stale=_chosen(draws, STALE.get(call, (0.0,))),
    )


def _chance(draws: random.Random, share: float) -> bool:
    return draws.random() < share


def _chosen(draws: random.Random, among: Sequence[T]) -> T:
    return among[draws.randrange(len(among))]
