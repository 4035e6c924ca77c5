"""The file of saved accounts, in the form in which qiskit-ibm-runtime reads and writes it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import ConfigError
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE: Final = Path(".qiskit") / "qiskit-ibm.json"
DEFAULT_NAMES: Final = {
    "ibm_quantum_platform": "default-ibm-quantum-platform",
    "ibm_cloud": "default-ibm-cloud",
}
DEFAULT_CHANNEL: Final = "ibm_quantum_platform"
_LEGACY_NAME: Final = "default"
# Wrapped while the file is read, so that no dictionary with a plain credential is in any frame.
_SECRET_KEYS: Final = frozenset({"token", "http", "https", "all", "username_ntlm", "password_ntlm"})
_HELP: Final = "give token=, set QISKIT_IBM_TOKEN, or save an account with qawait.save_account(...)"

Entry = dict[str, Any]


def path_of(filename: str | Path | None, home: Path | None = None) -> Path:
    """Return where saved accounts are."""
    return (home or Path.home()) / _FILE if filename is None else Path(filename).expanduser()


def find(path: Path, name: str | None, channel: str | None) -> Entry:
    """Return the saved account of a name, or else the default one.

    Raises:
        ConfigError: there is none, or the file cannot be used.
    """
    if channel is not None and channel not in DEFAULT_NAMES:
        raise ConfigError(
            f"QISKIT_IBM_CHANNEL is {channel!r:.100}; expected one of {', '.join(DEFAULT_NAMES)}"
        )
    accounts = _accounts(path)
    found = _preferred(accounts, channel) if name is None else accounts.get(name)
    if found is None:
        raise ConfigError(_not_found(path, name, accounts))
    return dict(found)


def _accounts(path: Path) -> dict[str, Entry]:
    accounts, problem = _read(path)
    if problem is not None:
        raise ConfigError(f"the file of saved accounts {path} {problem}")
    return accounts


def _not_found(path: Path, name: str | None, accounts: Mapping[str, Entry]) -> str:
    if name is None:
        return f"no account was found, neither given nor in {path}: {_HELP}"
    known = ", ".join(sorted(accounts)) or "none"
    return f"there is no saved account named {name!r:.100} in {path}; known: {known}"


def _preferred(accounts: Mapping[str, Entry], channel: str | None) -> Entry | None:
    """Return the default account: marked, else named so, else any; channel by channel."""
    for wanted in (channel, None) if channel else (None,):
        fit = {
            name: entry
            for name, entry in accounts.items()
            if entry.get("channel") in ({wanted} if wanted else DEFAULT_NAMES)
        }
        marked = next((e for e in fit.values() if e.get("is_default_account") is True), None)
        names = (DEFAULT_NAMES[wanted or DEFAULT_CHANNEL], _LEGACY_NAME)
        named = next((fit[name] for name in names if name in fit), None)
        own = [e for e in fit.values() if e.get("channel") == (wanted or DEFAULT_CHANNEL)]
        rest = own or list(fit.values())
        found = marked or named or (rest[-1] if rest else None)
        if found is not None:
            return found
    return None


def _read(path: Path) -> tuple[dict[str, Entry], str | None]:
    """Return the saved accounts by name, or what is wrong with the file; none if it is absent."""
    try:
        if path.stat().st_size > limits.ACCOUNT_FILE_BYTES:
            return {}, f"is larger than {limits.ACCOUNT_FILE_BYTES} bytes"
        accounts = json.loads(path.read_text("utf-8"), object_hook=_wrap)
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        return {}, f"cannot be read: {error.strerror or type(error).__name__}"
    except (ValueError, RecursionError):
        return {}, "is not JSON: mend it, or delete it and save the account again"
    if not isinstance(accounts, dict) or not all(isinstance(e, dict) for e in accounts.values()):
        return {}, "does not map names to accounts"
    return accounts, None


def _wrap(pairs: Entry) -> Entry:
    return {
        key: Secret(value) if _is_secret(key) and isinstance(value, str) else value
        for key, value in pairs.items()
    }


def _is_secret(key: str) -> bool:
    return key in _SECRET_KEYS or "://" in key


# --- writing -----------------------------------------------------------------------------------


def save(path: Path, name: str, entry: Entry, *, overwrite: bool, as_default: bool) -> None:
    """Save an account; the file is replaced as a whole, and only its owner can read it.

    Raises:
        ConfigError: there is one of that name, or another default, and it is not
            to be overwritten; or the file cannot be read or written.
    """
    accounts = _accounts(path)
    if name in accounts and not overwrite:
        raise ConfigError(
            f"an account named {name!r:.100} is saved in {path}: choose another name, or "
            "overwrite=True"
        )
    accounts[name] = entry
    if as_default:
        _mark(accounts, name, overwrite=overwrite)
    _replace(path, accounts)


def _mark(accounts: dict[str, Entry], name: str, *, overwrite: bool) -> None:
    for other, entry in accounts.items():
        if entry.pop("is_default_account", None) and other != name and not overwrite:
            raise ConfigError(f"the default account is {other!r:.100}: give overwrite=True")
    accounts[name]["is_default_account"] = True


def delete(path: Path, name: str) -> bool:
    """Delete a saved account; tell whether there was one.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    accounts = _accounts(path)
    if accounts.pop(name, None) is None:
        return False
    _replace(path, accounts)
    return True


def all_of(path: Path) -> dict[str, Entry]:
    """Return the saved accounts by name; those of the retired channel are left out.

    Raises:
        ConfigError: the file cannot be read.
    """
    return {
        name: entry
        for name, entry in _accounts(path).items()
        if entry.get("channel") in DEFAULT_NAMES
    }


def _replace(path: Path, accounts: Mapping[str, Entry]) -> None:
    """Write beside the file and move over it, so that no reader ever sees a part."""
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(accounts, file, sort_keys=True, indent=4, default=_revealed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)  # noqa: PTH105 - both are paths to this one file
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        return
    raise ConfigError(f"the file of saved accounts {path} cannot be written: {problem}")


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a {type(value).__name__} cannot be saved")
