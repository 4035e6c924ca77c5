"""Which account to use: arguments, environment variables or the file of saved accounts.

The file, its path, the variables and their precedence are those of
qiskit-ibm-runtime, so that an account saved there is found here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qawait import limits
from qawait.errors import ConfigError
from qawait.ibm.endpoints import DEFAULT_URL, Crn, Url, api_base, iam_base
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE: Final = Path(".qiskit") / "qiskit-ibm.json"
_DEFAULT_NAMES: Final = {
    "ibm_quantum_platform": "default-ibm-quantum-platform",
    "ibm_cloud": "default-ibm-cloud",
}
_DEFAULT_CHANNEL: Final = "ibm_quantum_platform"
_LEGACY_NAME: Final = "default"
# Wrapped while the file is read, so that no dictionary with a plain credential is in any frame.
_SECRET_KEYS: Final = frozenset({"token", "http", "https", "username_ntlm", "password_ntlm"})
_HELP: Final = (
    "give token= and instance=, set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE, or save an account "
    "with qiskit_ibm_runtime.QiskitRuntimeService.save_account(...)"
)

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose jobs, and where: all that a connection to the service needs.

    `token` is the API key, `instance` the CRN, `url` the base of the API and
    `iam_url` that of IAM, both without a trailing slash. `proxy` is the HTTP
    proxy's URL, which may hold a password. `ca_file` holds the certificates to
    trust instead of the usual ones.
    """

    token: Secret
    instance: str
    url: str
    iam_url: str
    proxy: Secret | None = None
    ca_file: str | None = None
    private_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Environment:
    """The variables that matter, read once."""

    token: Secret | None
    instance: str | None
    url: str | None
    iam_url: str | None
    channel: str | None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None) -> _Environment:
        variables = os.environ if environ is None else environ
        return cls(
            token=_secret(variables.get("QISKIT_IBM_TOKEN")),
            instance=variables.get("QISKIT_IBM_INSTANCE") or None,
            url=variables.get("QISKIT_IBM_URL") or None,
            iam_url=variables.get("IAM_URL") or None,
            channel=variables.get("QISKIT_IBM_CHANNEL") or None,
        )


def resolve_account(
    *,
    token: str | Secret | None = None,
    instance: str | None = None,
    url: str | None = None,
    iam_url: str | None = None,
    name: str | None = None,
    filename: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Account:
    """Return the account to use; what is given here overrides the fields of what is found.

    The first that exists counts: the saved account that `name` or `filename`
    asks for; `token`; `QISKIT_IBM_TOKEN`; a saved account, of these the one
    marked as default, then the one with its channel's default name, then any.
    `QISKIT_IBM_INSTANCE` and `QISKIT_IBM_URL` complete a token that is not from
    the file; a saved key is never sent to an address that the environment names
    alone. `IAM_URL` holds for all.

    Raises:
        ConfigError: there is no account, or a field of it cannot be used.
    """
    token = _secret(token)
    env = _Environment.read(environ)
    del environ
    path = (home or Path.home()) / _FILE if filename is None else Path(filename).expanduser()
    if name is not None or filename is not None:
        found = _saved(path, name, env.channel)
    elif token is not None or env.token is not None:
        found = {"token": env.token, "instance": env.instance, "url": env.url}
    else:
        found = _saved(path, None, env.channel)
    given = {"token": token, "instance": instance, "url": url}
    found |= {key: value for key, value in given.items() if value is not None}
    found["instance"] = found.get("instance") or env.instance
    return _account(found, iam_url or env.iam_url)


def _secret(value: object) -> Secret | None:
    if isinstance(value, Secret):
        return value or None
    return Secret(value.strip()) if isinstance(value, str) and value.strip() else None


def _account(entry: Entry, iam_url: str | None) -> Account:
    token = _secret(entry.get("token"))
    if token is None:
        raise ConfigError(f"there is no API key: {_HELP}")
    crn = Crn.read(_instance(entry))
    url = Url.read(_text(entry, "url") or DEFAULT_URL, what="the URL")
    private = entry.get("private_endpoint") is True
    return Account(
        token=token,
        instance=crn.text,
        url=api_base(url, crn, private=private),
        iam_url=iam_base(iam_url, url, crn, private=private),
        proxy=_proxy(entry.get("proxies"), url),
        ca_file=_ca_file(entry.get("verify")),
        private_endpoint=private,
    )


def _instance(entry: Entry) -> str:
    instance = _text(entry, "instance")
    if instance is None:
        raise ConfigError(
            "there is no instance: give instance= or set QISKIT_IBM_INSTANCE to the instance's "
            "CRN, which the Instances page of the IBM Quantum Platform shows"
        )
    return instance


def _text(entry: Entry, key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"the account's {key} must be a text, not a {type(value).__name__}")
    return value or None


def _proxy(proxies: object, url: Url) -> Secret | None:
    """Return the proxy for the API, as a URL that may hold a password."""
    if not proxies or url.is_loopback:
        return None
    urls = proxies.get("urls") if isinstance(proxies, dict) else None
    if not isinstance(urls, dict):
        raise ConfigError("the account's proxies must be an object with an object 'urls'")
    if isinstance(proxies, dict) and any(key.endswith("_ntlm") for key in proxies):
        raise ConfigError(
            "the account's proxy wants NTLM, which is not supported: use a proxy with basic "
            "authentication, or a local relay"
        )
    proxy = urls.get("https")
    if isinstance(proxy, Secret) and not proxy.reveal().startswith(("http://", "https://")):
        raise ConfigError("the account's proxy must be an http:// or https:// URL")
    return proxy if isinstance(proxy, Secret) else None


def _ca_file(verify: object) -> str | None:
    if verify is None or verify is True:
        return None
    if isinstance(verify, str) and verify:
        return verify
    raise ConfigError(
        "the account turns the check of certificates off (verify), which is refused: set verify "
        "to the path of a file with your certificates, or set SSL_CERT_FILE"
    )


# --- the file of saved accounts ----------------------------------------------------------------


def _saved(path: Path, name: str | None, channel: str | None) -> Entry:
    if channel is not None and channel not in _DEFAULT_NAMES:
        raise ConfigError(
            f"QISKIT_IBM_CHANNEL is {channel!r:.100}; expected one of {', '.join(_DEFAULT_NAMES)}"
        )
    accounts, problem = _read(path)
    if problem is not None:
        raise ConfigError(f"the file of saved accounts {path} {problem}")
    found = _preferred(accounts, channel) if name is None else accounts.get(name)
    if found is None:
        raise ConfigError(_not_found(path, name, accounts))
    return dict(found)


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
            if entry.get("channel") in ({wanted} if wanted else _DEFAULT_NAMES)
        }
        marked = next((e for e in fit.values() if e.get("is_default_account") is True), None)
        names = (_DEFAULT_NAMES[wanted or _DEFAULT_CHANNEL], _LEGACY_NAME)
        named = next((fit[name] for name in names if name in fit), None)
        own = [e for e in fit.values() if e.get("channel") == (wanted or _DEFAULT_CHANNEL)]
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
        key: Secret(value) if key in _SECRET_KEYS and isinstance(value, str) else value
        for key, value in pairs.items()
    }
