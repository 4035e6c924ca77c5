"""Work that ends when the HTTP client goes away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

CLIENT_GONE: Final = 499
"""What nginx notes for a client that left; nobody receives it."""


class ClientGone(HTTPException):
    """The client that sent the request has gone; what was done for it has been cancelled."""

    def __init__(self) -> None:
        super().__init__(CLIENT_GONE, "the client has gone")


@asynccontextmanager
async def until_disconnect(request: Request) -> AsyncIterator[None]:
    """Cancel the block when the client of `request` goes away before it has ended.

    For handlers of Starlette and FastAPI, once the request's body has been read:

        async with until_disconnect(request):
            result = await client.run(circuit, backend="ibm_fez")

    A qawait job that is awaited within is cancelled as by any other cancellation:
    once, and according to its policy.

    Raises:
        ClientGone: the block was cancelled; the framework ends the request quietly.
    """
    failure: Exception | None = None
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass  # an empty rest of the body
        is_gone = True
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        is_finished = False
        try:
            yield
            is_finished = True
        except Exception as raised:  # noqa: BLE001 - raised again outside, where no group wraps it
            failure = raised
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if is_gone and not is_finished:
        raise ClientGone
