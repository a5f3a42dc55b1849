"""What runs on the workers of a cluster: the calls, and what tells of them should the worker end."""

import ctypes
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, NamedTuple, cast

import psutil
from distributed import Worker, WorkerPlugin, get_worker

from tilepipe.errors import ClusterError
from tilepipe.executors.stop import stopping, told_by
from tilepipe.executors.witness import Note
from tilepipe.versions import differences, versions

__all__ = ["SAID", "TOPIC", "Answer", "Answers", "Carrier", "call_each", "running"]

TOPIC = "tilepipe"
"""Where workers tell what they run, what came of it, and how much memory they take."""

MOST_TOLD_BYTES = 4096
"""Larger answers have to be asked for: a scheduler keeps the last thousand things that were told."""

SAMPLE_S = 0.05
"""Between two looks at the memory of a worker."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of malloc.h."""

KEPT_BYTES = 64 << 20
"""Freed memory that the allocator keeps at most; what glibc comes to by itself."""

STEP = 16
"""More memory is told when it has grown by one part in this many of the limit."""


class Answers(NamedTuple):
    """What some calls returned, one after the other."""

    results: list[Any]
    seconds: float


class Answer(NamedTuple):
    """Answers that are told by themselves: to ask for them takes three trips."""

    run: str
    call: int
    """Number of the task that has ended."""
    pickled: bytes


SAID: dict[str, type[Note | Answer]] = {said.__name__: said for said in (Note, Answer)}
"""What workers tell, by its name."""


@dataclass(slots=True)
class _Held:
    """What a run has brought to this worker."""

    payload: bytes
    expected: Mapping[str, str]
    value: object = None
    opened: bool = False
    lock: Lock = field(default_factory=Lock)
    calls: int = 0
    """How many run now."""

    def open(self) -> object:
        """The shared value, the same for all calls."""
        with self.lock:
            if not self.opened:
                unlike = differences(self.expected, versions())
                if unlike:
                    raise ClusterError(f"worker {get_worker().address} has {unlike}; install the same everywhere")
                self.value = pickle.loads(self.payload)  # noqa: S301 - from the client, who may run anything here
                self.opened = True
        return self.value


_HELD: dict[str, _Held] = {}


class Carrier(WorkerPlugin):
    """Brings the shared value of a run to each worker, and takes it away after the run."""

    def __init__(self, run: str, payload: bytes) -> None:
        self.name = f"tilepipe-{run}"
        self.run = run
        self.payload = payload
        self.expected = versions()

    def setup(self, worker: Worker) -> None:
        _HELD[self.run] = _Held(self.payload, self.expected)
        _keep_memory()
        self.ended = Event()
        Thread(target=self._watch, args=(worker,), name="tilepipe-memory", daemon=True).start()

    def teardown(self, worker: Worker) -> None:
        self.ended.set()
        _HELD.pop(self.run, None)

    def _watch(self, worker: Worker) -> None:
        """Tell how much memory is taken while calls run: a worker that is killed for it cannot any more."""
        process, told = psutil.Process(), 0
        step = _limit(worker) // STEP or 1 << 27
        while not self.ended.wait(SAMPLE_S):
            held = _HELD.get(self.run)
            taken = process.memory_info().rss if held is not None and held.calls else 0
            if taken > told + step:
                told = taken
                _tell(worker, Note(self.run, worker.address, -1, taken, _limit(worker)))


def call_each(run: str, pickled: bytes, settle_s: float) -> Answers | None:
    """Make some calls with an item each, one after the other; the first exception ends them all.

    Args:
        run: whose shared value they get.
        pickled: a list of functions and items; in bytes, so that the scheduler need not look into it.
        settle_s: time for what this worker tells to be heard before the first call.

    Returns:
        What came of it, or None where it was told.
    """
    worker = get_worker()
    key = cast("tuple[str, int]", worker.get_current_task())
    held = _HELD[run]
    value = held.open()
    _tell(worker, Note(run, worker.address, key[1], psutil.Process().memory_info().rss, _limit(worker)))
    calls = pickle.loads(pickled)  # noqa: S301 - from the client, who may run anything here
    time.sleep(settle_s)
    started = time.perf_counter()
    results = []
    with _counted(held), told_by(lambda: _unwanted(worker, key)):
        for call, item in calls:
            if stopping():
                break
            results.append(call(value, item))
    answers = Answers(results, time.perf_counter() - started)
    told = pickle.dumps(answers)
    # What ended early because nobody waits for it must not be taken for all there is.
    if len(told) > MOST_TOLD_BYTES or _unwanted(worker, key):
        return answers
    _tell(worker, Answer(run, key[1], told))
    return None


def _keep_memory() -> None:
    """Let the allocator keep what was freed for the next tile, as it does in a process that nobody has told otherwise.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_ so low that each array comes page by page from the system and
    goes back there: a hillshade takes a third longer.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def running(run: str) -> int:
    """How many calls of a run go on in this worker."""
    held = _HELD.get(run)
    return held.calls if held else 0


@contextmanager
def _counted(held: _Held) -> Iterator[None]:
    with held.lock:
        held.calls += 1
    try:
        yield
    finally:
        with held.lock:
            held.calls -= 1


def _unwanted(worker: Worker, key: Any) -> bool:
    """Whether the scheduler has taken a task back: its run has ended, or its client is gone."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"


def _limit(worker: Worker) -> int:
    return worker.memory_manager.memory_limit or 0


def _tell(worker: Worker, said: Note | Answer) -> None:
    worker.log_event(TOPIC, [type(said).__name__, *said])
