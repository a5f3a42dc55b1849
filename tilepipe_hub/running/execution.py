"""One job over tiles, from its recipe to its report."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib import metadata
from typing import Any

from tilepipe.bind import open_pipeline
from tilepipe.errors import ClusterError, InputError, PlanError, RunFailed, StorageError, TilepipeError
from tilepipe.executors.protocol import Executor
from tilepipe.gdal import session
from tilepipe.memory import refuse_above, refuse_crowded, worker_bytes
from tilepipe.outcome import Outcome
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan
from tilepipe.plugins import find
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.selection import cut_for, make_plan, select
from tilepipe_hub.job import problem_of
from tilepipe_hub.processes.outputs import FILES, ITEM_TYPE, REPORT_TYPE, VRT_TYPE
from tilepipe_hub.running.order import Order
from tilepipe_hub.running.report import Count

__all__ = ["Message", "execution"]

Message = Mapping[str, Any]
"""What is told while a job runs: of kind `progress`, `log` or `end`."""

TYPES = {"item": ITEM_TYPE, "vrt": VRT_TYPE, "report": REPORT_TYPE}
VERSION = metadata.version("tilepipe")
TELL_EVERY_S = 0.1
HELD_S = 60.0
"""How long another process may still hold the folder: one that was paused, and is being ended."""


def execution(order: Order, *, told: Callable[[str], str]) -> Iterator[Message]:
    """Make the tiles of a job that are not there yet, and tell how it goes; the last message is the end.

    It is of status `busy` where the process that had the job before does not let go of its folder.

    Args:
        order: the job.
        told: makes words for the owner of those of an error.
    """
    count = Count(0)
    if not _is_free(order.folder):
        yield {"kind": "end", "status": "busy"}
        return
    try:
        document = {**order.recipe, "output": {**order.recipe["output"], "path": order.folder}}
        with session():
            pipeline = open_pipeline(make_recipe(document, folder=order.folder))
            yield from _made(order, pipeline, count, told=told)
        end: dict[str, Any] = {"status": "successful", "message": count.words()}
    except MemoryError:
        end = failed("the job ran out of memory; use a smaller pyramid.metatile, or ask for more memory", status=500)
    except TilepipeError as error:
        message = told(str(error))
        end = {"status": "failed", "message": message, "problem": problem_of(message, status=status_of(error))}
    if count.total:
        # Also of what has failed: it is the last that is known of the tiles.
        yield {"kind": "progress", **count.figures()}
    # What has failed has no results, unless it was said before that tiles may fail.
    whole = end["status"] == "successful" or order.on_error == "skip"
    yield {"kind": "end", **end, "results": (_results(order.folder) or None) if whole else None}


def failed(message: str, *, status: int) -> dict[str, Any]:
    """An end with a problem."""
    return {"status": "failed", "message": message, "problem": problem_of(message, status=status)}


def status_of(error: TilepipeError) -> int:
    """Whether it was the request that was wrong."""
    ours = isinstance(error, RunFailed | StorageError | ClusterError) or (
        isinstance(error, InputError) and error.passing
    )
    return 500 if ours else 422


def _made(order: Order, pipeline: Pipeline, count: Count, *, told: Callable[[str], str]) -> Iterator[Message]:
    """Run the recipe; the report is written whatever comes of it."""
    chosen = select(pipeline)
    cores = order.workers or len(os.sched_getaffinity(0))
    plan = make_plan(pipeline, chosen, slots=cores)
    count.total = sum(plan.count().values())
    if order.tiles is not None and count.total > order.tiles:
        raise PlanError(
            f"the job has {count.total:,} process tiles, a job may have {order.tiles:,} here; choose a smaller area, "
            "a lower zoom or a larger pyramid.metatile"
        )
    yield {"kind": "progress", **count.figures()}
    executor = _executor(order, plan, cores)
    plan = cut_for(plan, executor.workers)
    _refuse_large(order, executor, worker=worker_bytes(pipeline, plan.depth), tasks=plan.count_branches())
    outcomes = run(pipeline, plan, selection=chosen, executor=executor, stop=order.on_error == "stop")
    shown = 0.0
    try:
        with closing(outcomes):
            for outcome in outcomes:
                count.add(outcome)
                yield from _lines(outcome, told)
                if time.monotonic() - shown >= TELL_EVERY_S:
                    yield {"kind": "progress", **count.figures()}
                    shown = time.monotonic()
    finally:
        report = count.report(told(pipeline.process.name), VERSION, told=told)
        pipeline.storage.put(FILES["report"], json.dumps(report, indent=1).encode())


def _executor(order: Order, plan: Plan, cores: int) -> Executor:
    """The executor of the order; nothing is started for a single task. A cluster is asked for no more than there is."""
    executor: Executor
    if order.executor == "dask":
        executor = find("executors", "dask")(order.workers, cluster=order.cluster)
        return executor
    tasks = plan.count_branches()
    name = "sequential" if tasks <= 1 else order.executor
    executor = find("executors", name)(max(1, min(cores, tasks)))
    return executor


def _refuse_large(order: Order, executor: Executor, *, worker: int, tasks: int) -> None:
    if order.memory_bytes is not None and order.executor != "dask":
        refuse_above(order.memory_bytes, worker=worker, workers=min(executor.workers, max(1, tasks)))
    if executor.worker_limit is not None:
        refuse_crowded(executor.worker_limit, worker=worker)


def _lines(outcome: Outcome, told: Callable[[str], str]) -> Iterator[Message]:
    for failure in outcome.failures:
        for text in (failure.reason, *failure.detail.splitlines()):
            yield {"kind": "log", "line": told(text)}


def _results(folder: str) -> dict[str, Any]:
    """What there is of the job's outputs."""
    return {
        name: {"file": file, "mediaType": TYPES[name]}
        for name, file in FILES.items()
        if os.path.isfile(os.path.join(folder, file))
    }


def _is_free(folder: str) -> bool:
    """Whether nobody holds the folder, after some time for a process that had the job before and is being ended."""
    os.makedirs(os.path.join(folder, ".tilepipe"), exist_ok=True)
    ends = time.monotonic() + HELD_S
    with open(os.path.join(folder, ".tilepipe", "lock"), "ab") as file:
        while time.monotonic() < ends:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
            else:
                return True
    return False
