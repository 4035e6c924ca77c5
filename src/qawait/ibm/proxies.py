"""Which proxy stands before which address, as accounts and the environment have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from qawait.errors import ConfigError
from qawait.ibm.endpoints import Url
from qawait.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

_FROM_ENVIRONMENT = {
    "https": ("https_proxy", "HTTPS_PROXY"),
    "all": ("all_proxy", "ALL_PROXY"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Proxies by scheme, or scheme and host, and the hosts that are reached without one.

    Addresses on this machine, and those without encryption, never have a proxy.
    The URLs may hold passwords.
    """

    urls: Mapping[str, Secret] = field(default_factory=dict)
    without: str = ""

    @classmethod
    def of_account(cls, saved: object) -> Self:
        """Return the proxies of a saved account or an argument.

        The form is that of qiskit-ibm-runtime: `{"urls": {"https": URL}}`, where a
        key may also be `all`, or name a host as in `https://host`.

        Raises:
            ConfigError: it has another form, or asks for NTLM.
        """
        if not saved:
            return cls()
        saved = secret_values(saved) if isinstance(saved, dict) else {}
        urls = saved.get("urls")
        if not isinstance(urls, dict):
            raise ConfigError("the account's proxies must be an object with an object 'urls'")
        if any(key.endswith("_ntlm") for key in saved):
            raise ConfigError(
                "the account's proxy wants NTLM, which is not supported: use a proxy with basic "
                "authentication, or a local relay such as cntlm"
            )
        return cls(urls={key: _checked(url) for key, url in urls.items()})

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> Self:
        """Return the proxies of `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in small letters first.

        As for IBM's own client and most others.
        """
        urls = {}
        for scheme, names in _FROM_ENVIRONMENT.items():
            value = next((variables[name] for name in names if variables.get(name)), None)
            if value is not None:
                urls[scheme] = Secret(value if "://" in value else f"http://{value}")
        without = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
        return cls(urls=urls, without=without)

    def before(self, address: str) -> Secret | None:
        """Return the proxy on the way to an address; `None` if there is none.

        Raises:
            ConfigError: it is a proxy of a kind that is not supported.
        """
        url = Url.read(address, what="the address")
        if url.scheme == "http" or url.is_loopback or self._is_excepted(url):
            return None
        keys = (f"https://{url.host}", "https", f"all://{url.host}", "all")
        found = next((self.urls[key] for key in keys if key in self.urls), None)
        return None if found is None else _checked(found)

    def _is_excepted(self, url: Url) -> bool:
        places = {url.host, f"{url.host}:{url.port or 443}"}
        words = [word.strip().lower() for word in self.without.split(",") if word.strip()]
        ends = [word.removeprefix("*").lstrip(".") for word in words]
        return any(not end or _ends_with(place, end) for end in ends for place in places)


def _ends_with(place: str, end: str) -> bool:
    return place == end or place.endswith(f".{end}")


def secret_values(proxies: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same object with every text in it a `Secret`: any of them may hold a password."""
    return {
        key: secret_values(value)
        if isinstance(value, dict)
        else (Secret(value) if isinstance(value, str) else value)
        for key, value in proxies.items()
    }


def _checked(url: Any) -> Secret:
    if not isinstance(url, Secret) or not url.reveal().startswith(("http://", "https://")):
        raise ConfigError(
            "the proxy must be an http:// or https:// URL: others, such as SOCKS, are not "
            "supported; set proxies=, HTTPS_PROXY or NO_PROXY"
        )
    return url
