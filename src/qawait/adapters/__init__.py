"""One peer's interface each, over the blocking face; a peer is imported when first used."""

from __future__ import annotations

from importlib.util import find_spec

from qawait.errors import ConfigError


def require(package: str, *, extra: str) -> None:
    """Make sure that `package` can be imported.

    Raises:
        ConfigError: it is not installed; the message names the extra that brings it.
    """
    if find_spec(package) is None:
        message = f"this adapter needs {package}: run pip install 'qawait[{extra}]'"
        raise ConfigError(message)
