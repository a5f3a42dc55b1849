"""Calls run on the workers of a Dask cluster.

Never more is with the scheduler than its workers can take soon, whatever the number of calls to come. A call whose
worker ends is told apart from those that only waited there, and calls that were lost with the scheduler are made again.
"""

import pickle
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self, TypeVar
from uuid import uuid4

import distributed
from distributed.scheduler import KilledWorker

from tilepipe.errors import ClusterError, WorkerLost
from tilepipe.executors.cluster import open_cluster
from tilepipe.executors.cluster_spec import ClusterSpec, cluster_spec
from tilepipe.executors.remote import TOPIC, Carrier, call_each, running
from tilepipe.executors.witness import Note, Witness
from tilepipe.versions import differences, versions

__all__ = ["Dask"]

AHEAD = 2
"""Tasks for each thread: one that runs and one that waits, so that no thread waits for the scheduler."""

TASKS_PER_S = 200
"""What a scheduler takes lightly; shorter calls are put together into one task."""

MOST_TOGETHER = 64
"""Calls in one task."""

RENEWALS = 3
"""How often a run goes on after its scheduler was lost."""

LOOK_S = 1.0
"""Between two looks at the connection, and at how many workers there are."""

GRACE_S = 3.0
"""For calls that run when nobody waits for them any more; then their worker is restarted."""

