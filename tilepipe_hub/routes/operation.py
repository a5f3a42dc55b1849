"""What operators ask: does it live, can it work, how much does it do."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.errors import NotAllowed, NotKnown, StoreError
from tilepipe_hub.routes.answering import json_response
from tilepipe_hub.routes.asking import caller_of, hub_of
from tilepipe_hub.routes.routing import Router
from tilepipe_hub.routes.threads import in_thread

__all__ = ["Figures", "Look", "router"]

AUDIT = logging.getLogger("tilepipe_hub.audit")

Found = TypeVar("Found")
router = Router()

LOOK_S = 2.0
"""For a look at the store; who probes waits for five seconds at most, and a request for as long as the settings say."""


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


@dataclass(slots=True, kw_only=True)
class Look(Generic[Found]):
    """A question to the store, one at a time however many ask, and apart from the requests that may all wait for it."""

    ask: Callable[[], Found]
    _thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, thread_name_prefix="look"))
    _under_way: asyncio.Future[Found] | None = None

    async def answer(self) -> Found:
        """What the store says.

        Raises:
            StoreError: it is away, or does not answer soon.
        """
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.get_running_loop().run_in_executor(self._thread, self.ask)
            # Where nobody waits any more, nobody has to hear how it failed.
            self._under_way.add_done_callback(lambda look: look.cancelled() or look.exception())
        try:
            return await asyncio.wait_for(asyncio.shield(self._under_way), LOOK_S)
        except TimeoutError:
            raise StoreError(f"the store of jobs has not answered for {LOOK_S:g} s") from None


@router.at("/health")
async def health(_request: Request) -> Response:
    """That the service lives, whatever its threads wait for."""
    return json_response({"status": "ok"})


@router.at("/ready")
async def ready(request: Request) -> Response:
    """That the service can take jobs; 503 while the store is away."""
    await request.app.state.reach.answer()
    return json_response({"status": "ok"})


@router.at("/metrics")
async def metrics(request: Request) -> Response:
    """Figures in Prometheus's format, for admins where anybody is known; none of jobs while the store is away."""
    hub = hub_of(request)
    caller = await in_thread(caller_of, request)
    if not hub.settings.auth.is_open:
        if caller is None:
            raise NotKnown("the figures need a token of the role admin")
        if not caller.may("admin"):
            AUDIT.warning("%r is refused what needs the role admin, having %s", caller.owner, caller.role)
            raise NotAllowed(f"the figures need the role admin; yours is {caller.role}")
    figures: Figures = request.app.state.figures
    try:
        for status, count in (await request.app.state.counts.answer()).items():
            figures.jobs.labels(status).set(count)
    except StoreError:
        figures.jobs.clear()
    return Response(generate_latest(figures.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
