"""What a gateway is made with: whom it answers, what it takes and how long it keeps."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.guard.folder import state_folder
from qawait.runner import check_policy
from qawait.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from qawait.types import OnCancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Whom a gateway answers, what it takes, and how much of it it keeps.

    `folder` holds its jobs, by default one in the user's state folder; one gateway
    at a time can have it. `token` is what callers have to bring. Without one, only
    connections that arrive on a loopback address are answered; `authenticate=False`
    answers everyone, for an application that has its own way of telling who calls.
    `origins` are the other web pages that may call it, such as
    `"https://lab.example"`; none unless named.

    `on_cancel` is the policy of jobs that name none. Sizes are in bytes, times in
    seconds.

    Raises:
        ConfigError: a value that is none.
    """

    folder: Path | None = None
    token: Secret | None = None
    authenticate: bool = True
    origins: tuple[str, ...] = ()
    on_cancel: OnCancel = "detach"

    body_bytes: int = 2**20
    """The largest request; the circuit below, quoted as JSON, and room to spare."""
    code_bytes: int = 256 * 2**10
    """The longest OpenQASM text: reading it takes about 10 s, as long as may be taken."""
    qubits: int = 1_000
    """The widest circuit; the largest computers of today have a few hundred."""
    instructions: int = 50_000
    """The longest circuit, its gates' definitions written out: 20 nested lines can mean 2^20."""
    shots: int = 1_000_000
    """The most shots of one job; the service's own bound is ten times that."""
    read_seconds: float = 15.0
    """How long reading or transpiling one circuit may take before it is stopped."""
    readers: int = 1
    """Processes that read and transpile circuits (120 MB each)."""
    submits_at_once: int = 4
    """Submits on their way at a time: the service takes five a minute in the open plan."""
    pending_jobs: int = 2_000
    """Jobs that have not ended; one more is told to come back later."""
    streams: int = 1_000
    """Event streams open at a time, and synchronous runs."""
    wait_seconds: float = 300.0
    """The longest a synchronous run waits; proxies seldom allow more."""
    keep_seconds: float = 7 * 86_400.0
    """How long a job can be asked for after its end."""
    keep_bytes: int = 2**30
    """Results kept; beyond that the oldest expire before their time."""
    keep_jobs: int = 20_000
    """Jobs known at a time, expired ones among them (about 2 kB each)."""

    def __post_init__(self) -> None:
        check_policy(self.on_cancel)
        _check_origins(self.origins)
        if not isinstance(self.token, Secret | None) or self.token == Secret(""):
            raise ConfigError("token must be a qawait.secret.Secret that is not empty, or None")
        for field in fields(self):
            if field.name in _AMOUNTS:
                _check_amount(field.name, getattr(self, field.name))

    @property
    def where(self) -> Path:
        """The folder that holds the gateway's jobs."""
        return self.folder or state_folder() / "gateway"


_AMOUNTS: Final = frozenset(
    field.name for field in fields(Settings) if field.type in {"int", "float"}
)


def _check_origins(origins: Any) -> None:
    is_list = isinstance(origins, list | tuple)
    if not is_list or not all(isinstance(each, str) and "://" in each for each in origins):
        raise ConfigError(
            f"origins must be a list such as ['https://lab.example'], not {origins!r:.100}"
        )


def _check_amount(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(f"{name} must be a number from 0 on, not {value!r:.60}")
