"""The server that worker processes of this machine are forked from: it has imported what they need, and runs nothing.

Starting a worker is cheap then, and it inherits no threads. There is one server in a process; it imports while this
one goes on, so the earlier it starts the better.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from multiprocessing.forkserver import ensure_running

__all__ = ["DASK", "ENGINE", "FORKS", "start"]

FORKS = os.name == "posix"
"""Whether this system can fork; elsewhere each worker imports for itself."""

ENGINE = "tilepipe.executors.preload_engine"
DASK = "tilepipe.executors.preload_dask"

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Linear algebra takes a thread for each core by itself, in each of as many processes as there are cores."""


def start(preloaded: str) -> BaseContext:
    """Start the server, unless it runs; with a module that imports what workers need, and no harm if another did.

    Returns:
        What makes processes.
    """
    context = get_context("forkserver" if FORKS else "spawn")
    if FORKS:
        context.set_forkserver_preload([preloaded])
        with _environment():
            ensure_running()
    return context


@contextmanager
def _environment() -> Iterator[None]:
    """What the server finds when it imports; what the user has set stays."""
    ours = ONE_THREAD.keys() - os.environ.keys()
    os.environ.update({key: ONE_THREAD[key] for key in ours})
    try:
        yield
    finally:
        for key in ours:
            del os.environ[key]
