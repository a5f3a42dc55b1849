"""Where a function runs that would hold up the event loop: in one of a fixed number of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["in_thread"]

THREADS = ThreadPoolExecutor(40, thread_name_prefix="request")
"""Made when they are needed. The way there and back costs half of what anyio's does."""

Given = ParamSpec("Given")
Found = TypeVar("Found")


async def in_thread(function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """What a function returns, in the context of the caller, so that traces go on."""
    call: Callable[[], Any] = partial(copy_context().run, function, *args, **kwargs)
    found: Found = await asyncio.get_running_loop().run_in_executor(THREADS, call)
    return found
