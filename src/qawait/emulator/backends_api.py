"""The routes about backends, the instance and the API itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import answers
from .answers import plain
from .backends import Device
from .jobs_api import KNOWN_VERSIONS, Handler, authorised, instance_here
from .service import Service

USAGE_LIMIT_SECONDS = 600
DeviceHandler = Callable[[Request, Service, Device], Awaitable[Response]]


def about_device(handler: DeviceHandler) -> Handler:
    """Hand a route its backend, or answer 404."""

    @authorised
    async def found(request: Request, service: Service) -> Response:
        device = service.device(request.path_params["name"], instance_here(request))
        return await handler(request, service, device)

    return found


@authorised
async def listing(request: Request, service: Service) -> Response:
    """List the backends, with their waiting times if those are asked for."""
    # IBM's client writes this flag with a capital letter.
    with_mocks = request.query_params.get("include_mocks", "").lower() == "true"
    devices = [
        device.listed(service.state_of(name), service.scheduler.length(name))
        for name, device in service.devices.items()
        if instance_here(request).has(name) and (with_mocks or not device.is_mock)
    ]
    if "wait_time_seconds" in request.query_params.getlist("fields"):
        for device in devices:
            device["wait_time_seconds"] = device["queue_length"] * service.settings.run_seconds
    return plain({"devices": devices})


@about_device
async def configuration(request: Request, _service: Service, device: Device) -> Response:
    """Give a backend's configuration, from its snapshot."""
    return await answers.large(request, device.configuration)


@about_device
async def properties(request: Request, _service: Service, device: Device) -> Response:
    """Give a backend's calibration, from its snapshot whatever date is asked for."""
    return await answers.large(request, device.properties)


@about_device
async def status(_request: Request, service: Service, device: Device) -> Response:
    """Tell whether a backend is up and how many jobs wait for it."""
    length = service.scheduler.length(device.name)
    return plain(device.status(service.state_of(device.name), length))


@authorised
async def usage(request: Request, service: Service) -> Response:
    """Tell how much of the instance's allocation is used; the emulator has no end of it."""
    instance = instance_here(request)
    return plain(
        {
            "instance_id": instance.crn,
            "plan_id": instance.plan.id,
            "usage_period": {
                "start_time": "2026-10-23T00:00:00Z",
                "end_time": "2026-11-20T00:00:00Z",
            },
            "usage_consumed_seconds": service.scheduler.consumed_seconds[instance.crn],
            "usage_limit_seconds": USAGE_LIMIT_SECONDS,
            "usage_allocation_seconds": USAGE_LIMIT_SECONDS,
            "usage_limit_reached": False,
        }
    )


async def versions(_request: Request) -> Response:
    """List the API versions; this needs no credentials."""
    known = [{"version": name, "status": "live", "sunset_date": None} for name in KNOWN_VERSIONS]
    return plain({"versions": known})


def routes(base: str) -> list[Route]:
    """Return the routes about backends and the instance, below a base path."""
    one = f"{base}/backends/{{name}}"
    return [
        Route(f"{base}/backends", listing, methods=["GET"]),
        Route(f"{one}/configuration", configuration, methods=["GET"]),
        Route(f"{one}/properties", properties, methods=["GET"]),
        Route(f"{one}/status", status, methods=["GET"]),
        Route(f"{base}/instances/usage", usage, methods=["GET"]),
        Route(f"{base}/versions", versions, methods=["GET"]),
    ]
