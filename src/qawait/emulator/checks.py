"""Checks of what a control request asks for, since it arrives as bare JSON."""

from __future__ import annotations

from typing import Any

from qawait.errors import ConfigError


def number(name: str, value: Any, *, optional: bool = False) -> None:
    """Refuse what is no number from zero."""
    kind_ok = isinstance(value, int | float) and not isinstance(value, bool)
    if not (optional and value is None) and not (kind_ok and value >= 0):
        raise ConfigError(f"{name} is a number, zero or more, not {value!r}")


def whole(name: str, value: Any, *, least: int = 0, optional: bool = False) -> None:
    """Refuse what is no whole number from `least`."""
    kind_ok = isinstance(value, int) and not isinstance(value, bool)
    if not (optional and value is None) and not (kind_ok and value >= least):
        raise ConfigError(f"{name} is a whole number from {least}, not {value!r}")


def text(name: str, value: Any, *, optional: bool = True) -> None:
    """Refuse what is no text."""
    if not (optional and value is None) and not isinstance(value, str):
        raise ConfigError(f"{name} is a text, not {value!r}")
