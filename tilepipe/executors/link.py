"""A run's connection with a Dask cluster: what travels to the workers, what they tell, and whether it still holds."""

import time
import warnings
from collections.abc import Collection
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

import distributed

from tilepipe.errors import ClusterError
from tilepipe.executors.cluster import Cluster
from tilepipe.executors.remote import SAID, TOPIC, Answer, Carrier, running
from tilepipe.executors.witness import Note
from tilepipe.versions import differences, versions

__all__ = ["Gone", "Link"]

RENEWALS = 3
"""How often a run goes on after its scheduler was lost."""

LOOK_S = 1.0
"""Between two looks at the connection, and at how many workers there are."""

PATIENCE_S = 30.0
"""Without a worker, before that is told."""

GRACE_S = 3.0
"""For calls that run when nobody waits for them any more; then their worker is restarted."""


class Gone(NamedTuple):
    """A worker that ended, and the numbers of our tasks that it held."""

    worker: str
    held: list[int]


@dataclass(slots=True, kw_only=True)
class Link:
    """Opened with a cluster, closed with it."""

    cluster: Cluster
    news: "SimpleQueue[int | Note | Answer | Gone]" = field(default_factory=SimpleQueue)
    """What has happened: tasks that ended, what workers told, workers that went."""
    run: str = field(default_factory=lambda: uuid4().hex[:12])
    """Tells the tasks of this run from others at the scheduler."""
    threads: int = 0
    """Of all workers, at the last look."""
    lost: bool = False
    """Whether what was with the scheduler has to start anew."""
    payload: bytes = b""
    calls: int = 0
    _scheduler: str = ""
    _looked: float = 0.0
    _without: float | None = None
    """Since when there are no workers; None once that was told."""
    _renewals: int = 0
    _prepared: bool = False

    @property
    def workers(self) -> int:
        """How many calls can run at once, now or once all workers have come."""
        return max(self.threads, self.cluster.threads_max if self.cluster.owned else 1)

    @property
    def stands(self) -> bool:
        """Whether the scheduler can be spoken to, and holds what it was given."""
        return bool(self.cluster.client.status == "running") and not self.lost

    def key(self, number: int) -> tuple[str, int]:
        """What the scheduler calls a task."""
        return f"tilepipe-{self.run}", number

    def memory(self) -> int | None:
        """The least memory that a worker has for each of its threads, in bytes; None where there is no limit."""
        if self.cluster.memory_limit:
            return self.cluster.memory_limit
        workers = self.cluster.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [facts["memory_limit"] // facts["nthreads"] for facts in workers if facts["memory_limit"]]
        return min(limits, default=None)

    def prepare(self) -> None:
        """Make the cluster ready for the run, also one that takes the place of another.

        Raises:
            ClusterError: a worker or the scheduler has no tilepipe, or another one.
        """
        self._compare()
        client = self.cluster.client
        client.subscribe_topic("all", self._hear_scheduler)
        client.subscribe_topic(TOPIC, self._hear_worker)
        client.register_plugin(Carrier(self.run, self.payload))
        self._prepared = True
        self.cluster.size(self.calls)
        self.look()

    def _compare(self) -> None:
        """Refuse a cluster that would make other bytes; the scheduler too looks into what it is given."""
        client = self.cluster.client
        found: dict[str, Any] = {}
        try:
            found["the scheduler"] = client.run_on_scheduler(versions)
        except ImportError as error:
            found["the scheduler"] = error
        workers = client.run(versions, on_error="return")
        found.update((f"worker {address}", theirs) for address, theirs in workers.items())
        for name, theirs in found.items():
            if isinstance(theirs, OSError):
                # It went while it was asked.
                continue
            if isinstance(theirs, BaseException):
                raise ClusterError(f"{name} cannot run tilepipe: {theirs}; install it there")
            unlike = differences(versions(), theirs)
            if unlike:
                raise ClusterError(f"{name} has {unlike}; install the same everywhere")

    def look(self) -> None:
        """See how many threads the workers have now, and whether the scheduler is still the one that was asked."""
        self._looked = time.monotonic()
        facts = self.cluster.client.scheduler_info(n_workers=0)
        self.threads = facts["total_threads"]
        self.lost = self._scheduler not in {"", facts["id"]}
        self._scheduler = facts["id"]

    def tend(self, *, busy: bool) -> None:
        """Look, if it is time to.

        Args:
            busy: whether tasks are with the scheduler, so that workers are needed.
        """
        if self.stands and time.monotonic() - self._looked > LOOK_S:
            self.look()
            self._await_workers(busy=busy)

    def renew(self) -> None:
        """Take up the connection again after it was lost.

        Raises:
            ClusterError: it cannot be, or was lost too often.
        """
        if self._renewals == RENEWALS:
            raise ClusterError(f"the scheduler was lost {RENEWALS + 1} times; run again to go on from what was made")
        self._renewals += 1
        self._prepared = False
        self._scheduler = ""
        self.cluster.renew()
        self.prepare()

    def recall(self, numbers: Collection[int]) -> None:
        """Take tasks back from the scheduler, also those that we have let go of."""
        client = self.cluster.client
        client.cancel([distributed.Future(self.key(number), client) for number in numbers], force=True)

    def close(self, futures: "Collection[distributed.Future[Any]]") -> None:
        """End what goes on for this run, and let go of the cluster."""
        try:
            # Where the connection breaks meanwhile, there is nothing left to end.
            with suppress(CancelledError, OSError):
                if self.cluster.client.status == "running" and self._prepared:
                    self._leave(futures)
        finally:
            self._prepared = False
            self.cluster.close()

    def _leave(self, futures: "Collection[distributed.Future[Any]]") -> None:
        client = self.cluster.client
        for topic in ("all", TOPIC):
            client.unsubscribe_topic(topic)
        if self.cluster.owned:
            return
        client.cancel(list(futures), force=True)
        limit = time.monotonic() + GRACE_S
        busy = self._busy()
        while busy and time.monotonic() < limit:
            time.sleep(0.1)
            busy = self._busy()
        if busy:
            client.restart_workers(busy)
        client.unregister_worker_plugin(f"tilepipe-{self.run}")

    def _busy(self) -> list[str]:
        """Workers in which calls of this run go on."""
        found = self.cluster.client.run(running, self.run, on_error="ignore")
        return [worker for worker, calls in found.items() if calls]

    def _await_workers(self, *, busy: bool) -> None:
        """Tell once that no worker comes, with what Dask says of it; a queue may take its time."""
        if self.threads or not busy:
            self._without = time.monotonic()
        elif self._without is not None and time.monotonic() - self._without > PATIENCE_S:
            self._without = None
            heard = self.cluster.heard() or "Dask tells of no error"
            warnings.warn(f"no worker has come in {PATIENCE_S:.0f} s, still waiting ({heard})", stacklevel=2)

    def _hear_worker(self, event: tuple[float, list[Any]]) -> None:
        """Called in the client's own thread."""
        kind, *facts = event[1]
        said = SAID[kind](*facts)
        if said.run == self.run:
            self.news.put(said)

    def _hear_scheduler(self, event: tuple[float, Any]) -> None:
        """Called in the client's own thread."""
        facts = event[1]
        if isinstance(facts, dict) and facts.get("action") == "remove-worker" and not facts["expected"]:
            mine = (key for key in facts["processing-tasks"] if isinstance(key, tuple))
            self.news.put(Gone(facts["worker"], [key[1] for key in mine if key[0] == self.key(0)[0]]))
