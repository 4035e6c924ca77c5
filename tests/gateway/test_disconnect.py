"""Work that ends when the HTTP client goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from starlette.requests import Request

from qawait.gateway import ClientGone, until_disconnect

if TYPE_CHECKING:
    from starlette.types import Message

pytestmark = pytest.mark.anyio


def request_until(gone: anyio.Event) -> Request:
    """Return a request whose client goes away when `gone` is set."""

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": []}, receive)


async def test_a_client_that_leaves_cancels_the_work() -> None:
    """The block is cancelled, and the handler ends with `ClientGone`."""
    gone, cancelled = anyio.Event(), anyio.Event()
    with pytest.raises(ClientGone):
        async with until_disconnect(request_until(gone)):
            gone.set()
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.set()
    assert cancelled.is_set()


async def test_work_that_ends_first_is_left_alone() -> None:
    """A block that ends while the client is there gives its value."""
    async with until_disconnect(request_until(anyio.Event())):
        value = 7
    assert value == 7


async def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    """What the block raises comes out bare, in no group."""
    with pytest.raises(LookupError, match="mine"):
        async with until_disconnect(request_until(anyio.Event())):
            raise LookupError("mine")


async def test_a_cancelled_handler_stays_cancelled() -> None:
    """A cancellation from outside passes through."""
    with anyio.CancelScope() as scope:
        async with until_disconnect(request_until(anyio.Event())):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
