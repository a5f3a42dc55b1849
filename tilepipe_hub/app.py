"""The application: settings, store and routes put together, and nothing else."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable, Response

from tilepipe.errors import TilepipeError
from tilepipe_hub.auth import Gate, KeySet, fetch_json
from tilepipe_hub.processes.catalog import Catalog
from tilepipe_hub.processes.inspection import inspect
from tilepipe_hub.routes import deploy, execution, jobs, landing, operation, outputs, processes
from tilepipe_hub.routes.answering import problem_response
from tilepipe_hub.routes.asking import Hub
from tilepipe_hub.routes.outer import Outer, names_of
from tilepipe_hub.routes.problems import NoSuchBytes, NoSuchPath, WrongMethod, document_of, headers_of
from tilepipe_hub.running import confine, seccomp
from tilepipe_hub.service import Service
from tilepipe_hub.settings import Settings
from tilepipe_hub.store import Store, open_store
from tilepipe_hub.telemetry import Traced, Traces

__all__ = ["create_app"]

log = logging.getLogger(__name__)

MOMENT_S = 0.001

EXPOSED = ("Location", "Link", "Preference-Applied", "ETag", "Content-Range", "Accept-Ranges", "Retry-After")
TAKEN = ("Accept", "Authorization", "Content-Type", "Prefer", "Idempotency-Key", "Range", "If-None-Match")


def create_app(
    settings: Settings, store: Store | None = None, *, submitted: Callable[[], None] | None = None
) -> Starlette:
    """The hub as an ASGI application.

    Args:
        settings: of the operator.
        store: of jobs; None: the one that the settings name, opened now and closed when the application ends.
        submitted: is called when there is a new job.

    Raises:
        StoreError: the store cannot be opened.
    """
    url = settings.store.url.get_secret_value()
    kept = store or open_store(url, keep_s=settings.store.keep_s, patience_s=settings.store.patience_s)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        # A file that takes long to load does not hold up the start.
        threading.Thread(target=_tell_broken, args=(catalog,), name="processes", daemon=True).start()
        if news is not None:
            news.loop = asyncio.get_running_loop()
        yield
        await run_in_threadpool(traces.close)
        if store is None:
            kept.close()

    # Paths are tried in this order, and who waits for a job asks most often.
    parts = [jobs, landing, processes, execution, outputs, operation, *([deploy] if settings.deploy else [])]
    app = Starlette(routes=[route for part in parts for route in part.router.routes], lifespan=life)
    app.router.redirect_slashes = False
    oidc = settings.auth.oidc
    catalog = Catalog(
        folder=settings.folders.processes,
        ask=partial(inspect, readable=tuple(map(os.path.abspath, settings.worker.paths))),
    )
    traces = Traces(settings.otlp_endpoint, service="tilepipe-hub")
    news = _News(tell=submitted) if submitted is not None else None
    service = Service(settings=settings, store=kept, catalog=catalog, submitted=news, traces=traces)
    gate = Gate(settings.auth, keys=KeySet(oidc, fetch_json) if oidc else None)
    app.state.hub = Hub(settings=settings, service=service, gate=gate)
    app.state.figures = operation.Figures()
    app.state.reach, app.state.counts = operation.Look(ask=service.reach), operation.Look(ask=service.counts)
    for name, value in outputs.state().items():
        setattr(app.state, name, value)
    _tell_problems(app)
    if settings.server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.server.cors_origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=list(TAKEN),
            expose_headers=list(EXPOSED),
        )
    if settings.otlp_endpoint is not None:
        app.add_middleware(Traced, traces=traces)
    app.add_middleware(Outer, names=names_of(settings.server), figures=app.state.figures)
    return app


@dataclass(slots=True)
class _News:
    """Tells of a new job a moment later: who hears of it takes the processor from who answers the request for it."""

    tell: Callable[[], None]
    loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> None:
        if self.loop is None:
            self.tell()
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, MOMENT_S, self.tell)


def _tell_broken(catalog: Catalog) -> None:
    """Say which processes there might be and are not, and whom to trust."""
    if catalog.folder is not None and not (confine.is_possible() and seccomp.is_possible()):
        log.warning("the code of processes is read in a process that this kernel does not keep from other files")
    for broken in catalog.broken():
        log.warning("process %s is left out: %s: %s", broken.id, broken.path, broken.error)


def _tell_problems(app: Starlette) -> None:
    """Let every error go out as an exception document."""

    def told(request: Request, error: Exception) -> Response:
        document = document_of(_ours(error), instance=request.url.path)
        response = problem_response(request, document)
        response.headers.update(headers_of(error))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    kinds: tuple[Any, ...] = (TilepipeError, HTTPException, Exception)
    for kind in (*kinds, MalformedRangeHeader, RangeNotSatisfiable):
        app.add_exception_handler(kind, told)


def _ours(error: Exception) -> Exception:
    """An error of the frameworks as one of ours."""
    if isinstance(error, HTTPException):
        if error.status_code == 405:
            return WrongMethod("this path does not take this method; the definition of the API says which")
        return NoSuchPath("there is nothing at this path; the landing page says what there is")
    if isinstance(error, RangeNotSatisfiable):
        return NoSuchBytes(f"the file has {error.max_size} bytes")
    return error
