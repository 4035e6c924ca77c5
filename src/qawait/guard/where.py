"""What a guardian is told of the service: all worked out, so that it only has to send."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qawait.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What a guardian has to know of the service and the journal.

    `url` is the API's base, `headers` go with every request, `client_tag` is on
    each of the client's jobs. Certificates are checked by `ca_file`, else by
    `SSL_CERT_FILE`, else the system's. `proxy` is an `http://` URL. After its
    parent's death a guardian lives `seconds` at most.
    """

    url: str
    headers: Mapping[str, str]
    client_tag: str
    ca_file: str | None = None
    proxy: Secret | None = None
    journal: Path | None = None
    seconds: float = limits.GUARDIAN_SECONDS

    def message(self) -> dict[str, Any]:
        """Return the message that tells it; raise `ConfigError` for what it cannot mean."""
        url = urlsplit(self.url)
        is_tls = url.scheme == "https"
        netloc = url.netloc.rpartition("@")[2]
        address = (url.hostname or "", url.port or (443 if is_tls else 80))
        headers = {"Host": netloc, "Accept": "application/json", **self.headers}
        prefix, tunnel = url.path.rstrip("/"), ""
        if self.proxy is not None:
            name = f"[{address[0]}]" if ":" in address[0] else address[0]
            target = f"{name}:{address[1]}"
            address, login = _proxy(self.proxy)
            if is_tls:
                tunnel = f"CONNECT {target} HTTP/1.1\r\n{_lines({'Host': target, **login})}\r\n"
            else:
                prefix, headers = f"http://{netloc}{prefix}", {**headers, **login}
        return {
            "address": address,
            "tls": url.hostname if is_tls else None,
            "ca_file": self.ca_file,
            "tunnel": tunnel,
            "prefix": prefix,
            "headers": _lines(headers),
            "client_tag": self.client_tag,
            "journal": None if self.journal is None else str(self.journal.absolute()),
            "seconds": self.seconds,
        }


def _proxy(given: Secret) -> tuple[tuple[str, int], dict[str, str]]:
    """Return a proxy's address, and the header that logs in there."""
    url = urlsplit(given.reveal())
    if url.scheme != "http" or not url.hostname:
        raise ConfigError("the guardian goes through http:// proxies only")
    login = {}
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        login = {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return (url.hostname, url.port or 80), login


def _lines(headers: Mapping[str, str]) -> str:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ConfigError("a header for the guardian has more than one line")
    return "".join(f"{line}\r\n" for line in lines)
