"""divi on IBM Quantum: a backend for its programs, and a way to await them.

    from qawait.adapters.divi import QawaitBackend

    with qawait.sync.connect() as client:
        backend = QawaitBackend(client, backend="ibm_fez", shots=4096)
        vqe = VQE(molecule, backend=backend, ...)
        vqe.run()

In asynchronous code: `await arun(vqe)`, which a cancellation ends at once, the
remote job included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait.adapters import require

if TYPE_CHECKING:
    from qawait.adapters.divi.backend import QawaitBackend
    from qawait.adapters.divi.running import arun

__all__ = ["QawaitBackend", "arun"]

_MODULES = {
    "QawaitBackend": "qawait.adapters.divi.backend",
    "arun": "qawait.adapters.divi.running",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("divi", extra="divi")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
