"""Workers that only pretend, in simulated time, and what tiles cost and come to there.

The clock runs with the real one while the loop works, so that a slow loop shows, and jumps to the next end of a call
while the loop waits. How long a tile takes and what becomes of it follows from its place alone, however it is made.
"""

import math
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilepipe.errors import WorkerLost
from tilepipe.geo.branch import bits, full, level_start, tile_at
from tilepipe.geo.pyramid import Tile
from tilepipe.outcome import Failure, Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.plan import LARGEST_DEPTH
from tilepipe.task import Task

__all__ = ["Land", "Theatre", "chance", "fates", "flags", "land", "places"]

SIGMA = 1.0
OVERVIEW_S, EMPTY_S = 0.05, 0.05
"""Of the time of a tile with data, whose median is a second."""
LOST, TROUBLED = 0.01, 0.01
"""Of all tasks: those whose worker ends somewhere within, and those that sit out a timeout."""
RESTART_S, TIMEOUT_S = 5.0, 30.0
EMPTY, SQUARE = 0.2, 4
"""Of the finest zoom, in squares of 2**4 tiles a side."""
FAILED = 10
"""About how many tiles cannot be made at all."""

PLACES = [tile_at(Tile(0, 0, 0), bit) for bit in range(level_start(LARGEST_DEPTH + 1))]
LEVELS, ROWS, COLS = np.array(PLACES, dtype=np.int64).T
PARTS = tuple((Part(20_000, bit),) for bit in range(len(PLACES)))

