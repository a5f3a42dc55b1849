"""Calls run on the workers of a Dask cluster.

Never more is with the scheduler than its workers can take soon, whatever the number of calls to come. A call whose
worker ends is told apart from those that only waited there, and calls that were lost with the scheduler are made again.
"""

import pickle
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from itertools import groupby
from queue import Empty
from typing import Any, NamedTuple, Self, TypeVar

import distributed
from distributed.scheduler import KilledWorker

from tilepipe.errors import WorkerLost
from tilepipe.executors.cluster import open_cluster
from tilepipe.executors.cluster_spec import ClusterSpec, cluster_spec
from tilepipe.executors.link import LOOK_S, Gone, Link
from tilepipe.executors.remote import Answer, Answers, call_each
from tilepipe.executors.witness import Note, Witness

__all__ = ["Dask"]

AHEAD = 2
"""Tasks for each thread: one that runs and, once it does, one that waits, so that no thread waits for the scheduler."""

TASKS_PER_S = 200
"""What a scheduler takes lightly; shorter calls are put together into one task."""

MOST_TOGETHER = 64
"""Calls in one task."""

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
    settle_s: float
    future: "distributed.Future[Any]"


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
        self._link = Link(cluster=open_cluster(spec))
        self._link.look()
        self.worker_limit = self._link.memory()
        self._waiting: list[_Call] = []
        self._tasks: dict[int, _Task] = {}
        self._begun: set[int] = set()
        """Numbers of those tasks that a worker has told of."""
        self._spent: list[distributed.Future[Any]] = []
        """Of tasks that have ended; to let go of them at once would hold up those that are to start next."""
        self._resolved: set[Future[Any]] = set()
        self._number = 0
        self._seconds = 0.0
        """Of one call, lately; 0 before the first has ended."""
        self._witness = Witness()
        self._careful = False
        """Whether a worker has ended in a call, so that it matters which one the next has begun."""

    @property
    def workers(self) -> int:
        return self._link.workers

    @property
    def slots(self) -> int:
        return AHEAD * self.workers * self._together

    @property
    def dashboard(self) -> str:
        """Address of a page that shows the cluster at work; empty where there is none."""
        return self._link.cluster.dashboard

    @property
    def _together(self) -> int:
        """How many calls make up a task, so that the scheduler is not asked too often."""
        if not self._seconds:
            return 1
        return max(1, min(MOST_TOGETHER, int(self.workers / (TASKS_PER_S * self._seconds))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        futures = [task.future for task in self._tasks.values()]
        self._tasks.clear()
        self._waiting.clear()
        self._link.close(futures)

    def share(self, value: object, *, calls: int) -> None:
        self._link.payload = pickle.dumps(value)
        self._link.calls = calls
        self._link.prepare()

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        future: Future[Result] = Future()
        self._waiting.append(_Call(future, call, item, priority))
        return future

    def wait(self, futures: Collection[Future[Result]]) -> set[Future[Result]]:
        while not (done := self._resolved.intersection(futures)):
            try:
                self._link.tend(busy=bool(self._tasks))
                if not self._link.stands:
                    self._begin_anew()
                self._flush()
                self._spent.clear()
                self._collect()
            except (CancelledError, OSError):
                self._link.lost = True
        self._resolved -= done
        return done

    def _begin_anew(self) -> None:
        """Take up a lost connection; what was under way waits again."""
        self._waiting[:0] = [call for task in self._tasks.values() for call in task.calls]
        self._tasks.clear()
        self._begun.clear()
        self._link.renew()

    def _flush(self) -> None:
        """Hand calls that wait to the scheduler, the most urgent first, short ones together.

        As many as there are threads wait there to be begun: it gives all it has to the workers that have come so far.
        """
        room = self.workers + min(len(self._begun), (AHEAD - 1) * self.workers) - len(self._tasks)
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
        settle_s = SETTLE_S if self._careful else 0.0
        futures = self._link.cluster.client.map(
            call_each,
            [self._link.run] * len(bundles),
            [pickle.dumps([(call.call, call.item) for call in calls]) for calls in bundles],
            [settle_s] * len(bundles),
            key=[self._link.key(number) for number in numbers],
            priority=priority,
            pure=False,
        )
        for number, calls, future in zip(numbers, bundles, futures, strict=True):
            self._tasks[number] = _Task(number, calls, settle_s, future)
            future.add_done_callback(lambda _, number=number: self._link.news.put(number))

    def _collect(self) -> None:
        """Take in what has happened, after waiting for something to."""
        ended: list[int] = []
        try:
            news = self._link.news.get(timeout=LOOK_S)
            while True:
                if isinstance(news, Note):
                    self._witness.hear(news)
                    self._begun.update(self._tasks.keys() & {news.call})
                elif isinstance(news, Answer):
                    self._told(news)
                elif isinstance(news, Gone):
                    self._lose(news)
                else:
                    ended.append(news)
                news = self._link.news.get_nowait()
        except Empty:
            self._take(self._tasks[number] for number in ended if number in self._tasks)

    def _told(self, answer: Answer) -> None:
        task = self._tasks.get(answer.call)
        if task is not None:
            self._hand_on(task, pickle.loads(answer.pickled))  # noqa: S301 - from our workers, by our scheduler

    def _take(self, ended: Iterable[_Task]) -> None:
        """Hand on the results of tasks."""
        fine: list[_Task] = []
        for task in ended:
            if task.future.status == "finished":
                fine.append(task)
            elif task.future.status == "error":
                self._fail(task, task.future.exception())
            elif task.future.status == "lost":
                # Its worker ended before the result was fetched. Not the scheduler makes it again, but we, by a new
                # number: the order of these tells what a worker began first.
                task.future.cancel(force=True)
                self._again(task)
            else:
                # Not by us: the connection broke, if only for a moment.
                self._link.lost = True
        answers = self._link.cluster.client.gather([task.future for task in fine]) if fine else []
        for task, answer in zip(fine, answers, strict=True):
            if answer is None:
                # It was told, and not heard.
                self._again(task)
            else:
                self._hand_on(task, answer)

    def _hand_on(self, task: _Task, answers: Answers) -> None:
        """Hand on what came of a task."""
        self._drop(task)
        self._spent.append(task.future)
        lately = answers.seconds / len(task.calls)
        self._seconds += (lately - self._seconds) * (0.3 if self._seconds else 1)
        for call, result in zip(task.calls, answers.results, strict=True):
            call.future.set_result(result)
            self._resolved.add(call.future)

    def _drop(self, task: _Task) -> None:
        del self._tasks[task.number]
        self._begun.discard(task.number)

    def _lose(self, gone: Gone) -> None:
        """Take back from the scheduler what a worker ran when it ended; what only waited there moves on by itself."""
        peak, limit = self._witness.memory(gone.worker)
        reason = f"worker {gone.worker} ended (killed, out of memory, or crashed)"
        held = [number for number in gone.held if number in self._tasks]
        # What is taken back may have gone to another worker before that was heard, and end it too.
        silent = [number for number in held if not self._tasks[number].settle_s]
        ran = self._witness.ran(gone.worker, held, silent=silent)
        # What was told, and had no time to end there, would be made again elsewhere.
        self._link.recall(set(gone.held).difference(held) | ran)
        for number in ran:
            if silent:
                # One of these may have begun and not have told, and what came before it not that it had ended.
                self._again(self._tasks[number])
            else:
                self._fail(self._tasks[number], WorkerLost(reason, peak_bytes=peak, limit_bytes=limit))
        self._careful = self._careful or bool(ran)
        self._witness.forget(gone.worker)

    def _fail(self, task: _Task, error: BaseException) -> None:
        """Hand on why a task failed; where it is not known which of its calls it was, they are made one by one."""
        if len(task.calls) > 1:
            self._again(task)
            return
        self._drop(task)
        if isinstance(error, KilledWorker):
            error = WorkerLost("the worker ended (killed, out of memory, or crashed)")
        (call,) = task.calls
        call.future.set_exception(error)
        self._resolved.add(call.future)

    def _again(self, task: _Task) -> None:
        self._drop(task)
        for call in task.calls:
            call.alone = True
        self._waiting.extend(task.calls)
