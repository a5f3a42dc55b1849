"""What a Dask scheduler has: workers, memory, versions, and what it holds."""

import time
from contextlib import closing
from typing import Any

from distributed import Client

from tilepipe.executors.cluster import connected
from tilepipe.executors.quiet import Quiet
from tilepipe.versions import versions

__all__ = ["describe"]

ANSWER_S = 10.0


def describe(address: str) -> dict[str, Any]:
    """The facts of the scheduler at an address; sizes in bytes, times in seconds, all of it JSON.

    Raises:
        ClusterError: no scheduler answers there.
    """
    quiet = Quiet()
    try:
        with closing(connected(address, timeout_s=ANSWER_S)) as client:
            return _facts(client)
    finally:
        quiet.end()


def _facts(client: Client) -> dict[str, Any]:
    known = client.scheduler_info(n_workers=-1)
    told = client.run(versions, on_error="return") if known["workers"] else {}
    theirs: Any = client.get_versions()
    workers = [
        {
            "address": address,
            "name": str(facts["name"]),
            "host": facts["host"],
            "threads": facts["nthreads"],
            "memory_limit": facts["memory_limit"] or None,
            "memory": facts["metrics"].get("memory"),
            "tasks": facts["metrics"].get("task_counts", {}),
            "versions": _of(told.get(address), theirs["workers"].get(address)),
        }
        for address, facts in sorted(known["workers"].items())
    ]
    tasks = client.run_on_scheduler(_held)
    return {
        "scheduler": known["address"],
        "dashboard": client.dashboard_link or "",
        "started_s_ago": round(max(0.0, time.time() - known["started"])),
        "threads": sum(worker["threads"] for worker in workers),
        "memory_limit": sum(worker["memory_limit"] or 0 for worker in workers),
        "tasks": tasks,
        "versions": {"here": versions(), "scheduler": _packages(theirs["scheduler"])},
        "workers": workers,
    }


def _held(dask_scheduler: Any) -> dict[str, int]:
    """How many tasks a scheduler holds, by their state; runs there."""
    states = [task.state for task in dask_scheduler.tasks.values()]
    return {state: states.count(state) for state in sorted(set(states))}


def _of(told: Any, theirs: Any) -> dict[str, str]:
    """The versions of a worker; what it cannot tell, as a worker without tilepipe, is left out."""
    return _packages(theirs) | (told if isinstance(told, dict) else {})


def _packages(theirs: Any) -> dict[str, str]:
    """Python and distributed out of what Dask tells of its versions."""
    if not theirs:
        return {}
    python = str(theirs["host"]["python"]).split(".")[:3]
    return {"python": ".".join(python), "distributed": str(theirs["packages"]["distributed"])}