Numbers = NDArray[Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Land(NamedTuple):
    """The finest zoom and the rectangle of its tiles that are to be made, the end not included."""

    zoom: int
    top: int
    left: int
    side: int


def land(tiles: int) -> Land:
    """A square with about *tiles* tiles on it, overviews among them, that starts and ends at no tile's edge above."""
    side = math.isqrt(3 * tiles // 4)
    zoom = side.bit_length() + 1
    return Land(zoom, (1 << zoom) // 3, (1 << zoom) // 5, side)


def chance(zoom: Numbers | int, rows: Numbers, cols: Numbers, salt: int) -> Numbers:
    """A number for each place, uint64, as if thrown: the mixing of SplitMix64."""
    value = (rows.astype(np.uint64) << np.uint64(32)) + cols.astype(np.uint64)
    value += np.asarray(zoom, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    value += np.uint64(salt * 0xD1B54A32D192ED03 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    return value ^ (value >> np.uint64(31))


def fates(place: Land, rows: Numbers, cols: Numbers) -> tuple[Numbers, Numbers]:
    """Which tiles of the finest zoom are empty, and which of the others fail."""
    empty = chance(place.zoom, rows >> SQUARE, cols >> SQUARE, 1) < np.uint64(EMPTY * 2**64)
    failed = chance(place.zoom, rows, cols, 2) < np.uint64(FAILED / place.side**2 * 2**64)
    return empty, failed & ~empty


def seconds(place: Land, zoom: Numbers, rows: Numbers, cols: Numbers, empty: Numbers) -> float:
    """The time that some tiles take together."""
    ones, twos = (((chance(zoom, rows, cols, salt) >> np.uint64(11)) + np.uint64(1)) * 2.0**-53 for salt in (3, 4))
    normal = np.sqrt(-2 * np.log(ones)) * np.cos(2 * np.pi * twos)
    share = np.where(zoom < place.zoom, OVERVIEW_S, np.where(empty, EMPTY_S, 1.0))
    return float((share * np.exp(SIGMA * normal)).sum())


def flags(mask: int) -> Numbers:
    """The bits that are set."""
    payload = mask.to_bytes(len(PLACES) // 8 + 1, "little")
    return np.flatnonzero(np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="little"))


def places(root: Tile, found: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Zoom, row and column of some bits."""
    levels = LEVELS[found]
    return root.zoom + levels, (root.row << levels) + ROWS[found], (root.col << levels) + COLS[found]


def play(place: Land, task: Task) -> tuple[float, Outcome]:
    """How long a task takes, and what becomes of it."""
    found = flags(task.make)
    zoom, rows, cols = places(task.root, found)
    empty, failed = (fate & (zoom == place.zoom) for fate in fates(place, rows, cols))
    took = seconds(place, zoom, rows, cols, empty)
    bare = sum(1 << bit for bit in found[empty].tolist())
    holes = sum(1 << bit for bit in found[failed].tolist())
    blocked = 0
    finest = place.zoom - task.root.zoom
    leaves = task.make & ~full(finest - 1) if finest else task.make
    written = leaves & ~bare & ~holes
    # From below: the bit of an overview is lower than those of its children.
    for bit in reversed(found[zoom < place.zoom].tolist()):
        children = 0b1111 << 4 * bit + 1
        if (holes | blocked) & children:
            blocked |= 1 << bit
        elif (written | task.read) & children:
            written |= 1 << bit
        else:
            bare |= 1 << bit
    return took, Outcome(
        root=task.root,
        depth=task.depth,
        written=written,
        empty=bare,
        blocked=blocked,
        failures=tuple(Failure(tile_at(task.root, bit), "no", "") for bit in bits(holes)),
        parts=PARTS[: written.bit_count()],
        seconds=took,
        peak_bytes=10**8,
    )


@dataclass(slots=True)
class Theatre:
    """Workers that only pretend; one that is lost is back after a while, what it did is done again."""

    workers: int
    place: Land
    idle: int = 0
    luck: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    calls: list[tuple[int, int, Future[Any], Any]] = field(default_factory=list)
    """Those that wait."""
    events: list[tuple[float, int, Future[Any] | None, Task, Outcome | None]] = field(default_factory=list)
    """What happens when: a call ends, its worker is lost where there is no outcome, or is back where no future."""
    done: set[Future[Any]] = field(default_factory=set)
    chains: dict[Tile, float] = field(default_factory=dict)
    """The time of the longest row of tasks that ends in a root that no overview was made from yet."""
    skipped_s: float = 0.0
    """How far this clock is ahead of the real one."""
    started: int = 0
    ended: int = 0
    useful_s: float = 0.0
    """The work of the tasks that ended well."""
    lost_s: float = 0.0
    """The work of those whose worker ended first."""
    chain_s: float = 0.0
    """The time of the longest row of tasks each of which needs the one before."""
    last_s: float = 0.0
    """When the last task ended."""

    worker_limit: int | None = None

    @property
    def slots(self) -> int:
        return 2 * self.workers

    def __enter__(self) -> Self:
        self.idle = self.workers
        self.skipped_s = -time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.calls.clear()
        self.events.clear()

    def now(self) -> float:
        """Seconds since the run began."""
        return self.skipped_s + time.perf_counter()

    def share(self, value: object, *, calls: int) -> None:
        pass

    def submit(self, call: Callable[[Any, Item], Result], item: Item, *, priority: int = 0) -> Future[Result]:
        future: Future[Result] = Future()
        self.started += 1
        heappush(self.calls, (-priority, self.started, future, item))
        self._start(self.now())
        return future

    def wait(self, futures: Collection[Future[Result]]) -> set[Future[Result]]:
        self._until(self.now())
        while not self.done:
            comes = self.events[0][0]
            self.skipped_s += max(0.0, comes - self.now())
            self._until(comes)
        done, self.done = self.done, set()
        return done

    def _until(self, now: float) -> None:
        while self.events and self.events[0][0] <= now:
            at, turn, future, task, outcome = heappop(self.events)
            if future is not None:
                self.done.add(future)
                self.last_s = at
            if future is not None and outcome is None:
                future.set_exception(WorkerLost("the worker ended"))
                heappush(self.events, (at + RESTART_S, turn, None, task, None))
                continue
            if future is not None and outcome is not None:
                self._end(task, outcome)
                future.set_result(outcome)
            self.idle += 1
            self._start(at)

    def _start(self, now: float) -> None:
        while self.idle and self.calls:
            _, turn, future, task = heappop(self.calls)
            self.idle -= 1
            took, outcome = play(self.place, task)
            luck = self.luck.random()
            if luck < LOST:
                took *= self.luck.random()
                self.lost_s += took
                heappush(self.events, (now + took, turn, future, task, None))
            else:
                trouble = TIMEOUT_S if luck < LOST + TROUBLED else 0.0
                heappush(self.events, (now + took + trouble, turn, future, task, outcome))

    def _end(self, task: Task, outcome: Outcome) -> None:
        self.ended += 1
        self.useful_s += outcome.seconds
        chain = outcome.seconds
        if task.root.zoom + task.depth < self.place.zoom:
            below = range(level_start(task.depth + 1), level_start(task.depth + 2))
            chain += max(self.chains.pop(tile_at(task.root, bit), 0.0) for bit in below)
        self.chain_s = max(self.chain_s, chain)
        self.chains[task.root] = chain
