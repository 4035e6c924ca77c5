"""Which certificates are trusted."""

from __future__ import annotations

import os
import ssl

from qawait.errors import ConfigError


def usual_certificates() -> str | None:
    """Return the file trusted by default; `None` where the environment names another."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None
    import certifi

    return certifi.where()


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file, or else the usual ones.

    Raises:
        ConfigError: the file cannot be read.
    """
    file = ca_file or usual_certificates() or os.environ.get("SSL_CERT_FILE") or None
    folder = None if file else os.environ.get("SSL_CERT_DIR")
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise ConfigError(f"the certificates in {file or folder} cannot be read: {problem}")
