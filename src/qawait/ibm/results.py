"""The results of one client's jobs, from the request to the decoded value.

A result is decoded while it comes in. That of a private job, which the service
gives only once, is spooled whole before it is decoded, as are all with
`disk_bytes`: what fails then can be tried again without the service.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from qawait import limits
from qawait.errors import ProtocolError, UnknownOutcomeError
from qawait.ibm.codec.decode import feed, finish
from qawait.ibm.codec.executor import ExecutorDecoder
from qawait.ibm.codec.stream import StreamDecoder
from qawait.ibm.programs.results import processed
from qawait.ibm.spool import Spool
from qawait.ibm.wire import jobs
from qawait.jobs.service import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qawait.ibm.body import Sink
    from qawait.ibm.spool import Body
    from qawait.ibm.wire import Reply, Request
    from qawait.secret import Secret

DECODERS: Final[dict[str, Callable[[], StreamDecoder]]] = {
    "executor": ExecutorDecoder,
    "noise-learner": partial(StreamDecoder, circuits=True),  # layers are circuits
}
"""What decodes the results of a program, where it is not `StreamDecoder`."""


class Ask(Protocol):
    """Sends a request; the body of a 200 goes to what `sink` makes, one for each answer."""

    async def __call__(self, request: Request, *, sink: Callable[[], Sink]) -> Reply:
        """Return the answer, be it a success or a refusal."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """An answer whose body is spooled."""

    reply: Reply
    body: Body
    private: bool


class _Wanted(NamedTuple):
    """What a caller asks for."""

    job_id: str
    program: str | None
    private: bool
    call: Request


class Results:
    """Downloads, spools and decodes.

    `hide` gives what no error may quote. Up to `disk_bytes` of the last used
    bodies, those of a page or more, stay on disk until `close`.
    """

    def __init__(
        self, ask: Ask, *, hide: Callable[[], Iterable[Secret]], disk_bytes: int = 0
    ) -> None:
        self._ask = ask
        self._hide = hide
        self._disk_bytes = disk_bytes
        self._spool = Spool()
        self._stored: OrderedDict[str, _Stored] = OrderedDict()
        self._broken: dict[str, int] = {}  # private jobs' downloads, by the bytes that came

    def close(self) -> None:
        """Forget every body."""
        self._stored.clear()
        self._spool.close()

    async def fetch(self, job_id: str, program: str | None, *, private: bool) -> Fetched | None:
        """Return the decoded result of a job that is DONE; `None` while there is none yet.

        Raises:
            JobFailedError: the service stored a traceback in place of a result.
            ProtocolError: what came is no result, or the only download of a
                private one has broken off.
        """
        wanted = _Wanted(job_id, program, private, jobs.results(job_id))
        if job_id in self._stored:
            return await self._replayed(wanted, self._stored[job_id])
        if private or self._disk_bytes:
            return await self._spooled(wanted)
        feeding = _Feeding(program)
        reply = await self._ask(wanted.call, sink=lambda: feeding)
        return await self._value(wanted, reply, feeding.decoder)

    async def _value(self, wanted: _Wanted, reply: Reply, decoder: StreamDecoder) -> Fetched | None:
        if not self._is_result(wanted, reply, decoder):
            return None
        value = await processed(wanted.program, await finish(decoder))
        return Fetched(value, decoder.size)

    def _is_result(self, wanted: _Wanted, reply: Reply, decoder: StreamDecoder) -> bool:
        """Whether there is a result, and not none yet, by what the decoder has kept of it."""
        if reply.status == HTTPStatus.OK:
            reply = replace(reply, body=decoder.skeleton)
        body = jobs.parse_results(reply, wanted.call, job_id=wanted.job_id, hide=self._hide())
        return body is not None

    # --- spooled first -------------------------------------------------------------------------

    async def _spooled(self, wanted: _Wanted) -> Fetched | None:
        body = self._spool.body()
        reply = await self._download(wanted, body)
        if reply.status != HTTPStatus.OK:
            self._check_given(wanted.job_id, reply)
            return await self._value(wanted, reply, StreamDecoder())
        stored = self._stored[wanted.job_id] = _Stored(reply, body, wanted.private)
        self._broken.pop(wanted.job_id, None)
        return await self._replayed(wanted, stored)

    async def _download(self, wanted: _Wanted, body: Body) -> Reply:
        begun = False

        def begin() -> Body:
            nonlocal begun
            begun = True
            return body

        try:
            reply = await self._ask(wanted.call, sink=begin)
            if wanted.private or body.size >= limits.SPOOL_PAGE_BYTES:
                await body.settle()
        except BaseException as error:
            body.drop()
            if wanted.private and (begun or isinstance(error, UnknownOutcomeError)):
                self._broken[wanted.job_id] = body.size
            raise
        return reply

    def _check_given(self, job_id: str, reply: Reply) -> None:
        """Make sure that the service has not given this result to a download that broke off."""
        if job_id in self._broken and reply.status in _NO_RESULT:
            raise ProtocolError(
                "the result of this private job is lost: the service gives it only once, and "
                f"the download broke off after {self._broken[job_id]} bytes, which are not kept"
            )

    async def _replayed(self, wanted: _Wanted, stored: _Stored) -> Fetched | None:
        feeding = _Feeding(wanted.program)
        try:
            await stored.body.play(feeding)
            fetched = await self._value(wanted, stored.reply, feeding.decoder)
        except Exception:
            if not stored.private:  # the next call asks the service again
                self._forget(wanted.job_id)
            raise
        if fetched is None or stored.private or stored.body.size < limits.SPOOL_PAGE_BYTES:
            self._forget(wanted.job_id)
        else:
            self._keep_recent(wanted.job_id)
        return fetched

    def _forget(self, job_id: str) -> None:
        stored = self._stored.pop(job_id, None)
        if stored is not None:
            stored.body.drop()

    def _keep_recent(self, job_id: str) -> None:
        """Keep this body, and of the others as many as there is room for, the last used ones."""
        self._stored.move_to_end(job_id)
        left = self._disk_bytes
        for each, stored in reversed([*self._stored.items()]):
            if not stored.private:
                left -= stored.body.size
                if left < 0:
                    self._forget(each)


class _Feeding:
    """Feeds a decoder with what comes in."""

    def __init__(self, program: str | None) -> None:
        self.decoder = DECODERS.get(program or "", StreamDecoder)()

    async def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        await feed(self.decoder, piece)


_NO_RESULT: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)
