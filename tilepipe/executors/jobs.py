"""What a job of a queue holds, and how one that has ended makes room for another."""

import asyncio
from typing import Any

import dask
from distributed.deploy.utils import nprocesses_nthreads

from tilepipe.executors.cluster_spec import ClusterSpec

__all__ = ["replace_ended", "shape"]


def shape(spec: ClusterSpec) -> tuple[int, int]:
    """The workers of a job and the threads of each, as dask-jobqueue makes them of the cores.

    It has to be told the number it comes to by itself. Else it takes each job for one worker, by a name that none has.
    """
    settings = dask.config.get(f"jobqueue.{spec.options.get('config_name') or spec.kind}", {})
    cores, processes = (spec.options.get(key) or settings.get(key) for key in ("cores", "processes"))
    if not isinstance(cores, int) or not isinstance(processes, int | None):
        # What these are is for the class to refuse.
        return 1, 1
    processes = processes or nprocesses_nthreads(cores)[0]
    return processes, max(1, cores // processes)


def replace_ended(cluster: Any) -> None:
    """Have a job of several workers give up its place once the last of them has gone, as a job of one does.

    Its workers are known by names that end in a number of their own, its place by the name without; Dask looks for the
    names of workers among those of places, and waits for ever for workers of a job that has reached its time limit.
    """
    update = cluster._update_worker_status  # noqa: SLF001 - nothing else hears of a worker in the cluster's own thread

    def told(change: str, address: str) -> None:
        if change == "remove":
            place, _, _ = str(cluster.scheduler_info["workers"][address]["name"]).rpartition("-")
            delay = dask.utils.parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
            asyncio.get_running_loop().call_later(delay, _give_up, cluster, place)
        update(change, address)

    cluster._update_worker_status = told  # noqa: SLF001


def _give_up(cluster: Any, place: str) -> None:
    """Forget a job of which no worker is left, unless it was a job of one worker, which Dask has seen to."""
    names = {place + end for end in cluster.worker_spec.get(place, {}).get("group", ())}
    left = {str(facts["name"]) for facts in cluster.scheduler_info["workers"].values()}
    if names and place in cluster.workers and not names & left:
        # Kept until it is done: the loop itself holds tasks only weakly.
        cluster._futures.add(asyncio.ensure_future(cluster.workers.pop(place).close()))  # noqa: SLF001
