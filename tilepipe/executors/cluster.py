"""Which Dask cluster a run uses: opened, sized, renewed and closed; it knows nothing of what is run there."""

import math
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import distributed
from distributed import Client
from distributed.comm.core import CommClosedError, FatalCommClosedError

from tilepipe.errors import ClusterError
from tilepipe.executors.cluster_kinds import (
    Deployed,
    has_dashboard,
    launch,
    light,
    local_memory,
    local_workers,
)
from tilepipe.executors.cluster_spec import QUEUES, ClusterSpec, cluster_spec
from tilepipe.executors.jobs import shape
from tilepipe.executors.quiet import Quiet

__all__ = ["Cluster", "ClusterSpec", "cluster_spec", "connected", "open_cluster"]

OPEN_S = 20.0
"""For a scheduler to answer when it is first asked."""

RENEW_S = 60.0
"""For a scheduler that was lost to come back at its address."""

ALIVE_S = 5.0
"""For a scheduler of ours to show that only the connection was lost."""

AGAIN_S = 0.2
"""Between two tries."""

CLOSE_S = 2.0
"""For a scheduler to be told that its client leaves."""


@dataclass(slots=True, kw_only=True, eq=False)
class Cluster:
    """A cluster in use, of one run or of several."""

    client: Client
    """Changes with `renew`."""
    _spec: ClusterSpec
    _deployed: Deployed | None
    _quiet: Quiet
    _undo: ExitStack
    """What it has set for the whole process."""
    _calls: int | None = None
    _adapting: bool = False

    @property
    def owned(self) -> bool:
        """Whether it was started by us, and so is closed by us."""
        return self._spec.kind != "scheduler"

    @property
    def dashboard(self) -> str:
        """Address of a page that shows the cluster at work; empty where there is none."""
        if self._spec.kind == "local" and not has_dashboard():
            return ""
        link = None
        with suppress(KeyError, OSError, ValueError):
            link = self.client.dashboard_link if self._deployed is None else self._deployed.dashboard_link
        return link or ""

    @property
    def threads(self) -> int:
        """How many threads its workers have, as heard two seconds ago or less."""
        facts = self.client._scheduler_identity  # noqa: SLF001 - what it hears by itself; asking again costs a trip
        return int(facts.get("total_threads") or sum(item["nthreads"] for item in facts.get("workers", {}).values()))

    @property
    def threads_max(self) -> int:
        """How many threads it has or may grow to, at least one; also where no worker is there yet."""
        most = self._span()[1] if self._sized() else 0
        return max(1, self.threads, most * self._threads_each())

    @property
    def memory_limit(self) -> int | None:
        """The bytes a thread of its workers may take, where that is known before they are there."""
        return local_memory(self._spec) // self._threads_each() if self._spec.kind == "local" else None

    def size(self, calls: int) -> None:
        """Ask for as many workers as that many calls can use, within the bounds of the spec; later again, if need be.

        Nothing happens where the workers are not ours to start, or their number is left to the class.
        """
        self._calls = calls
        if self._deployed is None or not self._sized():
            return
        least, most = self._span()
        most = max(1, min(most, math.ceil(calls / self._threads_each())))
        least = min(least, most)
        if self._spec.kind in QUEUES:
            # Dask would close a job that has a worker too many, find one too few, and start it again.
            together = shape(self._spec)[0]
            least, most = (together * math.ceil(count / together) for count in (least, most))
        # A queue starts no job in the place of one that has ended, unless it adapts.
        self._adapting = self._adapting or least < most or self._spec.kind in QUEUES
        if self._spec.kind == "local" and not self._adapting:
            # They have been started; to end one would cost more than it takes, and whatever it was just given.
            return
        if not self._adapting or (least and self._spec.kind in QUEUES):
            self._deployed.scale(least)
        if self._adapting:
            self._deployed.adapt(minimum=least, maximum=most)

    def renew(self) -> None:
        """Take up the connection again after it was lost; a cluster of ours that is gone is started anew.

        Raises:
            ClusterError: the scheduler does not come back, or no other can be started.
        """
        _leave(self.client)
        if self._deployed is None:
            assert self._spec.scheduler is not None  # noqa: S101 - the spec says so
            self.client = connected(self._spec.scheduler, timeout_s=RENEW_S)
            return
        with suppress(ClusterError):
            self.client = connected(self._deployed, timeout_s=ALIVE_S)
            return
        _end(self._deployed)
        self._adapting = False
        self._deployed = launch(self._spec)
        self.client = connected(self._deployed, timeout_s=OPEN_S)
        if self._calls is not None:
            self.size(self._calls)

    def heard(self) -> str:
        """The last errors Dask told of, for a message that says why nothing happens; empty where there were none."""
        return "; ".join(self._quiet.errors)

    def close(self) -> None:
        """Leave the scheduler; end it and its workers where they are ours. May be called again."""
        deployed, self._deployed = self._deployed, None
        with ExitStack() as last:
            last.push(self._undo)
            if deployed is not None:
                last.callback(_end, deployed)
            _leave(self.client)

    def _sized(self) -> bool:
        return self._spec.kind == "local" or self._spec.workers is not None

    def _span(self) -> tuple[int, int]:
        return local_workers(self._spec)

    def _threads_each(self) -> int:
        """How many threads a worker has; 1 where it is not known before one is there."""
        options = self._spec.options
        if self._spec.kind == "gateway":
            options = options.get("options", {})
            return max(1, int(options.get("worker_cores", 1)))
        if self._spec.kind == "kubernetes":
            return _cores(options)
        if self._spec.kind in QUEUES:
            return shape(self._spec)[1]
        if "cores" in options:
            return max(1, int(options["cores"]) // int(options.get("processes") or 1))
        return max(1, int(options.get("threads_per_worker", 1)))


def open_cluster(spec: ClusterSpec) -> Cluster:
    """Reach or start the cluster that is meant. Of one that is started here the workers come a moment later.

    Raises:
        RecipeError: the spec does not fit the class, or what the server allows; nothing was started.
        ClusterError: it cannot be reached or started.
    """
    with ExitStack() as undo:
        quiet = Quiet()
        undo.callback(quiet.end)
        if spec.kind == "local":
            undo.enter_context(light())
        with ExitStack() as end:
            deployed = None
            if spec.kind != "scheduler":
                deployed = launch(spec)
                end.callback(_end, deployed)
            client = connected(deployed or spec.scheduler or "", timeout_s=OPEN_S)
            end.pop_all()
        return Cluster(client=client, _spec=spec, _deployed=deployed, _quiet=quiet, _undo=undo.pop_all())


def connected(place: Deployed | str, *, timeout_s: float) -> Client:
    """A client of the scheduler at an address, or of a cluster.

    Raises:
        ClusterError: none answers within the time.
    """
    address = place if isinstance(place, str) else place.scheduler_address
    # Not every class of clusters has keys for its traffic, or a loop that runs.
    security, loop = getattr(place, "security", None), getattr(place, "loop", None)
    ends = time.monotonic() + timeout_s
    try:
        while True:
            left_s = max(ends - time.monotonic(), AGAIN_S)
            try:
                # By its address: a client of a cluster as such waits until all its workers are there.
                return Client(
                    address, loop=loop, security=security, timeout=left_s, set_as_default=False, name="tilepipe"
                )
            except CommClosedError as error:
                # One that is just being ended may still take a connection, and break it.
                if isinstance(error, FatalCommClosedError) or time.monotonic() + AGAIN_S > ends:
                    raise
                time.sleep(AGAIN_S)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"no scheduler answers at {address} within {timeout_s:.0f} s ({error}); "
            "see whether it runs, and whether the address and the firewall let this machine in"
        ) from error


