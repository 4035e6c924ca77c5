"""The instances of the account: whose jobs and sessions are whose, and what a plan is."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from qawait.errors import ConfigError

from .settings import INSTANCE, PLAN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

REGIONS = ("us-east", "eu-de")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as the catalog describes it: its id, the name it shows, and how it is priced."""

    id: str
    name: str
    pricing: str


PLANS = {
    "open": Plan(id=PLAN_ID, name="Open", pricing="free"),
    "pay-as-you-go": Plan(id="2f2b1b6a-payg-plan-id", name="Pay-As-You-Go", pricing="paygo"),
    "flex": Plan(id="7b0f3c44-flex-plan-id", name="Flex", pricing="paid"),
    "premium": Plan(id="850b0a5e-premium-plan-id", name="Premium", pricing="subscription"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance of the account; `backends` are those it may use, `None` all."""

    crn: str
    name: str
    plan: Plan = PLANS["open"]
    tags: tuple[str, ...] = ()
    backends: tuple[str, ...] | None = None

    def has(self, backend: str) -> bool:
        """Whether the instance may use a backend."""
        return self.backends is None or backend in self.backends

    def found(self) -> dict[str, Any]:
        """Return the instance as global search shows it."""
        return {
            "crn": self.crn,
            "name": self.name,
            "service_plan_unique_id": self.plan.id,
            "tags": list(self.tags),
            "doc": {"extensions": [{"backends": list(self.backends or ["ANY"])}]},
        }


def first(settings: Settings) -> Instance:
    """Return the instance that an emulator starts with."""
    return Instance(crn=settings.instance, name="emulator")


def described(asked: Mapping[str, Any]) -> Instance:
    """Return an instance as a control request describes it; raise `ConfigError` otherwise."""
    plan, region = asked.get("plan", "open"), asked.get("region", REGIONS[0])
    backends = asked.get("backends")
    if plan not in PLANS:
        raise ConfigError(f"a plan is one of {sorted(PLANS)}, not {plan!r}")
    if region not in REGIONS:
        raise ConfigError(f"a region is one of {REGIONS}, not {region!r}")
    return Instance(
        crn=INSTANCE.replace(REGIONS[0], region).rpartition(":11111111")[0] + f":{uuid.uuid4()}::",
        name=str(asked["name"]),
        plan=PLANS[plan],
        tags=tuple(asked.get("tags") or ()),
        backends=None if backends is None else tuple(backends),
    )
