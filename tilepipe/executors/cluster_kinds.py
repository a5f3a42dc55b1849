"""How a cluster of each kind is started, and which keywords its class takes."""

import importlib
import inspect
import os
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import dask
import distributed
from distributed.system import MEMORY_LIMIT

from tilepipe.errors import ClusterError, RecipeError, nearest
from tilepipe.executors.cluster_spec import QUEUES, TAKEN, ClusterSpec
from tilepipe.executors.forkserver import DASK, FORKS, start
from tilepipe.executors.jobs import replace_ended, shape

__all__ = ["Deployed", "has_dashboard", "launch", "light", "local_memory", "local_workers"]

IDLE_S = 600
"""After this time without work a cluster ends by itself, where its class can: its client may have been killed."""

LOOPBACK = "127.0.0.1:0"


class Deployed(Protocol):
    """What all classes that start clusters have."""

    scheduler_address: str
    dashboard_link: str | None
    security: Any

    def scale(self, n: int) -> object:
        """Ask for so many workers."""
        ...

    def adapt(self, *, minimum: int, maximum: int) -> object:
        """Ask for as many workers as there is work, in these bounds."""
        ...

    def close(self) -> object:
        """End it."""
        ...


def launch(spec: ClusterSpec) -> Deployed:
    """Start the scheduler of a cluster, and the workers its class starts by itself.

    Raises:
        RecipeError: the class is not there, or does not take these keywords.
        ClusterError: it does not start.
    """
    if spec.kind == "local":
        return _local(spec)
    if spec.workers is None and (spec.kind in {"gateway", "kubernetes"} or spec.kind in QUEUES):
        raise RecipeError(
            f"a {spec.kind} cluster starts without workers and is not told how many there may be; "
            "write `workers: 4` or `workers: {min: 0, max: 4}` below cluster"
        )
    if spec.kind == "gateway":
        started: Deployed = _module("tilepipe.executors.gateway", kind="gateway").start(spec.options)
        return started
    if spec.kind in QUEUES:
        return _queue(spec)
    if spec.kind == "kubernetes":
        least = spec.workers[0] if spec.workers else 0
        module = _module("tilepipe.executors.kubernetes", kind="kubernetes")
        operated: Deployed = module.start(spec.options, workers=least, idle_s=IDLE_S)
        return operated
    return _start(_named(spec.kind), spec, {})


@contextmanager
def light() -> Iterator[None]:
    """Have clusters of this machine start and run lightly, with all that Dask does for them in here.

    Workers are forked, those too that replace one that ended; else each imports all anew. Where nothing draws a
    dashboard there are no pages for it, no profile, which takes a twentieth of the time, and few of the readings by
    which a worker otherwise spends a sixtieth of it.
    """
    start(DASK)
    settings: dict[str, object] = {}
    if FORKS:
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
        # Or it imports into this process whatever the server might have use for.
        distributed.utils._forkserver_preload_set = True  # noqa: SLF001 - there is no other way to tell
    if not has_dashboard():
        settings["distributed.worker.profile.enabled"] = False
        settings["distributed.admin.tick.interval"] = settings["distributed.admin.system-monitor.interval"] = "1s"
        settings["distributed.worker.http.routes"] = settings["distributed.scheduler.http.routes"] = []
    with dask.config.set(settings):
        yield


def local_workers(spec: ClusterSpec) -> tuple[int, int]:
    """The least and the most workers of a cluster of this machine."""
    cores = len(os.sched_getaffinity(0))
    return spec.workers or (cores, cores)


