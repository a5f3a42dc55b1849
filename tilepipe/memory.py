"""How much memory a run will take, said before it starts."""

import numpy as np

from tilepipe.errors import PlanError
from tilepipe.gdal import CACHE_BYTES
from tilepipe.pipeline import Pipeline

__all__ = ["refuse_above", "refuse_crowded", "worker_bytes"]

INTERPRETER_BYTES = 150_000_000
"""A worker that has imported the engine and has not done anything yet."""

PROCESS_COPIES = 4
"""Arrays of four bytes a pixel that a process is expected to hold while it computes, one for each band it reads."""


def worker_bytes(pipeline: Pipeline, depth: int) -> int:
    """The most memory a worker is expected to need at once, in bytes.

    What is read (with its mask, and again while it is warped), what the process holds, the tile while it is encoded,
    one tile and one overview for each zoom of a branch, GDAL's block cache, and the interpreter.
    """
    largest = 0
    for zoom, stage in pipeline.stages.items():
        rows, cols = pipeline.pyramid.tile_shape(zoom)
        buffered = (rows + 2 * pipeline.buffer_px) * (cols + 2 * pipeline.buffer_px)
        read = held = 0
        for source in stage.inputs.values():
            bands, dtype = source.shape()
            read += 2 * bands * buffered * (np.dtype(dtype).itemsize + 1)
            held += PROCESS_COPIES * bands * buffered * 4
        tile = pipeline.bands * rows * cols * np.dtype(pipeline.dtype).itemsize
        largest = max(largest, read + held + 3 * tile + 2 * depth * tile)
    return INTERPRETER_BYTES + CACHE_BYTES + largest


def refuse_above(limit: int, *, worker: int, workers: int) -> None:
    """Refuse a run that is projected to need more than *limit* bytes.

    Raises:
        PlanError: it is.
    """
    needed = worker * workers
    if needed > limit:
        crew = f"{workers} workers of {worker / 1e6:,.0f} MB need" if workers > 1 else "1 worker needs"
        raise PlanError(
            f"{crew} {needed / 1e6:,.0f} MB, the limit is {limit / 1e6:,.0f} MB; use fewer workers or a smaller "
            "pyramid.metatile"
        )


def refuse_crowded(limit: int, *, worker: int) -> None:
    """Refuse a run whose workers would be ended for taking more than the *limit* bytes each of them has.

    Raises:
        PlanError: they would.
    """
    if worker > limit:
        raise PlanError(
            f"a worker is projected to need {worker / 1e6:,.0f} MB and has {limit / 1e6:,.0f} MB; give workers more "
            "memory or fewer threads, or use a smaller pyramid.metatile"
        )
