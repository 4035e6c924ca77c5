"""What an emulator is started with, and what may change while it runs."""

from __future__ import annotations

import dataclasses
import importlib.util
import secrets
from collections.abc import Mapping
from typing import Any

from qawait.errors import ConfigError
from qawait.secret import Secret

from . import checks

INSTANCE = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/0123456789abcdef0123456789abcdef:11111111-2222-3333-4444-555555555555::"
)
PLAN_ID = "53bfbd7b-open-plan-id"
DEFAULT_BACKENDS = ("ibm_fez", "ibm_manila")
BACKEND_STATES = ("online", "paused", "offline")

# IBM accepts inputs of 50 MB; base64 and JSON around them add a little.
MAX_BODY_BYTES = 64 * 1024 * 1024
# IBM's longest job; also what a job without a limit of its own is given.
MAX_COST_SECONDS = 10_800
MAX_TAGS = 8
# The one schema of the executor program that is spoken here.
EXECUTOR_SCHEMA = "v2.0"
# The same of the noise learner's third version; its second names none.
NOISE_LAYERS_SCHEMA = "v0.3"
MAX_TAG_LENGTH = 86
MAX_PAGE = 200
# Longest real computation of one job; a simulation beyond it is a mistake.
COMPUTE_LIMIT_SECONDS = 600.0
# How long a worker may go on computing for a job that was cancelled.
DISCARD_GRACE_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The emulator's options; durations are in seconds.

    `noise=False` simulates ideal devices; `noise=True` takes each backend's
    noise from its snapshot. `execute=False` answers every job with an empty
    canned result instead of simulating it. A session is inactive after
    `interactive_ttl` without a job, and closed after `session_idle_seconds`.
    `None` switches a limit off.
    """

    token: Secret = dataclasses.field(default_factory=lambda: Secret(secrets.token_urlsafe(24)))
    instance: str = INSTANCE
    backends: tuple[str, ...] = DEFAULT_BACKENDS
    noise: bool = False
    seed: int | None = None
    workers: int = 1
    execute: bool = True
    token_life: float = 3600.0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    lanes: int = 5
    list_lag: float = 0.0
    usage_lag: float = 0.0
    interactive_ttl: float = 60.0
    session_idle_seconds: float = 1800.0
    pending_limit: int | None = None
    submits_per_minute: int | None = None
    usage_limit: int | None = None
    ledger_length: int = 100_000
    ledger_body: int = 65_536
    backend_states: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "backends", tuple(map(device_name, self.backends)))
        states = {device_name(name): state for name, state in self.backend_states.items()}
        object.__setattr__(self, "backend_states", states)
        _check(self)


_SECONDS = (
    "interactive_ttl",
    "list_lag",
    "queue_seconds",
    "run_seconds",
    "session_idle_seconds",
    "token_life",
    "usage_lag",
)
_NEEDED = ("starlette", "uvicorn", "qiskit_aer", "qiskit_ibm_runtime")
CHANGEABLE = frozenset(
    {
        "backend_states",
        "execute",
        "interactive_ttl",
        "lanes",
        "ledger_body",
        "list_lag",
        "noise",
        "pending_limit",
        "queue_seconds",
        "run_seconds",
        "seed",
        "session_idle_seconds",
        "submits_per_minute",
        "token_life",
        "usage_lag",
        "usage_limit",
    }
)


def require_packages() -> None:
    """Raise `ConfigError` if the packages of the `local` extra are not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the emulator needs {', '.join(missing)}: run pip install 'qawait[local]'"
        )


def device_name(name: str) -> str:
    """Return the name under which a backend is served: `manila` is `ibm_manila`."""
    bare = name.strip().lower().removeprefix("fake_").removeprefix("ibm_")
    if not bare.isidentifier():
        raise ConfigError(f"not a backend's name: {name!r}")
    return f"ibm_{bare}"


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return the settings with `changes` made; raise `ConfigError` for what cannot change."""
    fixed = sorted(set(changes) - CHANGEABLE)
    if fixed:
        raise ConfigError(f"cannot be changed while the emulator runs: {', '.join(fixed)}")
    return dataclasses.replace(settings, **changes)


def shown(settings: Settings) -> dict[str, Any]:
    """Return the changeable settings as plain JSON values."""
    return {name: _plain(getattr(settings, name)) for name in sorted(CHANGEABLE)}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _check(settings: Settings) -> None:
    for name in _SECONDS:
        checks.number(name, getattr(settings, name))
    for name in ("lanes", "workers", "ledger_length"):
        checks.whole(name, getattr(settings, name), least=1)
    for name in ("pending_limit", "submits_per_minute", "usage_limit", "seed"):
        checks.whole(name, getattr(settings, name), optional=True)
    checks.whole("ledger_body", settings.ledger_body)
    strange = {state for state in settings.backend_states.values() if state not in BACKEND_STATES}
    if strange:
        raise ConfigError(f"a backend is one of {BACKEND_STATES}, not {sorted(strange)}")
    if not settings.backends:
        raise ConfigError("an emulator needs at least one backend")
