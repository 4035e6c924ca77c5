"""Scripts: what is to become of the next, or of selected, jobs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError

from . import checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OUTCOMES = ("run", "complete", "fail", "too_long")
HOLDS = (None, "queued", "running")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The fate of a job: how long it takes, how it ends, and what it shows meanwhile.

    `outcome` is `run` (execute for real), `complete` (end well with `result`
    and without executing), `fail` (with `reason`, `code`, `solution` and the
    traceback `text`) or `too_long` (code 1305). `status` is shown in place of
    `Running`, for `status_seconds` or for ever. `ignore_cancel` lets a job
    finish although its cancel was answered 204; `cancel_seconds` delays it.
    `estimate` is the running time that the service expects, and `usage` what it
    charges once the job has run; by default the whole seconds that it ran.
    """

    outcome: str = "run"
    result: str | None = None
    reason: str = "Job failed in the emulator, as scripted"
    code: int | None = 5203
    solution: str | None = None
    text: str | None = None
    status: str | None = None
    status_seconds: float | None = None
    hold: str | None = None
    ignore_cancel: bool = False
    cancel_seconds: float = 0.0
    queue_seconds: float | None = None
    run_seconds: float | None = None
    estimate: float | None = 2.1
    usage: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ConfigError(f"an outcome is one of {OUTCOMES}, not {self.outcome!r}")
        if self.hold not in HOLDS:
            raise ConfigError(f"a job is held 'queued' or 'running', not {self.hold!r}")
        for name in ("result", "reason", "solution", "text", "status"):
            checks.text(name, getattr(self, name))
        for name in ("status_seconds", "queue_seconds", "run_seconds", "estimate"):
            checks.number(name, getattr(self, name), optional=True)
        checks.number("cancel_seconds", self.cancel_seconds)
        for name in ("code", "usage"):
            checks.whole(name, getattr(self, name), optional=True)


PLAIN = Script()


@dataclasses.dataclass(slots=True, kw_only=True)
class Casting:
    """A script, the jobs it is for, and how many more times it is used (`None`: always)."""

    id: int
    script: Script
    times: int | None = 1
    tags: tuple[str, ...] = ()
    program: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        checks.whole("times", self.times, least=1, optional=True)

    def suits(self, tags: Sequence[str], program: str, backend: str) -> bool:
        """Tell whether a job is one of those the script is for."""
        return (
            self.times != 0
            and self.program in (None, program)
            and self.backend in (None, backend)
            and set(self.tags) <= set(tags)
        )


class Scripts:
    """The scripts that wait for jobs, first come first used."""

    def __init__(self) -> None:
        self._castings: list[Casting] = []
        self._next_id = 1

    def add(self, script: Script, **selection: Any) -> int:
        """Keep a script for jobs to come and return its id."""
        casting = Casting(id=self._next_id, script=script, **selection)
        self._next_id += 1
        self._castings.append(casting)
        return casting.id

    def take(self, tags: Sequence[str], program: str, backend: str) -> Script | None:
        """Return the first script that suits a new job, and count its use."""
        for casting in self._castings:
            if casting.suits(tags, program, backend):
                self._use(casting)
                return casting.script
        return None

    def _use(self, casting: Casting) -> None:
        if casting.times is not None:
            casting.times -= 1
            if not casting.times:
                self._castings.remove(casting)

    def clear(self) -> None:
        """Forget every script."""
        self._castings.clear()


def read_script(fields: Mapping[str, Any]) -> tuple[Script, dict[str, Any]]:
    """Split a control request into a script and the selection of its jobs."""
    names = {field.name for field in dataclasses.fields(Script)}
    script = {name: value for name, value in fields.items() if name in names}
    selection = {name: value for name, value in fields.items() if name not in names}
    strange = set(selection) - {"times", "tags", "program", "backend"}
    if strange:
        raise ConfigError(f"a script knows no {', '.join(sorted(strange))}")
    if "tags" in selection:
        selection["tags"] = tuple(selection["tags"])
    return Script(**script), selection
