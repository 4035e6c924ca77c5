"""One bearer token for all calls, renewed once for everybody.

The API key goes to IAM and nowhere else: there is no fallback that sends it to
the service, and what IAM refuses is an error.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import anyio

from qawait import limits
from qawait.errors import (
    AuthError,
    NotSentError,
    QawaitError,
    RejectedError,
    ThrottledError,
)
from qawait.ibm.wire import iam
from qawait.secret import Secret
from qawait.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from qawait.ibm.account import Access, Account
    from qawait.ibm.transport import Transport
    from qawait.ibm.wire import Reply

_log = logging.getLogger("qawait.auth")
_HEADERS: Final = {"User-Agent": f"qawait/{__version__}"}
_NEVER: Final = float("-inf")


class TokenSource:
    """Gives the current token, and fetches a new one before the old one ends.

    `clock` is monotonic, in seconds. One request to IAM is under way at most;
    callers who come meanwhile use the old token while it lives, or wait for
    that request and share its outcome. `on_token` is called with each new token.
    """

    def __init__(
        self,
        account: Account | Access,
        transport: Transport,
        *,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._account = account
        self._transport = transport
        self._clock = clock
        self._lock = anyio.Lock()
        self._token: Secret | None = None
        self._refresh_at = _NEVER
        self._dead_at = _NEVER
        self._retry_at = _NEVER
        self._refused_at = _NEVER
        self._rounds = 0
        self._failure: QawaitError | None = None
        self.on_token: Callable[[Secret], object] = _ignore

    def __repr__(self) -> str:
        return f"<TokenSource {'with' if self._token else 'without'} a token>"

    @property
    def current(self) -> Secret | None:
        """The token last given by IAM, dead or alive."""
        return self._token

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The credentials that no error may quote, should an answer echo them."""
        key = self._account.token
        return (key,) if self._token is None else (key, self._token)

    async def token(self) -> Secret:
        """Return a token that is good for another while.

        Raises:
            AuthError: IAM refuses the API key.
            ThrottledError: IAM asks for patience.
            NotSentError: there is no token and IAM gives none now, so that
                nothing was sent to the service.
        """
        live = self._live()
        if live is not None and (self._is_early() or self._lock.locked()):
            return live
        seen = self._rounds
        async with self._lock:
            live = self._live()
            if live is not None and self._is_early():
                return live
            return await self._renewed(seen, fallback=live)

    async def renew(self, stale: Secret) -> Secret:
        """Return another token than the one the service has just refused.

        `stale` must be the object that `token` gave. Many callers whose calls
        were refused together cause one request. A token that is refused right
        after it was renewed for that reason is given back: IAM has no better one.

        Raises:
            AuthError: IAM refuses the API key.
            ThrottledError: IAM asks for patience.
            NotSentError: IAM gives no token now.
        """
        seen = self._rounds
        async with self._lock:
            if self._token is not None and self._token is not stale:
                return self._token
            now = self._clock()
            if self._token is not None and now < self._refused_at + limits.TOKEN_RETRY_SECONDS:
                return self._token
            token = await self._renewed(seen, fallback=None)
            self._refused_at = now
            return token

    def _live(self) -> Secret | None:
        return self._token if self._clock() < self._dead_at else None

    def _is_early(self) -> bool:
        now = self._clock()
        return now < self._refresh_at or now < self._retry_at

    async def _renewed(self, seen: int, *, fallback: Secret | None) -> Secret:
        """Fetch a token, or share the failure of a round that ended while we waited."""
        if self._rounds == seen:
            await self._fetch()
        if self._failure is None and self._token is not None:
            return self._token
        if fallback is not None:
            return fallback
        raise (self._failure or NotSentError("IAM gave no token")).again()

    async def _fetch(self) -> None:
        started = self._clock()
        request = iam.create(self._account.token)
        failure: QawaitError | None = None
        try:
            reply = await self._transport.send(request, _HEADERS)
            grant = iam.parse(reply, request, api_key=self._account.token)
        except QawaitError as error:
            failure = _meaning(error)
        self._rounds += 1
        self._failure = failure
        if failure is not None:
            _log.debug("no new token: %s", type(failure).__name__)
            self._retry_at = self._clock() + limits.TOKEN_RETRY_SECONDS
            return
        self._token = grant.token
        # Short-lived tokens are used to the same share of their life as long-lived ones.
        last = (1 - limits.TOKEN_REFRESH_FRACTION) * grant.life
        self._refresh_at = started + limits.TOKEN_REFRESH_FRACTION * grant.life
        self._dead_at = started + grant.life - min(limits.TOKEN_GRACE_SECONDS, last)
        self._retry_at = _NEVER
        self.on_token(grant.token)


async def authorised(
    tokens: TokenSource,
    headers: Mapping[str, str],
    send: Callable[[Mapping[str, str | Secret]], Awaitable[Reply]],
) -> Reply:
    """Send a request with the current token; if it is refused with 401, once more with another.

    A 401 means that nothing was carried out.
    """
    token = await tokens.token()
    reply = await send(_with_bearer(token, headers))
    if reply.status != HTTPStatus.UNAUTHORIZED:
        return reply
    fresh = await tokens.renew(token)
    return reply if fresh is token else await send(_with_bearer(fresh, headers))


def _with_bearer(token: Secret, headers: Mapping[str, str]) -> dict[str, str | Secret]:
    return {"Authorization": Secret(f"Bearer {token.reveal()}"), **headers}


def _ignore(_: Secret) -> None:
    """Let nobody else know of a new token."""


def _meaning(error: QawaitError) -> QawaitError:
    """Return what a failed call to IAM means to a call to the service: refused, or not sent."""
    if isinstance(error, ThrottledError):
        return error
    if isinstance(error, RejectedError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return AuthError(
            f"IAM does not accept the API key: {error.message}",
            status=error.status,
            code=error.code,
            solution=error.solution,
            trace=error.trace,
            request=error.request,
        )
    return NotSentError(f"IAM gave no token, so nothing was sent: {error.message}")
