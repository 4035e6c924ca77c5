"""Which certificates are trusted."""

from __future__ import annotations

import os
import ssl
from typing import Final

from qawait.errors import ConfigError

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What IBM's own client reads, and what networks that look into TLS tell their users to set."""


def usual_certificates() -> str | None:
    """Return the file trusted by default; `None` where `SSL_CERT_FILE` or `SSL_CERT_DIR` is set.

    It is certifi's, or what `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE` names.
    """
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None
    named = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)
    if named is not None:
        return named
    import certifi

    return certifi.where()


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file, or else the usual ones.

    Raises:
        ConfigError: the file cannot be read.
    """
    file = ca_file or usual_certificates() or os.environ.get("SSL_CERT_FILE") or None
    folder = None if file else os.environ.get("SSL_CERT_DIR")
    if file and os.path.isdir(file):  # noqa: PTH112 - the variables may name a folder, too
        file, folder = None, file
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise ConfigError(f"the certificates in {file or folder} cannot be read: {problem}")
