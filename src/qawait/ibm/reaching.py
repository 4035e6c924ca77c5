"""From an account to its instance: found by name, region, plan or tags where no CRN is given."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio

from qawait.ibm.auth import TokenSource
from qawait.ibm.endpoints import Crn
from qawait.ibm.instances import Directory, choose
from qawait.ibm.service import IBMService, certificates_for, transport_to
from qawait.jobs.calls import Calls

if TYPE_CHECKING:
    from qawait.ibm.account import Access, Account


async def reach(access: Access, *, disk_bytes: int = 0) -> tuple[Account, IBMService]:
    """Return the account with its instance, and the service; with a CRN, nothing is sent.

    `disk_bytes` is how much of the last results stays on disk.

    Raises:
        ConfigError: the account has no instance as wanted.
        QawaitError: the instances cannot be asked for.
    """
    if access.crn is not None:
        account = access.account(access.crn)
        return account, IBMService(account, disk_bytes=disk_bytes)
    verify = certificates_for(access)
    iam = transport_to(access.iam_url, access, verify)
    tokens = TokenSource(access, iam)
    directory = Directory(access, tokens, verify=verify)
    calls = Calls(random.Random().random)  # noqa: S311 - jitter is no secret
    try:
        chosen = choose(await calls.retrying(directory.instances), access.wish)
        account = access.account(Crn.read(chosen.crn))
        return account, IBMService(
            account, disk_bytes=disk_bytes, iam_transport=iam, tokens=tokens, verify=verify
        )
    except BaseException:
        with anyio.CancelScope(shield=True):
            await iam.aclose()
        raise
