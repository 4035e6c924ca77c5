"""The description of the endpoints agrees with the endpoints."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route

from qawait.gateway import Settings, create_app, openapi
from qawait.gateway.api import Api
from qawait.secret import Secret

DOCUMENT = openapi.document("/", Settings(token=Secret("t")))
ROUTES = [route for route in Api(create_app()).routes() if isinstance(route, Route)]


def test_every_route_is_described() -> None:
    """The document has exactly the paths and methods that are answered."""
    described = {
        (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item
    }
    answered = {
        (route.path, method)
        for route in ROUTES
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert described == answered


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_operations_are_named_as_the_metrics_name_them(route: Route) -> None:
    """An operation's id is the label of its endpoint in the metrics."""
    operations = DOCUMENT["paths"][route.path].values()
    assert [each["operationId"] for each in operations] == [route.endpoint.__name__]


def references(value: Any) -> list[str]:
    """Return all that a value refers to."""
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for each in value.values() for found in references(each)]
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    return []


def test_what_is_referred_to_is_there() -> None:
    """Every reference leads to a schema, and every schema is referred to."""
    named = {reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT)}
    assert named == set(DOCUMENT["components"]["schemas"])
