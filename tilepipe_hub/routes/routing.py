"""Which function answers a path: coroutines in the event loop, all others in threads."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tilepipe_hub.routes.threads import in_thread

__all__ = ["READ", "Router"]

READ = ("GET", "HEAD")

Function = TypeVar("Function", bound=Callable[..., Response | Awaitable[Response]])


@dataclass(frozen=True, slots=True)
class Router:
    """The routes of a module; a function gets the request, and what its path has in braces by name."""

    routes: list[Route] = field(default_factory=list)

    def at(self, path: str, *methods: str) -> Callable[[Function], Function]:
        """Let a function answer requests to *path*, by default those to read."""

        def kept(function: Function) -> Function:
            route = Route(path, _endpoint(function), name=function.__name__)
            # Whoever answers GET is not asked for HEAD unless they say so: an endless answer has no end without a body.
            route.methods = set(methods or READ)
            self.routes.append(route)
            return function

        return kept


def _endpoint(function: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    async def waited(request: Request) -> Response:
        response: Response = await function(request, **request.path_params)
        return response

    async def threaded(request: Request) -> Response:
        response: Response = await in_thread(function, request, **request.path_params)
        return response

    return waited if inspect.iscoroutinefunction(function) else threaded
