"""The endpoints, described in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any


def document(root: str, settings: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "servers": [{"url": root}]}
