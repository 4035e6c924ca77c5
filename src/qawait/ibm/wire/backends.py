"""Backends, the instance's usage and the API's versions.

Source: paths below `/backends`, `/instances` and `/versions` of the service's
OpenAPI document, version 2026-04-15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qawait import limits
from qawait.errors import ProtocolError
from qawait.ibm.wire.message import Request, backend_path, time_text
from qawait.ibm.wire.reading import json_of, object_of
from qawait.ibm.wire.records import seconds, timestamp
from qawait.ibm.wire.refusals import expect
from qawait.types import InstanceUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from qawait.ibm.wire.message import Reply
    from qawait.secret import Secret


def listing(*, include_mocks: bool = False) -> Request:
    """Ask for the backends of the instance."""
    return Request(
        name="GET /backends",
        method="GET",
        path="/backends",
        query=(("include_mocks", "true"),) if include_mocks else (),
        safe=True,
    )


def parse_listing(
    reply: Reply, request: Request, *, hide: Iterable[Secret] = ()
) -> list[dict[str, Any]]:
    """Return the devices as the service describes them, each with its `name`."""
    expect(reply, request, hide=hide)
    devices = object_of(reply, request).get("devices")
    if not isinstance(devices, list) or not all(_is_device(device) for device in devices):
        raise ProtocolError(f"{request.name}: the answer has no list of named devices")
    return devices


def _is_device(device: object) -> bool:
    return isinstance(device, dict) and isinstance(device.get("name"), str)


def configuration(name: str, *, calibration_id: str | None = None) -> Request:
    """Ask for what a backend is: qubits, gates, coupling."""
    return _description(name, "configuration", {"calibration_id": calibration_id})


def properties(
    name: str, *, calibration_id: str | None = None, before: datetime | None = None
) -> Request:
    """Ask for how well a backend does, as last calibrated, or as it was at a time."""
    conditions = {"calibration_id": calibration_id, "updated_before": time_text(before)}
    return _description(name, "properties", conditions)


def _description(name: str, what: str, conditions: Mapping[str, str | None]) -> Request:
    return Request(
        name=f"GET /backends/{{name}}/{what}",
        method="GET",
        path=backend_path(name, f"/{what}"),
        query=tuple((key, value) for key, value in conditions.items() if value),
        deadline=limits.SUBMIT_SECONDS,
        max_bytes=limits.BACKEND_BODY_BYTES,
        safe=True,
    )


def status(name: str) -> Request:
    """Ask whether a backend is up and how long its queue is."""
    return Request(
        name="GET /backends/{name}/status",
        method="GET",
        path=backend_path(name, "/status"),
        safe=True,
    )


def usage() -> Request:
    """Ask how much of its time the instance has used."""
    return Request(name="GET /instances/usage", method="GET", path="/instances/usage", safe=True)


def parse_usage(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> InstanceUsage:
    """Return an instance's usage; a part that is absent or malformed is `None`."""
    expect(reply, request, hide=hide)
    said = object_of(reply, request)
    consumed = seconds(said.get("usage_consumed_seconds"))
    if consumed is None:
        raise ProtocolError(f"{request.name}: the answer has no usage_consumed_seconds")
    period = said.get("usage_period")
    period = period if isinstance(period, dict) else {}
    return InstanceUsage(
        consumed_seconds=consumed,
        limit_seconds=seconds(said.get("usage_limit_seconds")),
        allocation_seconds=seconds(said.get("usage_allocation_seconds")),
        is_limit_reached=said.get("usage_limit_reached") is True,
        period_start=timestamp(period.get("start_time")),
        period_end=timestamp(period.get("end_time")),
    )


def versions() -> Request:
    """Ask which versions of the API are served."""
    return Request(name="GET /versions", method="GET", path="/versions", safe=True)


def parse_object(reply: Reply, request: Request, *, hide: Iterable[Secret] = ()) -> dict[str, Any]:
    """Return a JSON object as it is."""
    expect(reply, request, hide=hide)
    return object_of(reply, request)


def parse_properties(
    reply: Reply, request: Request, *, hide: Iterable[Secret] = ()
) -> dict[str, Any] | None:
    """Return the properties; `None` for a backend that has none, such as a simulator."""
    expect(reply, request, hide=hide)
    if json_of(reply, request) is None:
        return None
    return object_of(reply, request) or None
