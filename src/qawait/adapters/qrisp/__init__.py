"""qrisp's `Backend` and `Job` on a qawait client; qrisp is imported when a name is first used.

with qawait.sync.connect() as client:
    backend = QawaitBackend(client, backend="ibm_fez")
    print(quantum_float.get_measurement(backend=backend))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qawait.adapters import require

if TYPE_CHECKING:
    from qawait.adapters.qrisp.backend import QawaitBackend
    from qawait.adapters.qrisp.batched import QawaitBatchedBackend
    from qawait.adapters.qrisp.job import QawaitJob

__all__ = ["QawaitBackend", "QawaitBatchedBackend", "QawaitJob"]

_ROOMS = {"QawaitBackend": "backend", "QawaitBatchedBackend": "batched", "QawaitJob": "job"}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("qrisp", extra="qrisp")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
