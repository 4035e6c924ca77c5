"""The instances of an account: found, and one of them chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from qawait.errors import ConfigError, ProtocolError
from qawait.ibm.auth import authorised
from qawait.ibm.endpoints import Crn
from qawait.ibm.transport import Transport
from qawait.ibm.wire import instances as wire
from qawait.version import __version__

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from qawait.ibm.account import Access, Account
    from qawait.ibm.auth import TokenSource
    from qawait.ibm.wire import Reply, Request

_HEADERS: Final = {"User-Agent": f"qawait/{__version__}"}
_CHEAPEST_FIRST: Final = ("free", "trial", "paygo", "paid", "subscription")
_PAGES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance of the account: what `instance=` may name.

    `plan` is its plan's name in small letters, such as `open` or `premium`, and
    `pricing_type` how that is paid; both are `unknown` for a plan that is no
    longer sold.
    """

    crn: str
    name: str
    plan: str
    pricing_type: str
    tags: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """Where it lives: `us-east` or `eu-de`."""
        return Crn.read(self.crn).region


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which instance is wanted, where no CRN says it.

    `name` must be that of the instance; of the rest, each that is given must hold.
    The first of `plans` that there is goes first; without any, what is free.
    """

    name: str | None = None
    region: str | None = None
    plans: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = {
            "name": self.name,
            "region": self.region,
            "plans_preference": ", ".join(self.plans),
            "tags": ", ".join(self.tags),
        }
        return "; ".join(f"{key} {value}" for key, value in said.items() if value)


def choose(instances: Sequence[Instance], wish: Wish) -> Instance:
    """Return the instance to use.

    Raises:
        ConfigError: there is none, or more than one has the name that is wanted.
    """
    fit = [instance for instance in instances if _fits(instance, wish)]
    if not fit:
        known = "; ".join(map(_shown, instances)) or "none"
        wanted = f"with {wish}" if str(wish) else "to which backends are allocated"
        raise ConfigError(f"the account has no instance {wanted}; it has: {known}")
    if wish.name is not None and len(fit) > 1:
        crns = ", ".join(instance.crn for instance in fit)
        raise ConfigError(
            f"{len(fit)} instances are named {wish.name!r}: give the CRN of one, of {crns}"
        )
    return min(fit, key=lambda instance: _rank(instance, wish))


def _fits(instance: Instance, wish: Wish) -> bool:
    tags = {tag.lower() for tag in instance.tags}
    return (
        wish.name in (None, instance.name)
        and wish.region in (None, instance.region)
        and (not wish.plans or instance.plan in wish.plans)
        and all(tag.lower() in tags for tag in wish.tags)
    )


def _rank(instance: Instance, wish: Wish) -> int:
    order, word = (
        (wish.plans, instance.plan) if wish.plans else (_CHEAPEST_FIRST, instance.pricing_type)
    )
    return order.index(word) if word in order else len(order)


def _shown(instance: Instance) -> str:
    tags = f", tags {' '.join(instance.tags)}" if instance.tags else ""
    return f"{instance.name!r} ({instance.plan}, {instance.region}{tags})"


class Directory:
    """Lists the instances that an API key can use; each place is asked for its own only."""

    def __init__(
        self, account: Account | Access, tokens: TokenSource, *, verify: ssl.SSLContext | None
    ) -> None:
        self._account = account
        self._tokens = tokens
        self._verify = verify

    async def instances(self) -> list[Instance]:
        """Return the account's instances to which backends are allocated, in the search's order.

        Raises:
            QawaitError: they cannot be asked for.
        """
        found = await self._found()
        plans = await self._plans({one.plan_id for one in found})
        return [
            Instance(
                crn=one.crn,
                name=one.name,
                plan=plans[one.plan_id][0],
                pricing_type=plans[one.plan_id][1],
                tags=one.tags,
            )
            for one in found
        ]

    async def _found(self) -> list[wire.Found]:
        found: list[wire.Found] = []
        cursor: str | None = None
        search = self._transport(self._account.search_url)
        try:
            for _ in range(_PAGES):
                call = wire.search(cursor)
                reply = await self._ask(search, call)
                page, cursor = wire.parse_search(reply, call, hide=self._tokens.secrets)
                found += page
                if cursor is None:
                    return found
        finally:
            await search.aclose()
        raise ProtocolError(f"POST /v3/resources/search: more than {_PAGES} pages")

    async def _plans(self, plan_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        plans: dict[str, tuple[str, str]] = {}
        catalog = self._transport(self._account.catalog_url)
        try:
            for plan_id in sorted(plan_ids):
                call = wire.plan(plan_id)
                plans[plan_id] = (wire.UNKNOWN, wire.UNKNOWN)
                if call is not None:
                    reply = await self._ask(catalog, call)
                    plans[plan_id] = wire.parse_plan(reply, call, hide=self._tokens.secrets)
        finally:
            await catalog.aclose()
        return plans

    def _transport(self, url: str) -> Transport:
        return Transport(url, verify=self._verify, proxy=self._account.proxies.before(url))

    async def _ask(self, transport: Transport, call: Request) -> Reply:
        return await authorised(self._tokens, _HEADERS, partial(transport.send, call))
