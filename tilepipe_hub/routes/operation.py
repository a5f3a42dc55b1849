"""What operators ask: does it live, can it work, how much does it do."""

import logging
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.errors import NotAllowed, NotKnown
from tilepipe_hub.routes.answering import json_response
from tilepipe_hub.routes.asking import caller_of, hub_of
from tilepipe_hub.routes.routing import Router

__all__ = ["Figures", "router"]

AUDIT = logging.getLogger("tilepipe_hub.audit")

router = Router()


def _registered(registry: CollectorRegistry) -> tuple[Counter, Histogram, Gauge]:
    labels = ("method", "route", "status")
    return (
        Counter("tilepipe_hub_requests", "Requests", labels, registry=registry),
        Histogram("tilepipe_hub_request_seconds", "Time to the last byte", ("method", "route"), registry=registry),
        Gauge("tilepipe_hub_jobs", "Jobs by status", ("status",), registry=registry),
    )


@dataclass(slots=True)
class Figures:
    """What is counted for one application."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    jobs: Gauge = field(init=False)

    def __post_init__(self) -> None:
        """Make the counters."""
        self.requests, self.seconds, self.jobs = _registered(self.registry)


@router.at("/health")
def health(_request: Request) -> Response:
    """That the service lives."""
    return json_response({"status": "ok"})


@router.at("/ready")
def ready(request: Request) -> Response:
    """That the service can take jobs; 503 while the store is away."""
    hub_of(request).service.counts()
    return json_response({"status": "ok"})


@router.at("/metrics")
def metrics(request: Request) -> Response:
    """Figures in Prometheus's format, for admins where anybody is known."""
    hub = hub_of(request)
    caller = caller_of(request)
    if not hub.settings.auth.is_open:
        if caller is None:
            raise NotKnown("the figures need a token of the role admin")
        if not caller.may("admin"):
            AUDIT.warning("%r is refused what needs the role admin, having %s", caller.owner, caller.role)
            raise NotAllowed(f"the figures need the role admin; yours is {caller.role}")
    figures: Figures = request.app.state.figures
    for status, count in hub.service.counts().items():
        figures.jobs.labels(status).set(count)
    return Response(generate_latest(figures.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