def local_memory(spec: ClusterSpec) -> int:
    """The bytes each worker of this machine may take: its share of what the machine, or its control group, has."""
    limit = dask.utils.parse_bytes(spec.options.get("memory_limit", MEMORY_LIMIT // local_workers(spec)[1]))
    return int(limit)


def _local(spec: ClusterSpec) -> Deployed:
    keywords = {
        "threads_per_worker": 1,
        "memory_limit": local_memory(spec),
        "dashboard_address": LOOPBACK,
        "worker_dashboard_address": LOOPBACK,
        "silence_logs": "CRITICAL",
        "host": "127.0.0.1",
    }
    taken = _parameters(distributed.LocalCluster) | _parameters(distributed.Nanny) | _parameters(distributed.Worker)
    # No worker yet: they come while this process goes on to open inputs and to plan.
    cluster = _start(distributed.LocalCluster, spec, keywords | {"n_workers": 0}, taken=taken)
    cluster.scale(local_workers(spec)[0])
    return cluster


def _queue(spec: ClusterSpec) -> Deployed:
    made = getattr(_module("dask_jobqueue", kind=spec.kind), QUEUES[spec.kind])
    command = shlex.split(made.job_cls.submit_command)[0]
    if shutil.which(command) is None:
        raise ClusterError(
            f"a {spec.kind} cluster was asked for, but there is no {command} on this machine to start its jobs; "
            "run where jobs are submitted from, or choose another kind of cluster"
        )
    processes, _ = shape(spec)
    cluster = _start(made, spec, {"processes": processes}, taken=_parameters(made) | _parameters(made.job_cls))
    replace_ended(cluster)
    return cluster


def _named(kind: str) -> Any:
    """The class of a dotted name."""
    module, _, name = kind.rpartition(".")
    made = getattr(_module(module, kind=kind), name, None)
    if not inspect.isclass(made):
        raise RecipeError(f"cluster.kind: {module} has no class {name!r}; write the dotted name of a class")
    return made


def _module(name: str, *, kind: str) -> Any:
    """A module that is wanted only for this kind.

    Raises:
        RecipeError: it, or what it needs, is not installed.
    """
    try:
        with _as_interrupted():
            return importlib.import_module(name)
    except ImportError as error:
        extra = "jobqueue" if kind in QUEUES else kind
        remedy = "install it here" if "." in kind else f"pip install -e '.[{extra}]' in a checkout"
        raise RecipeError(f"cluster.kind: {kind} needs what is not installed: {error}; {remedy}") from error


@contextmanager
def _as_interrupted() -> Iterator[None]:
    """Keep what an interrupt does: dask-jobqueue makes it end the process as if all were well."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def _parameters(made: type) -> set[str]:
    """The keywords a class takes, those it hands on to the classes above it included."""
    found: set[str] = set()
    for cls in made.__mro__:
        if "__init__" in vars(cls):
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            found |= {item.name for item in parameters if item.kind in {item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY}}
            if not any(item.kind is item.VAR_KEYWORD for item in parameters):
                break
    return found - {"self"} - TAKEN.keys()


def _taken(made: type) -> set[str] | None:
    """The keywords a class takes; None where it may take any."""
    try:
        kinds = {item.kind for item in inspect.signature(made).parameters.values()}
    except ValueError:
        # A class that is not written in Python may not tell.
        return None
    return None if inspect.Parameter.VAR_KEYWORD in kinds else _parameters(made)


def _start(made: Any, spec: ClusterSpec, keywords: Mapping[str, Any], *, taken: set[str] | None = None) -> Deployed:
    """Make the class with its keywords, the user's before ours."""
    taken = taken or _taken(made)
    for key in spec.options:
        if taken is not None and key not in taken:
            raise RecipeError(f"cluster.{key}: {made.__name__} takes no such keyword; {nearest(key, taken)}")
    try:
        cluster: Deployed = made(**{**keywords, **spec.options})
    except (TypeError, ValueError) as error:
        raise RecipeError(f"cluster: {made.__name__} does not take these keywords: {error}") from error
    except (OSError, RuntimeError) as error:
        raise ClusterError(f"the {spec.kind} cluster does not start: {error}") from error
    if not hasattr(cluster, "scheduler_address"):
        raise RecipeError(
            f"cluster.kind: {spec.kind} starts no Dask cluster; write the dotted name of a class that does"
        )
    return cluster


def has_dashboard() -> bool:
    """Whether what draws the dashboard is installed here."""
    return find_spec("bokeh") is not None
