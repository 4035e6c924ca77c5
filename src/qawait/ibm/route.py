"""Where requests go and which way: an origin, and the proxy before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from qawait.errors import ConfigError
from qawait.secret import Secret

if TYPE_CHECKING:
    import ssl

_PATH = re.compile(r"(/[A-Za-z0-9_.~%-]+)*/?")
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, and the path that every request begins with."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def read(cls, base_url: str) -> Origin:
        """Return the parts of a base URL, or raise `ConfigError`."""
        found = _split(base_url)
        if found is None or not _PATH.fullmatch(found[0].path):
            raise ConfigError("the service's address is not a plain http:// or https:// URL")
        url, host, port = found
        return cls(url.scheme, host, port, url.path.rstrip("/"))

    @property
    def netloc(self) -> str:
        """The host, and the port unless it is the scheme's own."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{bracketed(self.host)}{port}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: where it is, TLS or not, and `user:password` if it wants to know."""

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    login: Secret | None = None

    @classmethod
    def read(cls, url: Secret) -> Proxy:
        """Return the parts of a proxy's URL, or raise `ConfigError` without quoting it."""
        found = _split(url.reveal())
        if found is None:
            raise ConfigError("the account's proxy is not a plain http:// or https:// URL")
        parts, host, port = found
        login = None
        if parts.username is not None:
            login = Secret(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
        return cls(parts.scheme, host, port, login=login)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin: host and port, TLS or not, and the proxy between."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None


def bracketed(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def _split(text: str) -> tuple[SplitResult, str, int] | None:
    """Return a URL with its host and port; `None`, as its error would quote it, if it is none."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    except (ValueError, KeyError):
        return None
    return (url, host, port) if _HOST.fullmatch(host) else None
