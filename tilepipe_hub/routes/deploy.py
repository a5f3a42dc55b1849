"""Part 2 of the standard: processes that are deployed, replaced and removed by request."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.processes.describe import summary
from tilepipe_hub.routes.answering import json_response
from tilepipe_hub.routes.asking import JSON, base_of, body_of, caller_of, hub_of
from tilepipe_hub.routes.problems import UnknownMedia, UnknownPackage
from tilepipe_hub.routes.routing import Router
from tilepipe_hub.routes.threads import in_thread

__all__ = ["router"]

router = Router()

PACKAGE = "application/ogcapppkg+json"


@router.at("/processes", "POST")
async def deploy(request: Request) -> Response:
    """Add a process."""
    caller, package = await _package(request)
    entry = await in_thread(hub_of(request).service.deploy, caller, package)
    response = json_response(summary(entry, base_url=base_of(request)), status=201)
    response.headers["Location"] = f"{base_of(request)}/processes/{entry.id}"
    return response


@router.at("/processes/{process_id}", "PUT")
async def replace(request: Request, process_id: str) -> Response:
    """Replace a process."""
    caller, package = await _package(request)
    await in_thread(hub_of(request).service.replace, caller, process_id, package)
    return Response(status_code=204)


@router.at("/processes/{process_id}", "DELETE")
def undeploy(request: Request, process_id: str) -> Response:
    """Remove a process."""
    hub_of(request).service.undeploy(caller_of(request), process_id)
    return Response(status_code=204)


@router.at("/processes/{process_id}/package")
def package(request: Request, process_id: str) -> Response:
    """What was deployed."""
    return json_response(hub_of(request).service.package(caller_of(request), process_id), kind=PACKAGE)


async def _package(request: Request) -> tuple[Any, Any]:
    caller = await in_thread(caller_of, request)
    hub_of(request).service.check_deployer(caller)
    try:
        return caller, await body_of(request, kinds=(PACKAGE, JSON))
    except UnknownMedia as error:
        raise UnknownPackage(str(error)) from error
