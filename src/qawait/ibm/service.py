"""IBM Quantum as a service that runs jobs: the protocol of `qawait.jobs.service`, over HTTP."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import anyio

from qawait import limits
from qawait.errors import ProtocolError, QawaitError, RejectedError, UnknownOutcomeError
from qawait.ibm.auth import TokenSource, authorised
from qawait.ibm.codec.decode import decode_result
from qawait.ibm.heavy import inline_or_in_worker
from qawait.ibm.instances import Directory
from qawait.ibm.results import Results
from qawait.ibm.transport import Transport, trusting
from qawait.ibm.wire import API_VERSION, backends, jobs, sessions
from qawait.ibm.wire.jobs import JobFilter
from qawait.ibm.wire.records import params_of
from qawait.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from qawait.ibm.account import Access, Account
    from qawait.ibm.body import Sink
    from qawait.ibm.instances import Instance
    from qawait.ibm.wire import Reply, Request
    from qawait.jobs.service import CancelReply, Fetched, Group
    from qawait.secret import Secret
    from qawait.types import (
        InstanceUsage,
        SessionDetails,
        SessionRequest,
        Snapshot,
        SubmitRequest,
    )

_AGENT: Final = f"qawait/{__version__}"


class IBMService:
    """One instance of IBM Quantum, spoken to on behalf of one account.

    `disk_bytes` is how much of the last results stays on disk. `transport` and
    `iam_transport` replace the connections to `account.url` and
    `account.iam_url`, and `tokens` goes on with tokens already had. Each method
    is one request; one that the service refuses with 401 is sent once more with
    a new token, since a 401 means that nothing was carried out.
    """

    def __init__(
        self,
        account: Account,
        *,
        disk_bytes: int = 0,
        transport: Transport | None = None,
        iam_transport: Transport | None = None,
        tokens: TokenSource | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._account = account
        self._results = Results(self._call, hide=lambda: self._secrets, disk_bytes=disk_bytes)
        self._known: dict[str, Snapshot] = {}
        self._reading = anyio.Lock()
        self._headers = plain_headers(account)
        if verify is None and not (transport and iam_transport):
            verify = certificates_for(account)
        self._transport = transport or transport_to(account.url, account, verify)
        self._iam_transport = iam_transport or transport_to(account.iam_url, account, verify)
        self.tokens = tokens or TokenSource(account, self._iam_transport)
        self._directory = Directory(account, self.tokens, verify=verify)

    def __repr__(self) -> str:
        return f"<IBMService {self._account.url}>"

    async def aclose(self) -> None:
        """Close every connection; the service cannot be used afterwards."""
        self._results.close()
        try:
            await self._transport.aclose()
        finally:
            await self._iam_transport.aclose()

    def keep_warm(self) -> None:
        """Keep a connection ready for cancels from now on: there is a job to cancel."""
        self._transport.keep_warm()

    # --- the protocol of qawait.jobs.service ---------------------------------------------------

    async def submit(
        self, request: SubmitRequest, *, on_sending: Callable[[], None] | None = None
    ) -> str:
        """Make one job and return its id.

        `on_sending` is called just before the first byte may leave, and right
        after a checkpoint: a caller cancelled before it has sent nothing.

        Raises:
            UnknownOutcomeError: the answer was lost or made no sense, or the
                service failed (5xx): the job may exist.
        """
        call = jobs.create(request)
        with _about(call, tag=request.tag), _effect(call):
            reply = await self._call(call, on_sending=on_sending)
            self.keep_warm()
            return jobs.parse_created(reply, call, hide=self._secrets)

    async def find(self, tag: str) -> list[Snapshot]:
        """Return the jobs that carry this tag, oldest first."""
        call = jobs.listing(JobFilter(tags=(tag,), sort="ASC", include_mocks=True))
        with _about(call, tag=tag):
            reply = await self._call(call)
            found = jobs.parse_jobs(reply, call, hide=self._secrets)
        # A job of somebody else's must not be taken for ours where a filter is not applied.
        return [job for job in found if tag in job.tags]

    async def status(self, job_id: str) -> Snapshot:
        """Return what the service says about one job."""
        call = jobs.get(job_id)
        with _about(call, job_id=job_id):
            reply = await self._call(call)
            return jobs.parse_job(reply, call, job_id=job_id, hide=self._secrets)

    async def pending(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
    ) -> list[Snapshot]:
        """Return one page of the queued and running jobs of a group, oldest first."""
        return await self._page(group, after, before, offset, pending=True)

    async def ended(
        self, group: Group, *, after: datetime | None, before: datetime | None, offset: int = 0
    ) -> list[Snapshot]:
        """Return one page of the ended jobs of a group, oldest first."""
        return await self._page(group, after, before, offset, pending=False)

    async def _page(
        self,
        group: Group,
        after: datetime | None,
        before: datetime | None,
        offset: int,
        *,
        pending: bool,
    ) -> list[Snapshot]:
        which = JobFilter(
            pending=pending,
            tags=() if group.tag is None else (group.tag,),
            session_id=group.session_id,
            include_mocks=True,
            created_after=after,
            created_before=before,
            offset=offset,
            sort="ASC",
        )
        call = jobs.listing(which)
        with _about(call):
            reply = await self._call(call)
        async with self._reading:  # pages that come together hold up the loop one at a time
            with no_collection(), _about(call):
                page = jobs.parse_jobs(reply, call, known=self._known, hide=self._secrets)
        if len(self._known) > limits.SNAPSHOTS_REMEMBERED:
            self._known.clear()
        self._known.update((job.job_id, job) for job in page)
        return page

    async def fetch(
        self, job_id: str, *, program: str | None = None, private: bool = False
    ) -> Fetched | None:
        """Return the decoded result of a job that is DONE; `None` while there is none yet.

        Raises:
            JobFailedError: the service stored a traceback in place of a result.
        """
        with _about(jobs.results(job_id), job_id=job_id):
            return await self._results.fetch(job_id, program, private=private)

    async def failure_text(self, job_id: str) -> str | None:
        """Return what a failed job stored in place of a result, if anything."""
        call = jobs.results(job_id, max_bytes=limits.SMALL_BODY_BYTES, deadline=limits.CALL_SECONDS)
        with _about(call, job_id=job_id):
            reply = await self._call(call)
            return jobs.parse_failure_text(reply, call, hide=self._secrets)

    async def cancel(self, job_id: str) -> CancelReply:
        """Ask the service to cancel one job.

        Raises:
            UnknownOutcomeError: as for `submit`; the job may have been cancelled.
        """
        call = jobs.cancel(job_id)
        with _about(call, job_id=job_id), _effect(call):
            reply = await self._call(call)
            return jobs.parse_cancel(reply, call, hide=self._secrets)

    async def open_session(
        self, request: SessionRequest, *, on_sending: Callable[[], None] | None = None
    ) -> SessionDetails:
        """Open one session or batch; `on_sending` as for `submit`.

        Raises:
            UnknownOutcomeError: as for `submit`; there may be a session.
        """
        call = sessions.create(request, instance=self._account.instance)
        with _effect(call):
            reply = await self._call(call, on_sending=on_sending)
            return sessions.parse_session(reply, call, hide=self._secrets)

    async def session(self, session_id: str) -> SessionDetails:
        """Return what the service says about one session or batch."""
        call = sessions.get(session_id)
        return sessions.parse_session(await self._call(call), call, hide=self._secrets)

    async def close_session(self, session_id: str) -> None:
        """Let a session take no more jobs; those that are there run to their end.

        Raises:
            UnknownOutcomeError: it may have been closed.
        """
        await self._end_session(sessions.close(session_id))

    async def cancel_session(self, session_id: str) -> None:
        """Let a session take no more jobs and drop the queued ones; those that run finish.

        Raises:
            UnknownOutcomeError: it may have been cancelled.
        """
        await self._end_session(sessions.cancel(session_id))

    async def _end_session(self, call: Request) -> None:
        with _effect(call):
            sessions.parse_ended(await self._call(call), call, hide=self._secrets)

    # --- what else a client asks ---------------------------------------------------------------

    async def job(self, job_id: str) -> Snapshot:
        """Return what the service says about one job."""
        return await self.status(job_id)

    async def jobs(self, which: JobFilter | None = None) -> list[Snapshot]:
        """Return one page of jobs, newest first unless sorted otherwise."""
        call = jobs.listing(which or JobFilter())
        with _about(call):
            reply = await self._call(call)
            return jobs.parse_jobs(reply, call, hide=self._secrets)

    async def inputs(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the decoded input of a job, circuits included; `None` for a private one."""
        call = jobs.get(job_id, exclude_params=False)
        with _about(call, job_id=job_id):
            reply = await self._call(call)
            jobs.parse_job(reply, call, job_id=job_id, hide=self._secrets)
            quick = len(reply.body) <= limits.INLINE_BYTES
            read = partial(decode_result, reply.body, circuits=True)
            record = await inline_or_in_worker(read, inline=quick)
            return params_of(record, call)

    async def queue_length(self, backend: str) -> int | None:
        """Return how many jobs wait for a backend; `None` if the service does not say."""
        length = (await self.backend_status(backend)).get("length_queue")
        return length if type(length) is int and length >= 0 else None

    async def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its params and its result."""
        await self._do(jobs.delete(job_id), job_id)

    async def set_tags(self, job_id: str, tags: Iterable[str]) -> None:
        """Replace the tags of a job."""
        await self._do(jobs.set_tags(job_id, tags), job_id)

    async def logs(self, job_id: str) -> str:
        """Return what the program of a job logged; empty if nothing."""
        call = jobs.logs(job_id)
        with _about(call, job_id=job_id):
            return jobs.parse_logs(await self._call(call), call, hide=self._secrets)

    async def metrics(self, job_id: str) -> dict[str, Any]:
        """Return the timestamps and the usage of a job, as the service gives them."""
        call = jobs.metrics(job_id)
        with _about(call, job_id=job_id):
            return jobs.parse_object(await self._call(call), call, hide=self._secrets)

    async def backends(self, *, include_mocks: bool = False) -> list[dict[str, Any]]:
        """Return the instance's backends, as the service describes them."""
        call = backends.listing(include_mocks=include_mocks)
        with _about(call):
            return backends.parse_listing(await self._call(call), call, hide=self._secrets)

    async def backend_configuration(
        self, name: str, *, calibration_id: str | None = None
    ) -> dict[str, Any]:
        """Return what a backend is, as the service describes it."""
        return await self._object(backends.configuration(name, calibration_id=calibration_id))

    async def backend_properties(
        self, name: str, *, calibration_id: str | None = None, before: datetime | None = None
    ) -> dict[str, Any] | None:
        """Return how well a backend does, or did; `None` for one without a calibration."""
        call = backends.properties(name, calibration_id=calibration_id, before=before)
        with _about(call):
            return backends.parse_properties(await self._call(call), call, hide=self._secrets)

    async def backend_status(self, name: str) -> dict[str, Any]:
        """Return whether a backend is up and how long its queue is."""
        return await self._object(backends.status(name))

    @property
    def instance(self) -> str:
        """The CRN of the instance."""
        return self._account.instance

    async def instances(self) -> list[Instance]:
        """Return the instances that the account's API key can use; some requests, all safe."""
        return await self._directory.instances()

    async def usage(self) -> InstanceUsage:
        """Return how much of its time the instance has used."""
        call = backends.usage()
        with _about(call):
            return backends.parse_usage(await self._call(call), call, hide=self._secrets)

    async def versions(self) -> dict[str, Any]:
        """Return which versions of the API are served."""
        return await self._object(backends.versions())

    async def clock_ahead(self) -> float | None:
        """Return by how many seconds the service's clock is ahead; `None` if it does not say."""
        reply = await self._call(backends.versions())
        told = reply.headers.get("date")
        if told is None or reply.at is None:
            return None
        try:
            return parsedate_to_datetime(told).timestamp() - reply.at
        except ValueError:
            return None

    # --- one call ------------------------------------------------------------------------------

    @property
    def _secrets(self) -> tuple[Secret, ...]:
        return self.tokens.secrets

    async def _call(
        self,
        request: Request,
        *,
        on_sending: Callable[[], None] | None = None,
        sink: Callable[[], Sink] | None = None,
    ) -> Reply:
        send = partial(self._transport.send, request, on_sending=on_sending, sink=sink)
        return await authorised(self.tokens, self._headers, send)

    async def _object(self, call: Request) -> dict[str, Any]:
        with _about(call):
            return backends.parse_object(await self._call(call), call, hide=self._secrets)

    async def _do(self, call: Request, job_id: str) -> None:
        with _about(call, job_id=job_id):
            jobs.parse_done(await self._call(call), call, hide=self._secrets)


