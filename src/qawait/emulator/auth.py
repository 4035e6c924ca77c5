"""IAM tokens, global search and catalog: what a client asks before it asks the service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
import uuid
from typing import TYPE_CHECKING, Any

from .answers import RefusalError, dump, parsed, plain
from .instances import PLANS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .instances import Instance
    from .service import Service

_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
# Tokens whose signature was checked already, so that polling need not check again.
_REMEMBERED = 1000
_SEARCH_PAGE = 100


class Tokens:
    """Issues bearer tokens (decodable, signed JWTs) and knows its own again."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._expiry: dict[str, float] = {}

    def issue(self, life: float) -> dict[str, Any]:
        """Return IAM's answer with a token that lives `life` seconds."""
        issued = time.time() if life < 1 else int(time.time())
        expiry = issued + (int(life) if life >= 1 else life)
        claims = {
            "iat": issued,
            "exp": expiry,
            "iam_id": "IBMid-000000EMUL",
            "jti": uuid.uuid4().hex,
        }
        token = self._signed({"alg": "HS256", "typ": "JWT"}, claims)
        return {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": expiry - issued,
            "expiration": expiry,
            "scope": "ibm openid",
        }

    def _signed(self, *parts: dict[str, Any]) -> str:
        text = ".".join(_base64(dump(part)) for part in parts)
        return f"{text}.{_base64(self._signature(text))}"

    def _signature(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)

    def valid(self, token: str) -> bool:
        """Tell whether a token is one of ours and has not expired."""
        expiry = self._expiry.get(token)
        if expiry is None:
            expiry = self._read_expiry(token)
            if len(self._expiry) >= _REMEMBERED:
                self._expiry.clear()
            self._expiry[token] = expiry
        return time.time() < expiry

    def _read_expiry(self, token: str) -> float:
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_base64(self._signature(text)), signature):
            return 0.0
        claims = text.partition(".")[2]
        return float(json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"])

    def revoke_all(self) -> None:
        """Make every token issued so far invalid."""
        self._key = secrets.token_bytes(32)
        self._expiry.clear()


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unauthorised() -> RefusalError:
    """Return the documented refusal of missing or wrong credentials."""
    return RefusalError(401, 1201, "Invalid credentials.", "Verify your credentials and try again.")


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token.isascii() else ""


def check_token(request: Request, service: Service) -> None:
    """Refuse a request whose bearer token is missing, strange or expired."""
    if not service.tokens.valid(_bearer(request)):
        raise unauthorised()


def instance_of(request: Request, service: Service) -> Instance:
    """Return the instance a request is about; refuse one that names none, or a stranger's."""
    crn = request.headers.get("service-crn")
    if crn is None:
        raise RefusalError(400, 1209, "The Service-CRN header is missing.", "Send the instance.")
    instance = service.instances.get(urllib.parse.unquote(crn))
    if instance is None:
        raise RefusalError(404, 1210, "Instance not found.", "Check the Service-CRN header.")
    return instance


async def identity_token(request: Request) -> Response:
    """Exchange the API key for a bearer token, as IAM does."""
    service: Service = request.app.state.service
    body = (await request.body()).decode("utf-8", "replace")
    form = dict(urllib.parse.parse_qsl(body))
    if form.get("grant_type") != _GRANT:
        return _iam_error("BXNIM0112E", "The specified grant type is not supported.")
    key = form.get("apikey", "").encode()
    if not hmac.compare_digest(key, service.settings.token.reveal().encode()):
        return _iam_error("BXNIM0415E", "Provided API key could not be found.")
    return plain(service.tokens.issue(service.settings.token_life))


def _iam_error(code: str, message: str) -> Response:
    context = {"requestId": uuid.uuid4().hex}
    return plain({"errorCode": code, "errorMessage": message, "context": context}, 400)


async def search(request: Request) -> Response:
    """List the account's instances page by page, as IBM Cloud's global search does."""
    service: Service = request.app.state.service
    check_token(request, service)
    asked = parsed(await request.body())
    limit = int(request.query_params.get("limit", _SEARCH_PAGE))
    start = int(asked.get("search_cursor") or 0)
    found = [instance.found() for instance in service.instances.values()]
    page = {"items": found[start : start + limit], "limit": limit}
    more = {"search_cursor": str(start + limit)} if start + limit < len(found) else {}
    return plain({**page, **more})


async def catalog(request: Request) -> Response:
    """Describe a plan, as IBM Cloud's global catalog does."""
    check_token(request, request.app.state.service)
    asked = request.path_params["plan"]
    plan = next((known for known in PLANS.values() if known.id == asked), None)
    if plan is None:
        raise RefusalError(404, 1404, f"Plan not found: {asked}")
    words = {"display_name": plan.name, "description": "Emulator", "long_description": "Emulator"}
    return plain(
        {
            "id": plan.id,
            "name": plan.name.lower(),
            "overview_ui": {"en": words},
            "metadata": {"pricing": {"type": plan.pricing}},
        }
    )
