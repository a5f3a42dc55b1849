"""Calls run side by side on this machine, in threads or in processes."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import Any, Self, TypeVar

from tilepipe.errors import WorkerLost
from tilepipe.executors.forkserver import ENGINE, start
from tilepipe.executors.stop import told_by

__all__ = ["Processes", "Threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """Threads of this process: nothing is copied, and NumPy and GDAL work side by side while they compute."""

    worker_limit = None

    def __init__(self, workers: int) -> None:
        self.workers = self.slots = workers
        self._value: object = None
        self._leaving = threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tilepipe")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._leaving.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def share(self, value: object, *, calls: int) -> None:
        self._value = value

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        return self._pool.submit(self._call, call, item)

    def wait(self, futures: Collection[Future[Result]]) -> set[Future[Result]]:
        return wait(futures, return_when=FIRST_COMPLETED).done

    def _call(self, call: Callable[[Any, Item], Result], item: Item) -> Result:
        with told_by(self._leaving.is_set):
            return call(self._value, item)


@dataclass(slots=True, eq=False)
class Worker:
    """A pool of one process, so that it is known which call a process held when it ended."""

    pool: ProcessPoolExecutor
    pid: Future[int]
    calls: set[Future[Any]] = field(default_factory=set)


class Processes:
    """Processes of this machine. One that ends is replaced at the next call."""

    worker_limit = None

    def __init__(self, workers: int) -> None:
        self.workers = self.slots = workers
        self._payload = b""
        self._workers: list[Worker] = []
        self._context = start(ENGINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            if worker.calls:
                _end(worker)
        for worker in self._workers:
            worker.pool.shutdown(wait=True, cancel_futures=True)
        self._workers.clear()

    def share(self, value: object, *, calls: int) -> None:
        self._payload = pickle.dumps(value)

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        worker = self._idlest()
        outcome: Future[Result] = Future()
        try:
            inner = worker.pool.submit(_call, call, item)
        except BrokenProcessPool:
            worker.pool.shutdown(wait=False)
            self._workers.remove(worker)
            worker = self._start()
            inner = worker.pool.submit(_call, call, item)
        worker.calls.add(inner)
        inner.add_done_callback(lambda done: _hand_over(worker, done, outcome))
        return outcome

    def wait(self, futures: Collection[Future[Result]]) -> set[Future[Result]]:
        return wait(futures, return_when=FIRST_COMPLETED).done

    def _idlest(self) -> Worker:
        """The worker with the least to do; a new one rather than one that is busy."""
        worker = min(self._workers, key=lambda worker: len(worker.calls), default=None)
        if worker is None or (worker.calls and len(self._workers) < self.slots):
            return self._start()
        return worker

    def _start(self) -> Worker:
        pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=(self._payload,))
        self._workers.append(Worker(pool, pool.submit(os.getpid)))
        return self._workers[-1]


def _end(worker: Worker) -> None:
    """Kill the process; what it was writing is not yet under its final name."""
    try:
        os.kill(worker.pid.result(), signal.SIGKILL)
    except (BrokenProcessPool, ProcessLookupError):
        return


def _hand_over(worker: Worker, done: Future[Result], outcome: Future[Result]) -> None:
    worker.calls.discard(done)
    if done.cancelled():
        outcome.cancel()
        return
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        outcome.set_exception(WorkerLost("the worker process ended (killed, out of memory, or crashed)"))
    elif error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())


SHARED: dict[str, object] = {}
"""What the engine handed to this worker process."""


def _begin(payload: bytes) -> None:
    """Prepare a worker process."""
    # The parent decides what an interrupt means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, daemon=True).start()
    SHARED["value"] = pickle.loads(payload)  # noqa: S301 - from our own parent


def _watch_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(call: Callable[[Any, Item], Result], item: Item) -> Result:
    return call(SHARED["value"], item)
