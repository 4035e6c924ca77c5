"""Instances of an account: asked for, and one of them chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qawait.errors import AuthError, ConfigError, ProtocolError
from qawait.ibm.account import resolve_access
from qawait.ibm.endpoints import Url, catalog_base, iam_base, search_base
from qawait.ibm.instances import Instance, Wish, choose
from qawait.ibm.wire import Reply, instances
from support.recorded import exchange

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:11111111-2222-3333::"


def instance(name: str, plan: str = "open", pricing: str = "free", **fields: Any) -> Instance:
    """Return an instance."""
    region = fields.pop("region", "us-east")
    crn = CRN.replace("us-east", region).replace("3333", f"3333-{name}")
    return Instance(crn=crn, name=name, plan=plan, pricing_type=pricing, **fields)


PREMIUM = instance("p", "premium", "subscription", tags=("Lab", "x"))
OPEN = instance("o")
FLEX_EU = instance("f", "flex", "paid", region="eu-de", tags=("lab",))
ALL = [PREMIUM, FLEX_EU, OPEN]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(), OPEN),
        (Wish(name="p"), PREMIUM),
        (Wish(region="eu-de"), FLEX_EU),
        (Wish(plans=("premium", "open")), PREMIUM),
        (Wish(plans=("flex", "premium")), FLEX_EU),
        (Wish(tags=("lab",)), FLEX_EU),
        (Wish(tags=("LAB", "x")), PREMIUM),
        (Wish(tags=("lab",), region="us-east"), PREMIUM),
    ],
    ids=str,
)
def test_the_choice(wish: Wish, expected: Instance) -> None:
    """Every wish given must hold; then the first plan goes first, or what is free."""
    assert choose(ALL, wish) is expected


@pytest.mark.parametrize(
    "wish",
    [
        Wish(name="P"),
        Wish(region="moon"),
        Wish(plans=("gratis",)),
        Wish(tags=("lab", "y")),
        Wish(name="o", region="eu-de"),
    ],
    ids=str,
)
def test_no_instance_as_wanted(wish: Wish) -> None:
    """The refusal repeats the wish and lists what there is."""
    with pytest.raises(ConfigError, match=r"'p' \(premium, us-east, tags Lab x\)") as caught:
        choose(ALL, wish)
    assert str(wish) in str(caught.value)


def test_no_instance_at_all() -> None:
    """An account without instances says so."""
    with pytest.raises(ConfigError, match="it has: none"):
        choose([], Wish())


def test_two_of_one_name() -> None:
    """A name that is not unique is refused with the CRNs to choose from, unless a wish decides."""
    twin = instance("o", region="eu-de")
    with pytest.raises(ConfigError, match="2 instances are named 'o'") as caught:
        choose([OPEN, twin], Wish(name="o"))
    assert OPEN.crn in str(caught.value)
    assert twin.crn in str(caught.value)
    assert choose([OPEN, twin], Wish(name="o", region="eu-de")) is twin


def test_an_unknown_pricing_goes_last() -> None:
    """A plan that is no longer sold is still there, after all others."""
    old = instance("old", "unknown", "unknown")
    assert choose([old, PREMIUM], Wish()) is PREMIUM
    assert choose([old], Wish()) is old


# --- the wire -----------------------------------------------------------------------------------


def test_the_search_is_that_of_ibms_client() -> None:
    """Path, query and body are those recorded; a cursor is added for the next page."""
    recorded = exchange("01", "POST", "/v3/resources/search")
    request = instances.search()
    assert recorded.path.endswith(request.path)
    assert request.query == recorded.query
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == recorded.sent
    following = instances.search("abc").body
    assert isinstance(following, bytes)
    assert json.loads(following)["search_cursor"] == "abc"


def test_recorded_answers_are_read() -> None:
    """Search and catalog are read as recorded."""
    found, cursor = instances.parse_search(
        Reply(status=200, body=exchange("01", "POST", "/v3/resources/search").raw),
        instances.search(),
    )
    assert cursor is None
    assert [one.name for one in found] == ["open-instance"]
    plan = instances.plan(found[0].plan_id)
    assert plan is not None
    answer = exchange("01", "GET", plan.path)
    assert instances.parse_plan(Reply(status=200, body=answer.raw), plan) == ("open", "free")


def searched(*items: Any) -> list[instances.Found]:
    """Parse a page with these items."""
    body = json.dumps({"items": items}).encode()
    return instances.parse_search(Reply(status=200, body=body), instances.search())[0]


def test_instances_without_backends_are_left_out() -> None:
    """What has no allocation cannot run anything."""
    bare = {"crn": CRN, "name": "n", "service_plan_unique_id": "p"}
    assert searched(bare, {**bare, "doc": {}}, {**bare, "doc": {"extensions": []}}) == []
    assert len(searched({**bare, "doc": {"extensions": [1]}, "tags": None})) == 1


@pytest.mark.parametrize("items", [None, {}, [5], [{"doc": {"extensions": [1]}, "crn": 5}]])
def test_malformed_pages_are_protocol_errors(items: Any) -> None:
    """Anything that is no list of instances is refused."""
    with pytest.raises(ProtocolError):
        instances.parse_search(
            Reply(status=200, body=json.dumps({"items": items}).encode()), instances.search()
        )


@pytest.mark.parametrize("status", [403, 404])
def test_a_plan_that_is_not_shown_is_unknown(status: int) -> None:
    """The catalog answers 403 for plans that are no longer sold."""
    request = instances.plan("p")
    assert request is not None
    assert instances.parse_plan(Reply(status=status), request) == ("unknown", "unknown")
    with pytest.raises(AuthError):
        instances.parse_plan(Reply(status=401), request)
    assert instances.plan("../x") is None


# --- where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "search", "catalog"),
    [
        (
            "https://cloud.ibm.com",
            "https://api.global-search-tagging.cloud.ibm.com",
            "https://globalcatalog.cloud.ibm.com/api/v1",
        ),
        (
            "https://x.org/a",
            "https://api.global-search-tagging.cloud.ibm.com",
            "https://globalcatalog.cloud.ibm.com/api/v1",
        ),
        ("http://127.0.0.1:5/x", "http://127.0.0.1:5/gs", "http://127.0.0.1:5/catalog/api/v1"),
    ],
)
def test_addresses(url: str, search: str, catalog: str) -> None:
    """Search and catalog are IBM's, or those of this machine; never a third party's."""
    read = Url.read(url, what="the URL")
    assert (search_base(None, read), catalog_base(None, read)) == (search, catalog)
    assert search_base("https://s.example/", read) == "https://s.example"
    assert catalog_base("https://c.example/v1", read) == "https://c.example/v1"


def test_iam_before_the_instance_is_known() -> None:
    """The key goes to the same IAM, also when endpoints are private."""
    url = Url.read("https://cloud.ibm.com", what="the URL")
    assert iam_base(None, url, None, private=False) == "https://iam.cloud.ibm.com"
    assert iam_base(None, url, None, private=True) == "https://private.iam.cloud.ibm.com"


@pytest.mark.parametrize("which", ["GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"])
def test_an_address_that_could_leak_is_refused(which: str) -> None:
    """The bearer token goes nowhere unencrypted."""
    with pytest.raises(ConfigError, match="global"):
        resolve_access(token="k", environ={which: "http://evil.example"})


@pytest.mark.parametrize("text", ["auto", "", " auto ", None])
def test_any_instance_will_do(text: str | None) -> None:
    """`auto` is as if no instance were given."""
    access = resolve_access(token="k", instance=text, environ={})
    assert access.crn is None
    assert access.wish == Wish()


@pytest.mark.parametrize(
    "fields", [{"region": 5}, {"plans_preference": "open"}, {"tags": "lab"}, {"tags": [5]}]
)
def test_wishes_that_make_no_sense(fields: dict[str, Any]) -> None:
    """Each is refused by name before anything is sent."""
    with pytest.raises(ConfigError, match=next(iter(fields))):
        resolve_access(token="k", environ={}, **fields)
