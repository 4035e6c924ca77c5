"""The doctor's checks: each says what it found and, if something is wrong, how to mend it."""

from __future__ import annotations

import importlib.metadata
import re
import sqlite3
import stat
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from qawait import limits
from qawait.errors import AuthError, ConfigError, NotSentError, QawaitError, RejectedError
from qawait.guard import journal
from qawait.guard.assembly import journal_path
from qawait.guard.folder import state_folder
from qawait.guard.guardian import Guardian, Where
from qawait.guard.owner import claim
from qawait.ibm import saved
from qawait.ibm.account import resolve_access
from qawait.ibm.reaching import reach
from qawait.ibm.transport import usual_certificates
from qawait.threads import in_thread
from qawait.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from qawait.ibm.account import Access, Account
    from qawait.ibm.service import IBMService

_KEYS: Final = "https://quantum.cloud.ibm.com"
_SAVE: Final = (
    "save an account: python -c \"import qawait; qawait.save_account('API KEY', instance='CRN')\", "
    "or set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE; `qawait run --local` needs none"
)
_SOME: Final = 5
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9_.-]+)\s*(?:\[[^]]*\])?\s*>=\s*([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `mend` says what to do where something is wrong."""

    name: str
    state: Literal["ok", "note", "problem", "skipped"]
    said: str
    mend: str | None = None


async def examined(
    *, name: str | None = None, instance: str | None = None
) -> AsyncIterator[Finding]:
    """Yield what each check finds, the local ones first."""
    for finding in versions():
        yield finding
    for finding in await in_thread(lambda: tuple(_state())):
        yield finding
    for finding in account_file(saved.path_of(None)):
        yield finding
    try:
        access = resolve_access(name=name, instance=instance)
    except ConfigError as error:
        yield Finding("account", "problem", error.message, _SAVE)
        for rest in ("key", "instance", "clock", "guardian"):
            yield Finding(rest, "skipped", "not looked at without an account")
        return
    yield Finding("account", "ok", f"an API key, for {access.url}")
    async for finding in _online(access):
        yield finding


# --- this machine --------------------------------------------------------------------------------


def versions(
    required: Iterable[str] | None = None,
    installed: Callable[[str], str] = importlib.metadata.version,
) -> Iterator[Finding]:
    """Yield whether the packages are those that qawait was made for."""
    if required is None:
        required = importlib.metadata.requires("qawait") or ()
    wrong = list(_unfit(required, installed))
    python = ".".join(map(str, sys.version_info[:3]))
    if not wrong:
        yield Finding("versions", "ok", f"qawait {__version__}, Python {python}")
    for package, found, wanted in wrong:
        said = f"{package} is {found or 'not installed'}, {wanted} or later is needed"
        yield Finding("versions", "problem", said, f"pip install '{package}>={wanted}'")


def _unfit(
    required: Iterable[str], installed: Callable[[str], str]
) -> Iterator[tuple[str, str | None, str]]:
    for requirement in required:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue
        package, wanted = match.groups()
        try:
            found = installed(package)
        except importlib.metadata.PackageNotFoundError:
            if "extra ==" not in requirement:
                yield package, None, wanted
            continue
        if _numbers(found) < _numbers(wanted):
            yield package, found, wanted


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"[0-9.]*", version)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)


def _state() -> Iterator[Finding]:
    folder = state_folder()
    try:
        from qawait.guard.folder import make_private

        make_private(folder)
        claim(folder).retire(folder)
    except (OSError, ConfigError) as error:
        said = f"{folder} cannot be used: {_reason(error)}"
        mend = "make it a folder that you can write, or set QAWAIT_STATE to one"
        yield Finding("state", "problem", said, mend)
        yield Finding("journal", "skipped", "not looked at without its folder")
        return
    yield Finding("state", "ok", str(folder))
    yield _journal(journal_path())


def _journal(path: Path) -> Finding:
    try:
        with closing(journal.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict == "ok":
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        left = journal.unsettled(path) if verdict == "ok" else []
    except sqlite3.OperationalError as error:
        mend = f"end the program that holds it (`fuser {path}` names it), or wait until it is done"
        return Finding("journal", "problem", f"{path} cannot be used: {error}", mend)
    except (sqlite3.Error, ConfigError, OSError) as error:
        verdict, left = _reason(error), []
    if verdict != "ok":
        said = f"{path} is damaged: {verdict.splitlines()[-1]}"
        mend = f"move it away: mv {path} {path}.damaged; `qawait jobs --pending` shows what is live"
        return Finding("journal", "problem", said, mend)
    if left:
        mend = "`qawait recover` shows those whose programs died; programs that run settle theirs"
        return Finding("journal", "note", f"{path}: {len(left)} not seen to end", mend)
    return Finding("journal", "ok", str(path))


def account_file(path: Path) -> Iterator[Finding]:
    """Yield whether others can read the file of saved accounts."""
    if sys.platform == "win32" or not path.exists():
        return
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        said = f"{path} holds API keys, and other users may read it"
        yield Finding("accounts", "problem", said, f"chmod 600 {path}")


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return str(said) or type(error).__name__


# --- the service ---------------------------------------------------------------------------------


async def _online(access: Access) -> AsyncIterator[Finding]:
    try:
        account, service = await reach(access)
    except QawaitError as error:
        yield _unreached("instance", error)
        return
    try:
        async for finding in _asked(service):
            yield finding
    finally:
        await service.aclose()
    yield await _guardian(account)


async def _asked(service: IBMService) -> AsyncIterator[Finding]:
    try:
        await service.tokens.token()
        yield Finding("key", "ok", "IAM accepts it")
    except QawaitError as error:
        yield _unreached("key", error)
        for rest in ("instance", "clock"):
            yield Finding(rest, "skipped", "not looked at without a token")
        return
    try:
        yield _clock(await service.clock_ahead())
        await service.usage()
    except RejectedError as error:
        yield _unreached("instance", error, await _own(service))
    except QawaitError as error:
        yield _unreached("service", error)
    else:
        yield Finding("instance", "ok", service.instance)


async def _own(service: IBMService) -> str:
    """Return the account's instances, for a remedy; nothing if they cannot be asked for."""
    try:
        crns = [instance.crn for instance in await service.instances()]
    except QawaitError:
        return ""
    return f": {', '.join(crns[:_SOME])}" if crns else ""


def _unreached(what: str, error: QawaitError, own: str = "") -> Finding:
    match error:
        case AuthError():
            mend = f"make a new API key at {_KEYS}, and save it"
        case NotSentError():
            mend = (
                "look at the network, QISKIT_IBM_URL and IAM_URL; behind a proxy set HTTPS_PROXY, "
                "for certificates of your own SSL_CERT_FILE"
            )
        case ConfigError() | RejectedError():
            mend = f"set QISKIT_IBM_INSTANCE to one of yours, as {_KEYS} shows them{own}"
        case _:
            mend = "try again later; https://cloud.ibm.com/status tells of outages"
    return Finding(what, "problem", error.message, mend)


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return Finding("clock", "skipped", "the service does not tell the time")
    if abs(ahead) <= limits.CLOCK_SKEW_SECONDS:
        return Finding("clock", "ok", "as the service's, within a minute")
    where = "behind" if ahead > 0 else "ahead of"
    said = f"this machine's clock is {abs(ahead):.0f} s {where} the service's"
    return Finding("clock", "problem", said, "set it: timedatectl set-ntp true")


async def _guardian(account: Account) -> Finding:
    where = Where(
        url=account.url,
        headers={},
        client_tag="qawait-doctor",
        ca_file=account.ca_file or usual_certificates(),
        proxy=account.proxy,
        seconds=1.0,
    )
    try:
        guardian = Guardian(where)
        await guardian.started()
    except QawaitError as error:
        mend = (
            "let this user start processes, and Python be a plain interpreter; connect("
            "guardian=False) goes without: jobs then outlive a program that is killed"
        )
        return Finding("guardian", "problem", error.message, mend)
    await guardian.close()
    return Finding("guardian", "ok", "starts, and ends")