def _cores(options: Mapping[str, Any]) -> int:
    """The cores of a container by its limits, as Dask takes them: 2, "2" or "1500m"; 1 where it has none."""
    limit = str((options.get("resources") or {}).get("limits", {}).get("cpu", "1"))
    with suppress(ValueError):
        return max(1, math.ceil(float(limit[:-1]) / 1000 if limit.endswith("m") else float(limit)))
    return 1


def _leave(client: Client) -> None:
    try:
        with suppress(OSError, RuntimeError):
            client.close(timeout=CLOSE_S)
    except AssertionError:
        # One that is told something along with the greeting, when it connects again, breaks, and stumbles over that.
        client._handle_report_task = None  # noqa: SLF001 - it has ended, and there is nothing else to wait for
        with suppress(OSError, RuntimeError):
            client.close(timeout=CLOSE_S)


def _end(deployed: Deployed) -> None:
    """End a cluster of ours; also one that is gone already."""
    _kill(deployed)
    _give_up(deployed)
    with suppress(OSError, RuntimeError, ValueError):
        deployed.close()


def _kill(cluster: object) -> None:
    """End worker processes of our own without waiting for what they do; it is not yet under its final name."""
    nannies = cluster.workers.values() if isinstance(cluster, distributed.LocalCluster) else ()
    for nanny in nannies:
        if isinstance(nanny, distributed.Nanny):
            nanny.close_gracefully()
            if nanny.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)


def _give_up(cluster: object) -> None:
    """Count the jobs that a queue has refused as ended: closing the cluster stumbles over what never began."""
    jobs = cluster.workers.values() if isinstance(cluster, distributed.SpecCluster) else ()
    for job in jobs:
        if job.status is distributed.Status.created:
            job.status = distributed.Status.closed
