"""IBM Cloud IAM: an API key for a bearer token.

Source: IBM Cloud IAM Identity Services API, "Create an IAM access token".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from qawait.errors import ProtocolError
from qawait.ibm.wire.message import Request
from qawait.ibm.wire.reading import object_of
from qawait.ibm.wire.refusals import expect
from qawait.secret import Secret

if TYPE_CHECKING:
    from qawait.ibm.wire.message import Reply

_GRANT_TYPE: Final = "urn:ibm:params:oauth:grant-type:apikey"
# A header takes nothing else, and what refuses it quotes it: h11 puts an illegal value into its
# exception, which httpcore logs.
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A bearer token and its life in seconds, counted from before it was asked for."""

    token: Secret
    life: float


def create(api_key: Secret) -> Request:
    """Ask for a token; this is the only request that carries the API key."""
    return Request(
        name="POST /identity/token",
        method="POST",
        path="/identity/token",
        body=Secret(
            urlencode(
                {
                    "grant_type": _GRANT_TYPE,
                    "apikey": api_key.reveal(),
                    "response_type": "cloud_iam",
                }
            )
        ),
        content_type="application/x-www-form-urlencoded",
        safe=True,
    )


def parse(reply: Reply, request: Request, *, api_key: Secret) -> Grant:
    """Return the token of a reply; the token itself is not looked into.

    Raises:
        RejectedError: IAM refused, or failed (`status`); also its subclasses.
        ProtocolError: the reply holds no token that could be used.
    """
    expect(reply, request, hide=(api_key,), quote=False)
    record = object_of(reply, request)
    token = _taken(record)
    life = _life(record, reply)
    record.clear()
    if not token:
        raise ProtocolError(f"{request.name}: the answer holds no access token that fits a header")
    if life is None:
        raise ProtocolError(f"{request.name}: the answer does not say how long the token lives")
    return Grant(token=token, life=life)


def _taken(record: dict[str, Any]) -> Secret:
    token = record.get("access_token")
    return Secret(token if isinstance(token, str) and _TOKEN.fullmatch(token) else "")


def _life(record: dict[str, Any], reply: Reply) -> float | None:
    seconds = _number(record.get("expires_in"))
    if seconds is None and reply.at is not None:
        end = _number(record.get("expiration"))
        seconds = None if end is None else end - reply.at
    return seconds if seconds is not None and seconds > 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
