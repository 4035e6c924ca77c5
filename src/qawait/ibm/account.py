"""Which account to use: arguments, environment variables or the file of saved accounts.

The file, its path, the variables and their precedence are those of
qiskit-ibm-runtime, so that an account saved there is found here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qawait.errors import ConfigError
from qawait.ibm import saved
from qawait.ibm.endpoints import (
    CATALOG_URL,
    DEFAULT_URL,
    SEARCH_URL,
    Crn,
    Url,
    api_base,
    catalog_base,
    iam_base,
    search_base,
)
from qawait.ibm.instances import Wish
from qawait.ibm.proxies import Proxies, secret_values
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qawait.ibm.saved import Entry

_AUTO: Final = "auto"
_HELP: Final = "give token=, set QISKIT_IBM_TOKEN, or save an account with qawait.save_account(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose jobs, and where: all that a connection to the service needs.

    `token` is the API key, `instance` the CRN. `url` is the base of the API, the
    other addresses those of IAM, the global search and the global catalog, all
    without a trailing slash. `ca_file` holds the certificates to trust instead
    of the usual ones.
    """

    token: Secret
    instance: str
    url: str
    iam_url: str
    search_url: str = SEARCH_URL
    catalog_url: str = CATALOG_URL
    proxies: Proxies = field(default_factory=Proxies)
    ca_file: str | None = None
    private_endpoint: bool = False

    @property
    def proxy(self) -> Secret | None:
        """The proxy before the API, as a URL that may hold a password."""
        return self.proxies.before(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An account whose instance may still have to be found: `crn` is it if it is known.

    `wish` says which instance to take, the other fields are those of `Account`.
    """

    token: Secret
    url: Url
    crn: Crn | None
    wish: Wish
    given_iam_url: str | None
    search_url: str
    catalog_url: str
    proxies: Proxies
    ca_file: str | None
    private_endpoint: bool

    @property
    def iam_url(self) -> str:
        """The base of IAM."""
        private = self.private_endpoint
        return iam_base(self.given_iam_url, self.url, self.crn, private=private)

    def account(self, crn: Crn) -> Account:
        """Return the account with its instance."""
        private = self.private_endpoint
        return Account(
            token=self.token,
            instance=crn.text,
            url=api_base(self.url, crn, private=private),
            iam_url=iam_base(self.given_iam_url, self.url, crn, private=private),
            search_url=self.search_url,
            catalog_url=self.catalog_url,
            proxies=self.proxies,
            ca_file=self.ca_file,
            private_endpoint=private,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Environment:
    """The variables that matter, read once."""

    token: Secret | None
    instance: str | None
    url: str | None
    iam_url: str | None
    search_url: str | None
    catalog_url: str | None
    channel: str | None
    proxies: Proxies

    @classmethod
    def read(cls, environ: Mapping[str, str] | None) -> _Environment:
        variables = os.environ if environ is None else environ
        return cls(
            token=_secret(variables.get("QISKIT_IBM_TOKEN")),
            instance=variables.get("QISKIT_IBM_INSTANCE") or None,
            url=variables.get("QISKIT_IBM_URL") or None,
            iam_url=variables.get("IAM_URL") or None,
            search_url=variables.get("GLOBAL_SEARCH_URL") or None,
            catalog_url=variables.get("GLOBAL_CATALOG_URL") or None,
            channel=variables.get("QISKIT_IBM_CHANNEL") or None,
            proxies=Proxies.of_environment(variables),
        )


def resolve_access(  # noqa: PLR0913 - one name for each field of an account
    *,
    token: str | Secret | None = None,
    instance: str | None = None,
    url: str | None = None,
    iam_url: str | None = None,
    name: str | None = None,
    filename: str | Path | None = None,
    region: str | None = None,
    plans_preference: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    proxies: Mapping[str, Any] | None = None,
    verify: str | bool | None = None,
    private_endpoint: bool | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Access:
    """Return the account to use; what is given here overrides the fields of what is found.

    The first that exists counts: the saved account that `name` or `filename`
    asks for; `token`; `QISKIT_IBM_TOKEN`; a saved account, of these the one
    marked as default, then the one with its channel's default name, then any.
    `QISKIT_IBM_INSTANCE` and `QISKIT_IBM_URL` complete a token that is not from
    the file; a saved key is never sent to an address that the environment names
    alone. `IAM_URL`, `GLOBAL_SEARCH_URL`, `GLOBAL_CATALOG_URL` and the proxies of
    the environment hold for all.

    Raises:
        ConfigError: there is no account, or a field of it cannot be used.
    """
    token, proxies = _secret(token), None if proxies is None else secret_values(proxies)
    env = _Environment.read(environ)
    del environ
    path = saved.path_of(filename, home)
    if name is not None or filename is not None:
        found = saved.find(path, name, env.channel)
    elif token is not None or env.token is not None:
        found = {"token": env.token, "instance": env.instance, "url": env.url}
    else:
        found = saved.find(path, None, env.channel)
    given = {
        "token": token,
        "instance": instance,
        "url": url,
        "region": region,
        "plans_preference": plans_preference,
        "tags": tags,
        "proxies": proxies,
        "verify": verify,
        "private_endpoint": private_endpoint,
    }
    found |= {key: value for key, value in given.items() if value is not None}
    found["instance"] = found.get("instance") or env.instance
    return _access(found, env, iam_url or env.iam_url)


def check_entry(entry: Entry) -> None:
    """Refuse an account that could not be used, as `resolve_access` would.

    Raises:
        ConfigError: a field of it cannot be used.
    """
    _access(entry, _Environment.read({}), None)


def _secret(value: object) -> Secret | None:
    if isinstance(value, Secret):
        return value or None
    return Secret(value.strip()) if isinstance(value, str) and value.strip() else None


def _access(entry: Entry, env: _Environment, iam_url: str | None) -> Access:
    token = _secret(entry.get("token"))
    if token is None:
        raise ConfigError(f"there is no API key: {_HELP}")
    crn, name = _instance(entry)
    proxies = entry.get("proxies")
    url = Url.read(_text(entry, "url") or DEFAULT_URL, what="the URL")
    access = Access(
        token=token,
        url=url,
        crn=crn,
        wish=_wish(entry, name),
        given_iam_url=iam_url,
        search_url=search_base(env.search_url, url),
        catalog_url=catalog_base(env.catalog_url, url),
        proxies=Proxies.of_account(proxies) if proxies else env.proxies,
        ca_file=_ca_file(entry.get("verify")),
        private_endpoint=entry.get("private_endpoint") is True,
    )
    for place in (access.iam_url, access.search_url, access.catalog_url):
        access.proxies.before(place)  # raises for what cannot be used
    return access


def _instance(entry: Entry) -> tuple[Crn | None, str | None]:
    """Return the instance's CRN, or the name it is to be found by; neither if any will do."""
    instance = (_text(entry, "instance") or _AUTO).strip()
    if instance.startswith("crn:"):
        return Crn.read(instance), None
    return None, None if instance == _AUTO else instance


def _wish(entry: Entry, name: str | None) -> Wish:
    return Wish(
        name=name,
        region=_text(entry, "region"),
        plans=tuple(plan.lower() for plan in _words(entry, "plans_preference")),
        tags=_words(entry, "tags"),
    )


def _text(entry: Entry, key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"the account's {key} must be a text, not a {type(value).__name__}")
    return value or None


def _words(entry: Entry, key: str) -> tuple[str, ...]:
    value = entry.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"the account's {key} must be a list of words, not {value!r:.100}")
    return tuple(value)


def _ca_file(verify: object) -> str | None:
    if verify is None or verify is True:
        return None
    if isinstance(verify, str) and verify:
        return verify
    raise ConfigError(
        "the account turns the check of certificates off (verify), which is refused: set verify "
        "to the path of a file with your certificates, or set SSL_CERT_FILE"
    )
