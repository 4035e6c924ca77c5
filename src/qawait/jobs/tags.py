"""The tags that qawait puts on jobs beside their user's own."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN: Final = re.compile(r"qawait-(client-)?[0-9a-f]{24}")


def submit_tag() -> str:
    """Return a tag for one submit: how a job whose id was lost is found again."""
    return f"qawait-{secrets.token_hex(12)}"


def client_tag() -> str:
    """Return a tag for all jobs of one client, to ask for them together."""
    return f"qawait-client-{secrets.token_hex(12)}"


def divided(tags: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a job's tags as its user's own and those that qawait put on it."""
    known = tuple(tags)
    own = tuple(tag for tag in known if _OWN.fullmatch(tag))
    return tuple(tag for tag in known if tag not in own), own
