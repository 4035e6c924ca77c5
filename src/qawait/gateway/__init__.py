"""An HTTP job service over qawait, with a page: an ASGI application for any server.

`create_app` makes it; `python -m qawait serve` runs it. `until_disconnect` is for
handlers of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qawait.gateway.app import Gateway, create_app
    from qawait.gateway.disconnect import ClientGone, until_disconnect
    from qawait.gateway.settings import Settings

__all__ = ["ClientGone", "Gateway", "Settings", "create_app", "until_disconnect"]

_LATER = {
    "ClientGone": "qawait.gateway.disconnect",
    "Gateway": "qawait.gateway.app",
    "Settings": "qawait.gateway.settings",
    "create_app": "qawait.gateway.app",
    "until_disconnect": "qawait.gateway.disconnect",
}
"""Names whose modules bring starlette along, which the process that reads circuits needs not."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'qawait.gateway' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
