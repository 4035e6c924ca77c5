"""Where the API and IAM are: checks of URLs and CRNs, and the rules that join them.

Source of the rules: the service's regions and endpoints as IBM's own client
computes them from a CRN.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from qawait.errors import ConfigError

DEFAULT_URL: Final = "https://cloud.ibm.com"
_IAM_HOST: Final = "iam.cloud.ibm.com"
_STAGING_IAM_HOST: Final = "iam.test.cloud.ibm.com"
SEARCH_URL: Final = "https://api.global-search-tagging.cloud.ibm.com"
"""Where instances are searched for."""
CATALOG_URL: Final = "https://globalcatalog.cloud.ibm.com/api/v1"
"""Where plans are described."""
_HOME_REGION: Final = "us-east"
_API_PATH: Final = "/api/v1"
_SERVICE: Final = "quantum-computing"

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_PATH = re.compile(r"(/[A-Za-z0-9_.~-]+)*")
_CRN = re.compile(
    rf"crn:v1:(?P<cname>[a-z0-9-]+):[a-z0-9-]+:(?P<service>[a-z0-9-]+):(?P<region>{_LABEL})"
    r":[A-Za-z0-9/_-]+:[A-Za-z0-9_-]+:[A-Za-z0-9_-]*:[A-Za-z0-9_/.-]*"
)


@dataclass(frozen=True, slots=True)
class Crn:
    """An instance's cloud resource name: the part that says where it lives."""

    text: str
    cname: str
    region: str

    @classmethod
    def read(cls, text: str) -> Crn:
        """Return a CRN, or raise `ConfigError` if the text is none of this service's."""
        match = _CRN.fullmatch(text.strip())
        if match is None:
            raise ConfigError(_not_a_crn(text.strip()))
        if match["service"] != _SERVICE:
            raise ConfigError(
                f"the instance's CRN names the service {match['service']!r}; "
                f"one of {_SERVICE!r} is needed"
            )
        return cls(match[0], match["cname"], match["region"])


def _not_a_crn(text: str) -> str:
    where = "copy it from the Instances page of the IBM Quantum Platform"
    if text.startswith("crn:"):
        return (
            f"the instance {text!r:.200} is not a complete CRN: expected "
            f"crn:v1:bluemix:public:{_SERVICE}:<region>:a/<account>:<instance>::; {where}"
        )
    return f"the instance {text!r:.100} is not a CRN, which begins with 'crn:v1:': {where}"


@dataclass(frozen=True, slots=True)
class Url:
    """A checked address: scheme, host in lower case, port and path without a trailing slash."""

    scheme: str
    host: str
    port: int | None
    path: str

    @classmethod
    def read(cls, text: str, *, what: str) -> Url:
        """Return an address credentials may be sent to, or raise `ConfigError` naming `what`."""
        problem, url = _parsed(text.strip())
        if url is None:
            raise ConfigError(f"{what} {_shown(text)} {problem}")
        return url

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_loopback(self) -> bool:
        """Whether this address cannot leave the machine."""
        return _is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def _parsed(text: str) -> tuple[str, Url | None]:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "is not a URL", None
    url = Url(parts.scheme.lower(), host, port, parts.path.rstrip("/"))
    plain = text.isascii() and _is_host(host) and _PATH.fullmatch(url.path) is not None
    faults = {
        "must begin with https://": url.scheme not in {"http", "https"},
        "must not hold a user name or a password": "@" in parts.netloc,
        "must not have a query or a fragment": "?" in text or "#" in text,
        "has a host or a path that is not plain": not plain or "/.." in url.path,
        "is not encrypted: http:// is only for this machine, use https://": (
            url.scheme == "http" and not _is_loopback(host)
        ),
    }
    problem = next((fault for fault, is_so in faults.items() if is_so), None)
    return (problem, None) if problem else ("", url)


def _shown(text: str) -> str:
    """Return a URL for an error, without what may be a password."""
    plain = re.sub(r"//[^/]*@", "//…@", text.partition("?")[0].partition("#")[0])
    return f"{plain!r:.200}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    if _address(host) is not None:
        return "%" not in host
    # A last label of digits would be read as an address by some resolvers: 127.1, 0x7f.1.
    numeric = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2])
    return _HOST.fullmatch(host) is not None and not numeric


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("127.0.0.0/8")
    return host == "localhost" or address == ipaddress.ip_address("::1")


def api_base(url: Url, crn: Crn, *, private: bool) -> str:
    """Return the base URL of the API.

    A URL with a path is the base as it stands. One without a path names a
    cloud, and region and path follow from the CRN; on this machine only the
    path is added.
    """
    if url.path:
        return str(url)
    if url.is_loopback or url.host.startswith("quantum.") or ".quantum." in url.host:
        return f"{url.origin}{_API_PATH}"
    if private:
        prefix = f"private.{crn.region}."
    else:
        prefix = "" if crn.region == _HOME_REGION else f"{crn.region}."
    host = f"{prefix}quantum.{url.host}"
    return f"{Url(url.scheme, host, url.port, '').origin}{_API_PATH}"


def iam_base(given: str | None, url: Url, crn: Crn | None, *, private: bool) -> str:
    """Return the base URL of IAM: the given one, else the one that belongs to the API's.

    An API on this machine has its IAM there: the key never leaves it because
    only the API's address was given.
    """
    if given:
        return str(Url.read(given, what="the IAM URL"))
    if url.is_loopback:
        return url.origin
    is_staging = crn is not None and crn.cname == "staging"
    host = _STAGING_IAM_HOST if is_staging else _IAM_HOST
    return f"https://{'private.' if private else ''}{host}"


def search_base(given: str | None, url: Url) -> str:
    """Return where instances are searched for: the given URL, else the one that fits the API's.

    For an API on this machine that is the embedded service's, as for IAM.
    """
    if given:
        return str(Url.read(given, what="the URL of the global search"))
    return f"{url.origin}/gs" if url.is_loopback else SEARCH_URL


def catalog_base(given: str | None, url: Url) -> str:
    """Return where plans are described, likewise."""
    if given:
        return str(Url.read(given, what="the URL of the global catalog"))
    return f"{url.origin}/catalog/api/v1" if url.is_loopback else CATALOG_URL
