"""Fault rules: which requests are harmed, how, and before or after their effect."""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError

from . import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .ledger import Entry

PHASES = ("headers", "before", "after")
# These harm an answer, so there has to be one.
OF_ANSWERS = frozenset({"slow", "truncate", "truncate_gzip", "malform", "replace", "cut"})
ENDING = frozenset({"fail", "reset", "close"})
WAITING = frozenset({"hang", "delay"})
KINDS = ENDING | OF_ANSWERS | WAITING


@dataclasses.dataclass(slots=True, kw_only=True)
class Fault:
    """One rule. `route` is a method and a path template, each with `*` allowed.

    `when` is `headers` (before the body is read), `before` or `after` the
    effect. The rule passes over the first `skip` matching requests and harms
    the next `times` (`None`: all). `status` (default 500), `body` and `headers`
    make the answer of `fail`; `replace` keeps what of them is not given;
    `seconds` is how long `delay` and `hang` last; `slow` sends `size` bytes
    each `seconds`; `cut` and `truncate` send the fraction `keep` of the body.
    A request whose client leaves while it waits has no effect, unless `anyway`.
    """

    route: str
    kind: str
    when: str = "before"
    times: int | None = 1
    skip: int = 0
    job_id: str | None = None
    tag: str | None = None
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float | None = None
    size: int = 1
    keep: float = 0.5
    anyway: bool = False
    id: int = 0
    hits: int = 0
    released: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"a fault is one of {sorted(KINDS)}, not {self.kind!r}")
        if self.when not in PHASES:
            raise ConfigError(f"a fault strikes in one of {PHASES}, not {self.when!r}")
        if self.kind in OF_ANSWERS:
            self.when = "after"
        self._check()

    def _check(self) -> None:
        checks.whole("times", self.times, optional=True)
        checks.whole("skip", self.skip)
        checks.whole("status", self.status, least=200, optional=True)
        checks.whole("size", self.size, least=1)
        checks.number("seconds", self.seconds, optional=True)
        checks.number("keep", self.keep)
        checks.text("route", self.route, optional=False)
        for name in ("job_id", "tag", "body"):
            checks.text(name, getattr(self, name))
        if not isinstance(self.headers, dict):
            raise ConfigError(f"headers are names and values, not {self.headers!r}")

    @property
    def name(self) -> str:
        """The fault as the ledger names it."""
        return f"{self.kind}({self.when})"

    @property
    def waits(self) -> bool:
        """Whether the request goes on afterwards, so that further rules may strike."""
        return self.kind in WAITING

    def matches(self, entry: Entry) -> bool:
        """Tell whether a request is one of those the rule is for."""
        method, _, route = self.route.rpartition(" ")
        return (
            fnmatch.fnmatchcase(entry.method, method or "*")
            and fnmatch.fnmatchcase(entry.route, route)
            and self.job_id in (None, entry.job_id)
            and (self.tag is None or self.tag in entry.tags)
        )

    def strikes(self) -> bool:
        """Count a matching request and tell whether this is one to harm."""
        self.skip -= 1
        if self.skip >= 0 or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True

    def described(self) -> dict[str, Any]:
        """Return the rule as plain JSON values."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "released")
        return {name: getattr(self, name) for name in names}


class Faults:
    """All rules, in the order in which they were given."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._next_id = 1

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._rules)

    def add(self, fault: Fault) -> int:
        """Keep a rule and return its id."""
        fault.id = self._next_id
        self._next_id += 1
        self._rules.append(fault)
        return fault.id

    def find(self, fault_id: int) -> Fault | None:
        """Return the rule with that id, if it is there."""
        return next((fault for fault in self._rules if fault.id == fault_id), None)

    def remove(self, fault: Fault) -> None:
        """Forget a rule, and let go of what hangs on it."""
        fault.released.set()
        self._rules.remove(fault)

    def clear(self) -> None:
        """Forget every rule, and let go of all that hangs."""
        for fault in list(self._rules):
            self.remove(fault)

    def take(self, entry: Entry, phase: str) -> list[Fault]:
        """Return the rules that harm a request in a phase: delays, and one of another kind."""
        struck: list[Fault] = []
        for fault in self._rules:
            if fault.when == phase and fault.matches(entry) and fault.strikes():
                struck.append(fault)
                if not fault.waits:
                    break
        if struck:
            names = [entry.fault] if entry.fault else []
            entry.fault = ",".join(names + [fault.name for fault in struck])
        return struck


def read_fault(fields: Mapping[str, Any]) -> Fault:
    """Return the rule a control request describes."""
    known = {field.name for field in dataclasses.fields(Fault)} - {"id", "hits", "released"}
    strange = set(fields) - known
    if strange:
        raise ConfigError(f"a fault knows no {', '.join(sorted(strange))}")
    return Fault(**fields)
