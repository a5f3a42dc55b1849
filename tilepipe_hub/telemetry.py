"""What is told to a collector of OpenTelemetry: a trace for each request, which goes on where its job is run.

The libraries are an extra; without an endpoint nothing of them is loaded.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from tilepipe_hub.errors import SettingsError

__all__ = ["Traced", "Traces"]

FLUSH_MS = 5000


class Traces:
    """Where spans go; nowhere without an endpoint."""

    def __init__(self, endpoint: str | None, *, service: str) -> None:
        """Raise SettingsError where the libraries are missing.

        Args:
            endpoint: address of a collector that takes OTLP over HTTP; None: none.
            service: what speaks.
        """
        self._provider: Any = None
        self._tracer: Any = None
        if endpoint is None:
            return
        try:
            sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            resource = import_module("opentelemetry.sdk.resources").Resource.create({"service.name": service})
        except ImportError as error:
            raise SettingsError(
                f"otlp_endpoint needs {error.name}; pip install -e '.[hub,telemetry]' in a checkout"
            ) from error
        self._trace = import_module("opentelemetry.trace")
        self._wire = import_module("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator()
        self._provider = sdk.TracerProvider(resource=resource)
        exporter = otlp.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tilepipe_hub")

    @contextmanager
    def span(self, name: str, *, parent: str = "", **facts: Any) -> Iterator[dict[str, Any]]:
        """Something under way; facts that are put into what is given are added at its end, `name` renames it.

        Args:
            name: of the span.
            parent: what `here` said elsewhere; without it, what is under way in this thread.
            **facts: attributes; those of a job are called `job`, `process`, `owner`.
        """
        more: dict[str, Any] = {}
        if self._tracer is None:
            yield more
            return
        context = self._wire.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(name, context=context, attributes=_named(facts)) as span:
            try:
                yield more
            finally:
                span.update_name(more.pop("name", name))
                span.set_attributes(_named(more))

    def past(self, name: str, seconds: float, *, parent: str = "", **facts: Any) -> None:
        """Something that took so long and is over."""
        if self._tracer is None:
            return
        now = time.time_ns()
        context = self._wire.extract({"traceparent": parent}) if parent else None
        began = now - int(seconds * 1e9)
        self._tracer.start_span(name, context=context, start_time=began, attributes=_named(facts)).end(now)

    def here(self) -> str:
        """What is under way, for who goes on with it elsewhere; nothing where nobody listens."""
        carrier: dict[str, str] = {}
        if self._tracer is not None:
            self._wire.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Send what waits."""
        if self._provider is not None:
            self._provider.force_flush(FLUSH_MS)
            self._provider.shutdown()


class Traced:
    """A span for each request; an ASGI middleware."""

    def __init__(self, app: Any, *, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._traces.span(scope["method"], **{"http.request.method": scope["method"]}) as facts:

            async def told(message: Any) -> None:
                if message["type"] == "http.response.start":
                    facts["http.response.status_code"] = message["status"]
                await send(message)

            await self._app(scope, receive, told)
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                facts |= {"name": f"{scope['method']} {route}", "http.route": route}


def _named(facts: dict[str, Any]) -> dict[str, Any]:
    return {key if "." in key else f"tilepipe.{key}": value for key, value in facts.items()}
