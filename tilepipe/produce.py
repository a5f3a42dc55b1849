"""A base tile: what the process is given, and what of its result is kept."""

import math
from typing import Any

import numpy as np

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.raster import Pixels
from tilepipe.inputs.protocol import Input
from tilepipe.inputs.tile_input import TileInput
from tilepipe.inputs.wrapped import Wrapped
from tilepipe.pipeline import Pipeline
from tilepipe.process import call, engine_arguments
from tilepipe.result import fit

__all__ = ["produce"]


def produce(pipeline: Pipeline, tile: Tile) -> Pixels | None:
    """Call the process for a base tile.

    Returns:
        `(band, row, col)` of the tile without its buffer, in the output's dtype, without data beyond the pyramid;
        None where there is no data.

    Raises:
        ProcessError: the process failed or returned what does not fit.
        InputError: an input could not be read.
    """
    core = pipeline.pyramid.grid(tile)
    rows, cols = _given(pipeline, core, tile.zoom)
    if not rows or not cols:
        return None
    kept_rows, kept_cols = _kept(pipeline.pyramid, tile, rows, cols)
    if not kept_rows or not kept_cols:
        return None
    grid = core.window(row=rows.start, col=cols.start, height=len(rows), width=len(cols))
    result = call(pipeline.process, _arguments(pipeline, tile, grid))
    if result is None:
        return None
    pixels = fit(
        result,
        shape=grid.shape,
        kept=(_from(rows.start, kept_rows), _from(cols.start, kept_cols)),
        bands=pipeline.bands,
        dtype=pipeline.dtype,
        nodata=pipeline.nodata,
        clamp=pipeline.stages[tile.zoom].clamp,
    )
    if pixels is None or pixels.shape[1:] == core.shape:
        return pixels
    whole = np.full((pipeline.bands, *core.shape), pipeline.fill, dtype=pipeline.dtype)
    whole[:, _from(0, kept_rows), _from(0, kept_cols)] = pixels
    return whole


def _arguments(pipeline: Pipeline, tile: Tile, grid: Grid) -> dict[str, Any]:
    stage = pipeline.stages[tile.zoom]
    arguments: dict[str, Any] = dict(stage.parameters)
    for name, source in stage.inputs.items():
        arguments[name] = _tile_input(pipeline.pyramid, name, source, grid=grid, extents=stage.extents[name])
    for name, kind in engine_arguments(pipeline.process).items():
        arguments[name] = tile if kind is Tile else grid
    return arguments


def _given(pipeline: Pipeline, core: Grid, zoom: int) -> tuple[range, range]:
    """Rows and columns, counted from the tile's corner, that the process gets."""
    buffer = pipeline.buffer_px
    rows, cols = range(-buffer, core.height + buffer), range(-buffer, core.width + buffer)
    if not pipeline.clip:
        return rows, cols
    pyramid = pipeline.pyramid
    # What lies outside of the pyramid may be another world's view of what lies in it.
    reach = [extent for extent in pipeline.stages[zoom].reach if extent.intersects(pyramid.bounds)] or [pyramid.bounds]
    ends = [[round((core.top - y) / core.resolution) for y in (extent.top, extent.bottom)] for extent in reach]
    rows = _overlap(rows, range(min(top for top, _ in ends), max(bottom for _, bottom in ends)))
    sides = [[round((x - core.left) / core.resolution) for x in (extent.left, extent.right)] for extent in reach]
    spans = [range(left, right) for left, right in sides]
    if pyramid.wraps:
        around = pyramid.pixels_at(zoom)[1]
        way = _way_past(spans, around)
        if len(way) == around:
            return rows, cols
        turned = (way, range(way.start - around, way.stop - around))
        spans = [span for span in turned if _overlap(span, range(core.width))]
    return rows, _overlap(cols, _hull(spans)) if spans else range(0)


def _way_past(spans: list[range], around: int) -> range:
    """The shortest way eastwards past all *spans* of columns on a globe of *around* columns; all of it has no sides.

    It starts at a column from 0 to *around*.
    """
    placed = sorted((span.start % around, span.start % around + len(span)) for span in spans)
    end = max(stop for _, stop in placed) - around
    widest, start = 0, 0
    for first, stop in placed:
        if first - end > widest:
            widest, start = first - end, first
        end = max(end, stop)
    return range(start, start + around - widest)


def _hull(spans: list[range]) -> range:
    return range(min(span.start for span in spans), max(span.stop for span in spans))


def _overlap(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))


def _kept(pyramid: Pyramid, tile: Tile, rows: range, cols: range) -> tuple[range, range]:
    """Those of the given rows and columns that lie in the tile and in the pyramid."""
    step = pyramid.tile_size * pyramid.metatile
    height, width = pyramid.tile_shape(tile.zoom)
    last_row, last_col = pyramid.pixels_at(tile.zoom)
    return (
        range(max(rows.start, 0), min(rows.stop, height, last_row - tile.row * step)),
        range(max(cols.start, 0), min(cols.stop, width, last_col - tile.col * step)),
    )


def _from(start: int, places: range) -> slice:
    """*places* as a slice of an array that begins at *start*."""
    return slice(places.start - start, places.stop - start)


def _tile_input(pyramid: Pyramid, name: str, source: Input, *, grid: Grid, extents: tuple[Bounds, ...]) -> TileInput:
    """An input of the process; across the edge of the globe it goes on at the other one."""
    world, bounds = pyramid.bounds, grid.bounds
    if pyramid.wraps and (bounds.left < world.left or bounds.right > world.right):
        around = world.right - world.left
        turns = range(math.floor((bounds.left - world.left) / around), math.ceil((bounds.right - world.left) / around))
        seen = [
            extent._replace(left=extent.left + turn * around, right=extent.right + turn * around)
            for extent in extents
            for turn in turns
        ]
        return TileInput(name, Wrapped(source, world), grid, tuple(seen))
    return TileInput(name, source, grid, extents)
