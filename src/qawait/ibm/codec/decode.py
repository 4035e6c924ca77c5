"""Results from the wire as values, whole or while they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.lowlevel

from qawait import limits
from qawait.ibm.codec.inflate import Budget
from qawait.ibm.codec.values import read_json
from qawait.ibm.heavy import inline_or_in_worker

if TYPE_CHECKING:
    from qawait.ibm.codec.stream import StreamDecoder


async def feed(decoder: StreamDecoder, piece: bytes) -> None:
    """Feed a decoder, and let the event loop have its turn after each step.

    Raises:
        ProtocolError: if the body is malformed or too large.
    """
    for start in range(0, len(piece), limits.STREAM_CHUNK_BYTES):
        work_left = decoder.feed(piece[start : start + limits.STREAM_CHUNK_BYTES])
        await anyio.lowlevel.checkpoint()
        while work_left:
            work_left = decoder.feed(b"")
            await anyio.lowlevel.checkpoint()


async def finish(decoder: StreamDecoder) -> Any:
    """Return what `decoder.finish()` does, without holding up the event loop for long.

    What takes long is done in a worker thread, as is the first result that needs
    qiskit-ibm-runtime.

    Raises:
        ProtocolError: if the result is malformed, truncated or too large.
    """
    return await inline_or_in_worker(decoder.finish, inline=decoder.is_quick)


def decode_result(body: bytes, *, circuits: bool = False) -> Any:
    """Return the value that a result stands for: a `PrimitiveResult`, or plain JSON.

    With `circuits`, which asks for trust in who wrote the body, the input of a
    job can be read too.

    Raises:
        ProtocolError: if the result is malformed, truncated or too large, or
            holds a value of an unknown type, or a circuit unasked.
    """
    return read_json(body, Budget(len(body)), circuits=circuits)