SETTLE_S = 0.02
"""For a worker to tell what it has ended and what it begins, before it begins, once another has ended without."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Call:
    """One call and who waits for it."""

    future: Future[Any]
    call: Callable[[Any, Any], Any]
    item: Any
    priority: int
    alone: bool = False
    """Whether it is not put together with others any more: one of those it was with made trouble."""


class _Task(NamedTuple):
    """Some calls on their way through the scheduler."""

    number: int
    calls: list[_Call]
    future: "distributed.Future[Any]"


class _Gone(NamedTuple):
    """A worker that ended, and the tasks it held."""

    worker: str
    held: list[int]


class Dask:
    """The workers of a Dask cluster: on this machine, at an address, or started by a queue or a service."""

    def __init__(self, workers: int | None = None, *, cluster: object = None) -> None:
        """Open the cluster.

        Args:
            workers: how many; None for what *cluster* says.
            cluster: which, as `cluster_spec` understands it; None for processes of this machine.

        Raises:
            ClusterError: it cannot be reached or started.
            RecipeError: *cluster* is not right.
        """
        spec = ClusterSpec() if cluster is None else cluster_spec(cluster)
        if workers is not None:
            spec = spec.with_workers(workers)
        self._run = uuid4().hex[:12]
        self._payload = b""
        self._calls = 0
        self._cluster = open_cluster(spec)
        self._seconds = 0.0
        """Of one call, lately; 0 before the first has ended."""
        self._renewals = 0
        self._lost = False
        self._careful = False
        """Whether a worker has ended, so that it matters which call the next one has begun."""
        self._prepared = False
        self._scheduler = ""
        self._number = 0
        self._waiting: list[_Call] = []
        self._tasks: dict[int, _Task] = {}
        self._witness = Witness()
        self._news: SimpleQueue[int | Note | _Gone] = SimpleQueue()
        self._resolved: set[Future[Any]] = set()
        self._look()
        self.worker_limit = self._cluster.memory_limit or self._memory()

    @property
    def workers(self) -> int:
        return max(self._threads, self._cluster.threads_max if self._cluster.owned else 1)

    @property
    def slots(self) -> int:
        return AHEAD * self.workers * self._together

    @property
    def dashboard(self) -> str:
        """Address of a page that shows the cluster at work; empty where there is none."""
        return self._cluster.dashboard

    @property
    def _together(self) -> int:
        """How many calls make up a task, so that the scheduler is not asked too often."""
        if not self._seconds:
            return 1
        return max(1, min(MOST_TOGETHER, int(self.workers / (TASKS_PER_S * self._seconds))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            # Where the connection breaks meanwhile, there is nothing left to end.
            with suppress(CancelledError, OSError):
                if self._connected():
                    self._leave()
        finally:
            self._tasks.clear()
            self._waiting.clear()
            self._cluster.close()

    def share(self, value: object, *, calls: int) -> None:
        self._payload = pickle.dumps(value)
        self._calls = calls
        self._prepare()

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        future: Future[Result] = Future()
        self._waiting.append(_Call(future, call, item, priority))
        return future

    def wait(self, futures: Collection[Future[Result]], timeout_s: float | None = None) -> set[Future[Result]]:
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                self._check()
                self._flush()
                self._collect(LOOK_S if limit is None else max(0.0, min(LOOK_S, limit - time.monotonic())))
            except (CancelledError, OSError):
                self._lost = True
            done = self._resolved.intersection(futures)
            if done or (limit is not None and time.monotonic() >= limit):
                self._resolved -= done
                return done

    def _prepare(self) -> None:
        """Make the cluster ready for the run, also one that takes the place of another."""
        client = self._cluster.client
        for worker, theirs in client.run(versions, on_error="return").items():
            if isinstance(theirs, OSError):
                # It went while it was asked.
                continue
            if isinstance(theirs, BaseException):
                raise ClusterError(f"worker {worker} cannot run tilepipe: {theirs}; install it on all workers")
            unlike = differences(versions(), theirs)
            if unlike:
                raise ClusterError(f"worker {worker} has {unlike}; install the same on all workers")
        client.subscribe_topic("all", self._hear_scheduler)
        client.subscribe_topic(TOPIC, self._hear_worker)
        client.register_plugin(Carrier(self._run, self._payload))
        self._prepared = True
        self._cluster.size(self._calls)
        self._look()

    def _memory(self) -> int | None:
        """The least memory that a worker has for each of its threads, in bytes."""
        workers = self._cluster.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [facts["memory_limit"] // facts["nthreads"] for facts in workers if facts["memory_limit"]]
        return min(limits, default=None)

    def _look(self) -> None:
        """See how many threads the workers have now, and whether the scheduler is still the one that was asked."""
        self._looked = time.monotonic()
        facts = self._cluster.client.scheduler_info(n_workers=0)
        self._threads: int = facts["total_threads"]
        self._lost = self._scheduler not in {"", facts["id"]}
        self._scheduler = facts["id"]

    def _connected(self) -> bool:
        return bool(self._cluster.client.status == "running")

    def _check(self) -> None:
        """Take up the connection again where it was lost; what was under way starts anew."""
        if self._connected() and not self._lost and time.monotonic() - self._looked > LOOK_S:
            self._look()
        if self._connected() and not self._lost:
            return
        if self._renewals == RENEWALS:
            raise ClusterError(f"the scheduler was lost {RENEWALS + 1} times; run again to go on from what was made")
        self._renewals += 1
        self._waiting[:0] = [call for task in self._tasks.values() for call in task.calls]
        self._tasks.clear()
        self._prepared = False
        self._scheduler = ""
        self._cluster.renew()
        self._prepare()

    def _flush(self) -> None:
        """Hand calls that wait to the scheduler, the most urgent first, short ones together."""
        room = AHEAD * self.workers - len(self._tasks)
        if not self._waiting or room <= 0:
            return
        together = min(self._together, -(-len(self._waiting) // room))
        bundles: list[list[_Call]] = []
        self._waiting.sort(key=lambda call: -call.priority)
        taken = 0
        for call in self._waiting:
            last = bundles[-1] if bundles else []
            if last and len(last) < together and not (call.alone or last[0].alone):
                last.append(call)
            elif len(bundles) < room:
                bundles.append([call])
            else:
                break
            taken += 1
        del self._waiting[:taken]
        for priority, group in groupby(bundles, key=lambda calls: calls[0].priority):
            self._start(list(group), priority)

    def _start(self, bundles: list[list[_Call]], priority: int) -> None:
        numbers = range(self._number, self._number + len(bundles))
        self._number += len(bundles)
        futures = self._cluster.client.map(
            call_each,
            [self._run] * len(bundles),
            [[(call.call, call.item) for call in calls] for calls in bundles],
            [SETTLE_S if self._careful and len(calls) == 1 else 0.0 for calls in bundles],
            key=[(f"tilepipe-{self._run}", number) for number in numbers],
            priority=priority,
            pure=False,
        )
        for number, calls, future in zip(numbers, bundles, futures, strict=True):
            self._tasks[number] = _Task(number, calls, future)
            future.add_done_callback(lambda _, number=number: self._news.put(number))

    def _hear_worker(self, event: tuple[float, list[Any]]) -> None:
        """Called in the client's own thread."""
        note = Note(*event[1])
        if note.run == self._run:
            self._news.put(note)

    def _hear_scheduler(self, event: tuple[float, Any]) -> None:
        """Called in the client's own thread."""
        facts = event[1]
        if isinstance(facts, dict) and facts.get("action") == "remove-worker" and not facts["expected"]:
            mine = (key for key in facts["processing-tasks"] if isinstance(key, tuple))
            self._news.put(_Gone(facts["worker"], [key[1] for key in mine if key[0] == f"tilepipe-{self._run}"]))

    def _collect(self, timeout_s: float) -> None:
        """Take in what has happened, after waiting for something to."""
        ended: list[int] = []
        try:
            news = self._news.get(timeout=timeout_s)
            while True:
                if isinstance(news, Note):
                    self._witness.hear(news)
                elif isinstance(news, _Gone):
                    self._lose(news)
                else:
                    ended.append(news)
                news = self._news.get_nowait()
        except Empty:
            self._take(self._tasks[number] for number in ended if number in self._tasks)

    def _take(self, ended: Iterable[_Task]) -> None:
        """Hand on the results of tasks."""
        fine: list[_Task] = []
        for task in ended:
            if task.future.status == "finished":
                fine.append(task)
            elif task.future.status == "error":
                self._fail(task, task.future.exception())
            else:
                # Not by us: the connection broke, if only for a moment.
                self._lost = True
        answers = self._cluster.client.gather([task.future for task in fine])
        for task, answer in zip(fine, answers, strict=True):
            del self._tasks[task.number]
            lately = answer.seconds / len(task.calls)
            self._seconds += (lately - self._seconds) * (0.3 if self._seconds else 1)
            for call, result in zip(task.calls, answer.results, strict=True):
                call.future.set_result(result)
                self._resolved.add(call.future)

    def _lose(self, gone: _Gone) -> None:
        """Take back from the scheduler what a worker ran when it ended; what only waited there moves on by itself."""
        peak, limit = self._witness.memory(gone.worker)
        reason = f"worker {gone.worker} ended (killed, out of memory, or crashed)"
        held = [number for number in gone.held if number in self._tasks]
        for number in self._witness.ran(gone.worker, held):
            task = self._tasks[number]
            task.future.cancel(force=True)
            if self._careful:
                self._fail(task, WorkerLost(reason, peak_bytes=peak, limit_bytes=limit))
            else:
                self._again(task)
        self._careful = True
        self._witness.forget(gone.worker)

    def _fail(self, task: _Task, error: BaseException) -> None:
        """Hand on why a task failed; where it is not known which of its calls it was, they are made one by one."""
        if len(task.calls) > 1:
            self._again(task)
            return
        del self._tasks[task.number]
        if isinstance(error, KilledWorker):
            error = WorkerLost("the worker ended (killed, out of memory, or crashed)")
        (call,) = task.calls
        call.future.set_exception(error)
        self._resolved.add(call.future)

    def _again(self, task: _Task) -> None:
        del self._tasks[task.number]
        for call in task.calls:
            call.alone = True
        self._waiting.extend(task.calls)

    def _leave(self) -> None:
        """End what goes on for this run in workers that stay, and let go of the scheduler."""
        client = self._cluster.client
        if not self._prepared:
            return
        for topic in ("all", TOPIC):
            client.unsubscribe_topic(topic)
        if self._cluster.owned:
            return
        client.cancel([task.future for task in self._tasks.values()], force=True)
        limit = time.monotonic() + GRACE_S
        busy = self._busy()
        while busy and time.monotonic() < limit:
            time.sleep(0.1)
            busy = self._busy()
        if busy:
            client.restart_workers(busy)
        client.unregister_worker_plugin(f"tilepipe-{self._run}")

    def _busy(self) -> list[str]:
        """Workers in which calls of this run go on."""
        found = self._cluster.client.run(running, self._run, on_error="ignore")
        return [worker for worker, calls in found.items() if calls]
