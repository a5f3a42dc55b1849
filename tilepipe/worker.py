"""One branch on one worker: read, process, reduce, write.

Depth first: what is in memory at once is one tile being made and, for each zoom above it, one overview being filled.
"""

import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from tilepipe.errors import DataError, OutputError, ProcessError, StorageError
from tilepipe.executors.stop import stopping
from tilepipe.gdal import session
from tilepipe.geo.branch import bits, children_of, tile_at
from tilepipe.geo.halve import halve
from tilepipe.geo.pyramid import Tile
from tilepipe.geo.raster import Pixels, Raster, missing
from tilepipe.outcome import Failure, Outcome
from tilepipe.outputs.protocol import Part
from tilepipe.pipeline import Pipeline
from tilepipe.produce import produce
from tilepipe.task import Task

__all__ = ["Orders", "make_branch"]

Result = TypeVar("Result")

FIRST_PAUSE_S = 0.2
"""Before the first repetition; each further pause is twice as long, give or take a half so that workers spread."""


class Orders(NamedTuple):
    """What every worker is given once."""

    pipeline: Pipeline
    retries: int
    """How often a call is tried again after a fault of an input or a storage that may pass."""
    stop: bool
    """Whether the first tile that fails ends the branch."""
    replaces: bool
    """Whether something may be stored already for a tile that turns out to be empty."""


class _Stopped(Exception):
    """Ends a branch at its first failure, or where nobody waits for it."""


@dataclass(slots=True)
class _Branch:
    """What has become of a branch so far, as bits of `geo.branch`."""

    orders: Orders
    task: Task
    written: dict[int, tuple[Part, ...]] = field(default_factory=dict)
    empty: int = 0
    failed: int = 0
    blocked: int = 0
    failures: list[Failure] = field(default_factory=list)

    def settled(self, bit: int) -> bool:
        """Whether it is known what became of a tile."""
        return bit in self.written or bool((self.empty | self.failed | self.blocked) >> bit & 1)

    def make(self, bit: int) -> Pixels | None:
        """Make a tile, an overview after its children; its pixels, or None where it holds no data or was not made."""
        if stopping():
            raise _Stopped
        tile = tile_at(self.task.root, bit)
        try:
            if tile.zoom not in self.orders.pipeline.reduced:
                return self._keep(tile, bit, self._try(lambda: produce(self.orders.pipeline, tile)))
            pixels = self._reduce(tile, bit)
            if any((self.failed | self.blocked) >> child & 1 for child in children_of(bit)):
                self.blocked |= 1 << bit
                return None
            return self._keep(tile, bit, pixels)
        except (DataError, MemoryError, OutputError, ProcessError) as error:
            self._fail(tile, bit, error)
            return None

    def _reduce(self, tile: Tile, bit: int) -> Pixels | None:
        """The overview of a tile from its four children."""
        pipeline = self.orders.pipeline
        rows, cols = pipeline.pyramid.tile_shape(tile.zoom)
        half = pipeline.pyramid.tile_size * pipeline.pyramid.metatile // 2
        overview: Pixels | None = None
        for child in children_of(bit):
            pixels = self._child(child)
            if pixels is None:
                continue
            if overview is None:
                overview = np.full((pipeline.bands, rows, cols), pipeline.fill, dtype=pipeline.dtype)
            reduced = halve(pixels, nodata=pipeline.nodata, method=pipeline.resampling)
            below = tile_at(self.task.root, child)
            top, left = (below.row - 2 * tile.row) * half, (below.col - 2 * tile.col) * half
            place = overview[:, top : top + reduced.shape[1], left : left + reduced.shape[2]]
            place[...] = reduced[:, : place.shape[1], : place.shape[2]]
        if overview is None or bool(missing(overview, pipeline.nodata).all()):
            return None
        return overview

    def _child(self, bit: int) -> Pixels | None:
        if self.task.make >> bit & 1:
            return self.make(bit)
        if self.task.read >> bit & 1:
            tile = tile_at(self.task.root, bit)
            raster = self._try(lambda: self.orders.pipeline.stages[tile.zoom].output.read(tile))
            if raster is None:
                raise StorageError(f"tile {tile} was written before and is gone; run again to make it")
            return raster.pixels
        return None

    def _keep(self, tile: Tile, bit: int, pixels: Pixels | None) -> Pixels | None:
        """Write a tile that holds data; remove what is stored for one that does not."""
        pipeline = self.orders.pipeline
        output = pipeline.stages[tile.zoom].output
        if pixels is not None:
            raster = Raster(pixels=pixels, grid=pipeline.pyramid.grid(tile), nodata=pipeline.nodata)
            parts = self._try(lambda: output.write(tile, raster))
            if any(part.size for part in parts):
                self.written[bit] = parts
                return pixels
        elif self.orders.replaces:
            self._try(lambda: output.delete(tile))
        self.empty |= 1 << bit
        return None

    def _try(self, call: Callable[[], Result]) -> Result:
        """The call's result, tried again after faults that may pass."""
        for attempt in range(self.orders.retries):
            try:
                return call()
            except DataError as error:
                if not error.passing:
                    raise
                # Not a secret: the pauses of many workers are only to differ.
                time.sleep(FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        return call()

    def _fail(self, tile: Tile, bit: int, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, ProcessError) else None
        detail = "".join(traceback.format_exception(cause)) if cause else ""
        reason = (
            "out of memory; use fewer workers or a smaller pyramid.metatile"
            if isinstance(error, MemoryError)
            else error
        )
        self.failures.append(Failure(tile, f"tile {tile}: {reason}", detail))
        self.failed |= 1 << bit
        if self.orders.stop:
            raise _Stopped


def make_branch(orders: Orders, task: Task) -> Outcome:
    """Make the tiles of a task and say what became of each; where a failure ends it, of those that came before."""
    started = time.perf_counter()
    branch = _Branch(orders, task)
    with session(), suppress(_Stopped):
        for bit in bits(task.make):
            if not branch.settled(bit):
                branch.make(bit)
    return Outcome(
        root=task.root,
        depth=task.depth,
        written=sum(1 << bit for bit in branch.written),
        empty=branch.empty,
        blocked=branch.blocked,
        failures=tuple(branch.failures),
        parts=tuple(branch.written[bit] for bit in sorted(branch.written)),
        seconds=time.perf_counter() - started,
        peak_bytes=_peak_bytes(),
    )


def _peak_bytes() -> int:
    """The most memory this process has had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
