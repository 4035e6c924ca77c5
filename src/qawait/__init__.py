"""Await quantum circuits on IBM Quantum.

`await` a circuit and get its result; cancel the task and the remote job is
cancelled. Start at `connect` (an account) or `local` (an embedded service).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait.errors import (
    AuthError,
    BackendPausedWarning,
    BudgetExceededError,
    ConfigError,
    DeadlineExceededError,
    GuardianError,
    JobCancelledError,
    JobFailedError,
    JobTimedOutError,
    NotSentError,
    ProtocolError,
    QawaitError,
    RejectedError,
    ThrottledError,
    UnknownOutcomeError,
    UnknownStatusError,
)
from qawait.types import (
    CancelOutcome,
    InstanceUsage,
    JobStatus,
    ResultCache,
    SessionDetails,
    SessionStatus,
    Snapshot,
    Stage,
    Update,
)
from qawait.version import __version__

if TYPE_CHECKING:
    from qawait.client import Client
    from qawait.ibm.accounts import delete_account, save_account, saved_accounts
    from qawait.ibm.backend import Backend
    from qawait.ibm.heavy import preload
    from qawait.ibm.instances import Instance
    from qawait.jobs.budget import Budget
    from qawait.jobs.job import Job
    from qawait.jobs.schedule import PollSchedule
    from qawait.opening import connect, local
    from qawait.panels.panel import Panel, panel
    from qawait.runner import Estimator, NoiseLearner, Sampler
    from qawait.scope import Scope
    from qawait.session import Session

__all__ = [
    "AuthError",
    "Backend",
    "BackendPausedWarning",
    "Budget",
    "BudgetExceededError",
    "CancelOutcome",
    "Client",
    "ConfigError",
    "DeadlineExceededError",
    "Estimator",
    "GuardianError",
    "Instance",
    "InstanceUsage",
    "Job",
    "JobCancelledError",
    "JobFailedError",
    "JobStatus",
    "JobTimedOutError",
    "NoiseLearner",
    "NotSentError",
    "Panel",
    "PollSchedule",
    "ProtocolError",
    "QawaitError",
    "RejectedError",
    "ResultCache",
    "Sampler",
    "Scope",
    "Session",
    "SessionDetails",
    "SessionStatus",
    "Snapshot",
    "Stage",
    "ThrottledError",
    "UnknownOutcomeError",
    "UnknownStatusError",
    "Update",
    "__version__",
    "connect",
    "delete_account",
    "local",
    "panel",
    "preload",
    "save_account",
    "saved_accounts",
]

_LATER = {
    "Backend": "qawait.ibm.backend",
    "Budget": "qawait.jobs.budget",
    "Client": "qawait.client",
    "Estimator": "qawait.runner",
    "Instance": "qawait.ibm.instances",
    "Job": "qawait.jobs.job",
    "NoiseLearner": "qawait.runner",
    "Panel": "qawait.panels.panel",
    "PollSchedule": "qawait.jobs.schedule",
    "Sampler": "qawait.runner",
    "Scope": "qawait.scope",
    "Session": "qawait.session",
    "connect": "qawait.opening",
    "delete_account": "qawait.ibm.accounts",
    "local": "qawait.opening",
    "panel": "qawait.panels.panel",
    "preload": "qawait.ibm.heavy",
    "save_account": "qawait.ibm.accounts",
    "saved_accounts": "qawait.ibm.accounts",
}
"""Names whose modules bring anyio and httpx along: imported when first used."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'qawait' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
