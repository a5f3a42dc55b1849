"""What holds for every request and answer: by which name one may call, what browsers may do, what is counted."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilepipe_hub.routes.asking import address_of
from tilepipe_hub.routes.operation import Figures
from tilepipe_hub.settings import Server, is_loopback

__all__ = ["Outer", "names_of"]

log = logging.getLogger(__name__)

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def names_of(server: Server) -> frozenset[str]:
    """The names by which the service may be called; empty: by any.

    A page of a stranger can let its own name mean 127.0.0.1, and would then be taken for us by a browser here.
    """
    if server.hosts:
        return frozenset(name.lower() for name in server.hosts)
    if not is_loopback(server.host):
        return frozenset()
    base = urlsplit(server.base_url or "").hostname
    return frozenset({"localhost", "127.0.0.1", "::1", server.host, *([base] if base else [])})


@dataclass(slots=True)
class Outer:
    """An ASGI application around another one."""

    app: ASGIApp
    names: frozenset[str]
    figures: Figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it calls us by a wrong name."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {key for key, _ in message["headers"]}
                policy = () if b"content-security-policy" in there else ((b"content-security-policy", POLICY),)
                message["headers"] = [*message["headers"], *HEADERS, *policy]
            await send(message)

        try:
            if self.names and _host(scope) not in self.names:
                await _refuse(sent)
            else:
                await self.app(scope, receive, sent)
        finally:
            # The event loop may send what was written only when it is given back, so nobody waits for this.
            asyncio.get_running_loop().call_soon(self._count, scope, status, time.perf_counter() - began)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # Only paths of ours are counted by name, so that nobody fills the memory with names.
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if route != "other" else "other"
        # The query is left out: what stands there may be secret.
        address = address_of(Request(scope)) or "-"
        log.info("%s %s %r: %d in %.3f s", address, scope["method"], scope["path"], status, seconds)
        self.figures.requests.labels(method, route, status).inc()
        self.figures.seconds.labels(method, route).observe(seconds)


def _host(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == b"host":
            try:
                return (urlsplit(f"//{value.decode('latin-1')}").hostname or "").lower()
            except ValueError:
                return ""
    return ""


async def _refuse(send: Send) -> None:
    document = {
        "type": "urn:tilepipe:problem:wrong-host",
        "title": "The service is not called so",
        "status": 421,
        "detail": "the service does not answer to this name; the operator can add it to server.hosts",
    }
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
