"""Saving, deleting and listing accounts: plain functions on the file that both clients read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.ibm import saved
from qawait.ibm.account import check_entry
from qawait.ibm.endpoints import DEFAULT_URL
from qawait.ibm.proxies import secret_values
from qawait.ibm.saved import DEFAULT_CHANNEL, DEFAULT_NAMES
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_USUAL_NAMES: Final = frozenset({*DEFAULT_NAMES.values(), "default"})


def save_account(  # noqa: PLR0913 - one name for each field of an account
    token: str | Secret,
    *,
    instance: str | None = None,
    name: str | None = None,
    filename: str | Path | None = None,
    url: str | None = None,
    channel: str = DEFAULT_CHANNEL,
    region: str | None = None,
    plans_preference: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    proxies: Mapping[str, Any] | None = None,
    verify: str | bool | None = None,
    private_endpoint: bool = False,
    set_as_default: bool = False,
    overwrite: bool = False,
) -> None:
    """Save an account for `connect`, and for qiskit-ibm-runtime, which reads the same file.

    Without a `name` it is the default account of its channel. The other arguments
    mean what they mean to `connect`. The file is `~/.qiskit/qiskit-ibm.json`, or
    `filename`; it is written as a whole, and only its owner can read it.

    Raises:
        ConfigError: the account could not be used, one of that name is saved, or
            another is the default, without `overwrite`.
    """
    token = token if isinstance(token, Secret) else Secret(str(token or "").strip())
    entry: dict[str, Any] = {
        "channel": _checked(channel),
        "token": token,
        "url": url or DEFAULT_URL,
        "instance": instance,
        "region": region,
        "plans_preference": plans_preference,
        "tags": tags,
        "proxies": None if proxies is None else secret_values(proxies),
        "verify": verify,
        "private_endpoint": private_endpoint,
    }
    entry = {key: value for key, value in entry.items() if value is not None}
    check_entry(entry)
    path = saved.path_of(filename)
    name = name or DEFAULT_NAMES[channel]
    saved.save(path, name, entry, overwrite=overwrite, as_default=set_as_default)


def delete_account(
    name: str | None = None,
    *,
    filename: str | Path | None = None,
    channel: str = DEFAULT_CHANNEL,
) -> bool:
    """Delete a saved account, without a `name` its channel's default; tell whether there was one.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    name = name or DEFAULT_NAMES[_checked(channel)]
    return saved.delete(saved.path_of(filename), name)


def saved_accounts(
    *,
    name: str | None = None,
    filename: str | Path | None = None,
    channel: str | None = None,
    default: bool | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the saved accounts by name, those that meet every condition given.

    `default` is true for accounts under a default name, false for all others. Keys
    and passwords are `Secret`: their `reveal()` gives them, nothing else does.

    Raises:
        ConfigError: the file cannot be read.
    """
    return {
        known: entry
        for known, entry in saved.all_of(saved.path_of(filename)).items()
        if name in (None, known)
        and channel in (None, entry.get("channel"))
        and default in (None, known in _USUAL_NAMES)
    }


def _checked(channel: str) -> str:
    if channel not in DEFAULT_NAMES:
        expected = ", ".join(DEFAULT_NAMES)
        raise ConfigError(f"channel is one of {expected}, not {channel!r:.100}")
    return channel
