"""The front door: `connect()` and `local()`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from qawait.client import Client, ClientOptions
from qawait.errors import ConfigError
from qawait.guard.assembly import Protection, journal_path
from qawait.guard.where import Where
from qawait.ibm.account import resolve_access
from qawait.ibm.endpoints import Crn
from qawait.ibm.reaching import reach
from qawait.ibm.service import IBMService, plain_headers
from qawait.ibm.transport import usual_certificates
from qawait.jobs.schedule import PollSchedule
from qawait.runner import check_policy
from qawait.types import ResultCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from qawait.emulator.handle import Emulator
    from qawait.ibm.account import Account
    from qawait.types import OnCancel


def connect(  # noqa: PLR0913 - keywords, each with a default
    *,
    token: str | None = None,
    instance: str | None = None,
    url: str | None = None,
    iam_url: str | None = None,
    name: str | None = None,
    filename: str | Path | None = None,
    region: str | None = None,
    plans_preference: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    proxies: Mapping[str, Any] | None = None,
    verify: str | bool | None = None,
    private_endpoint: bool | None = None,
    on_cancel: OnCancel = "cancel",
    schedule: PollSchedule | None = None,
    results: ResultCache | None = None,
    guardian: bool = True,
) -> Opening:
    """Open a client on IBM Quantum, by `async with` or by `await`.

    Without arguments it uses the account saved by `save_account` or by
    `qiskit-ibm-runtime`, or the variables `QISKIT_IBM_TOKEN`,
    `QISKIT_IBM_INSTANCE`, `QISKIT_IBM_URL` and `IAM_URL`. `token` is an API key. A
    `url` that has a path is the API's base as it stands. `name` and `filename`
    choose a saved account. `on_cancel` is the policy of jobs that name none,
    `results` how much of their results is kept.

    `instance` is a CRN, with which nothing is looked up, or a name. Without one,
    the instances of the account are asked for: of those in `region` that have all
    the `tags`, and whose plan is one of `plans_preference`, the first plan of these
    goes first, or else what is free.

    `proxies` is `{"urls": {"https": URL}}`; without it `HTTPS_PROXY`, `ALL_PROXY`
    and `NO_PROXY` are read. `verify` is a file of certificates to trust.

    With the first submit a small process is started, the guardian, which cancels
    this client's jobs if this process dies; `guardian=False` goes without it.

    Raises:
        ConfigError: something given, saved or set is wrong; nothing has been sent.
            At opening: no instance is as wanted.
    """
    check_policy(on_cancel)
    cache = _checked(results)
    access = resolve_access(
        token=token,
        instance=instance,
        url=url,
        iam_url=iam_url,
        name=name,
        filename=filename,
        region=region,
        plans_preference=plans_preference,
        tags=tags,
        proxies=proxies,
        verify=verify,
        private_endpoint=private_endpoint,
    )

    async def open_() -> Client:
        account, service = await reach(access, disk_bytes=cache.disk_bytes)
        options = _options(account, on_cancel, schedule, cache, guardian=guardian)
        return await Client.open(service, options)

    return Opening(open_)


def local(
    *,
    backends: Iterable[str] = ("fez", "manila"),
    queue_seconds: float = 0.0,
    run_seconds: float = 0.0,
    noise: bool = False,
    seed: int | None = None,
    on_cancel: OnCancel = "cancel",
    schedule: PollSchedule | None = None,
    results: ResultCache | None = None,
) -> Opening:
    """Open a client on an embedded service of its own: no account and no network.

    The service runs in a process beside this one and executes circuits for real
    with Aer, on snapshots of IBM's `backends`: ideally, or with their `noise`.
    Jobs wait `queue_seconds` and run at least `run_seconds`. `on_cancel` and
    `results` are as for `connect`. The service ends with the client,
    so nothing outlives it and no guardian is needed.

    Raises:
        ConfigError: the extra `local` is not installed, or an option is wrong.
    """
    check_policy(on_cancel)
    cache = _checked(results)
    if isinstance(backends, str):
        raise ConfigError(f"backends must be a list of names, such as [{backends!r}]")

    async def open_() -> Client:
        from qawait.emulator import process

        embedded = await process.start(
            backends=tuple(backends),
            queue_seconds=queue_seconds,
            run_seconds=run_seconds,
            noise=noise,
            seed=seed,
        )
        try:
            account = _account_of(embedded.emulator)
            service = IBMService(account, disk_bytes=cache.disk_bytes)
            options = _options(account, on_cancel, schedule, cache, guardian=False)
            options = replace(
                options,
                protect=None,
                clean_up=lambda: process.stop(embedded),
                until_gone=embedded.process.wait,
            )
            return await Client.open(service, options)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await process.stop(embedded)
            raise

    return Opening(open_)


def _checked(results: object) -> ResultCache:
    if results is None:
        return ResultCache()
    if isinstance(results, ResultCache):
        return results
    raise ConfigError(f"results must be a qawait.ResultCache, not {results!r:.60}")


def _options(
    account: Account,
    on_cancel: OnCancel,
    schedule: PollSchedule | None,
    results: ResultCache,
    *,
    guardian: bool,
) -> ClientOptions:
    def protect(client_tag: str) -> Protection:
        where = Where(
            url=account.url,
            headers=plain_headers(account),
            client_tag=client_tag,
            ca_file=account.ca_file or usual_certificates(),
            proxy=account.proxy,
            journal=journal_path(),
        )
        return Protection(where, instance=account.instance, with_guardian=guardian)

    return ClientOptions(
        protect=protect,
        is_mine=lambda row: (row.url, row.instance) == (account.url, account.instance),
        on_cancel=on_cancel,
        schedule=schedule or PollSchedule(),
        results=results,
    )


def _account_of(emulator: Emulator) -> Account:
    access = resolve_access(
        token=emulator.token, url=emulator.url, iam_url=emulator.iam_url, environ={}
    )
    return access.account(Crn.read(emulator.instance))


class Opening:
    """A client about to be opened: enter it with `async with`, or await it and close it later."""

    def __init__(self, open_: Callable[[], Awaitable[Client]]) -> None:
        self._open = open_
        self._client: Client | None = None
        self._is_used = False

    def __await__(self) -> Generator[Any, Any, Client]:
        return self._opened().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._opened()
        return self._client

    async def _opened(self) -> Client:
        if self._is_used:
            raise ConfigError(
                "this opening has been used: each connect() or local() opens one client; keep "
                "that client, or call the function again for another"
            )
        self._is_used = True
        return await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.leave(error)