def plain_headers(account: Account) -> dict[str, str]:
    """Return the headers of every request that are no secret."""
    return {
        "Service-CRN": account.instance,
        "IBM-API-Version": API_VERSION,
        "User-Agent": _AGENT,
        "X-Qx-Client-Application": _AGENT,
    }


def certificates_for(account: Account | Access) -> ssl.SSLContext | None:
    """Return one TLS context for all places: loading the certificates takes a while."""
    places = (account.iam_url, account.search_url, str(account.url))
    encrypted = any(url.startswith("https:") for url in places)
    return trusting(account.ca_file) if encrypted else None


def transport_to(url: str, account: Account | Access, verify: ssl.SSLContext | None) -> Transport:
    """Return connections to one place, through the account's proxy before it."""
    return Transport(url, verify=verify, proxy=account.proxies.before(url))


@contextmanager
def no_collection() -> Iterator[None]:
    """Make many short-lived objects without setting off the garbage collector.

    Those of a page would count as growth and, again and again, make it go through
    all that a program has: a loop with 10,000 jobs stands still for 50 ms then.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _about(call: Request, *, job_id: str | None = None, tag: str | None = None) -> Iterator[None]:
    """Name the request, and the job or the tag, in every error that passes."""
    try:
        yield
    except QawaitError as error:
        error.request = error.request or call.name
        error.job_id = error.job_id or job_id
        error.tag = error.tag or tag
        raise


@contextmanager
def _effect(call: Request) -> Iterator[None]:
    """Turn every doubt about a delivered request into `UnknownOutcomeError`."""
    try:
        yield
    except ProtocolError as error:
        doubt = error.message
    except RejectedError as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        doubt = error.message
    else:
        return
    raise UnknownOutcomeError(f"{call.name} was delivered, its outcome is unknown: {doubt}")
