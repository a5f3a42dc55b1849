"""A base tile: what the process is given, and what of its result is kept."""

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
        arguments[name] = _tile_input(pipeline.pyramid, name, source, grid=grid, extent=stage.extents[name])
    for name, kind in engine_arguments(pipeline.process).items():
        arguments[name] = tile if kind is Tile else grid
    return arguments


def _given(pipeline: Pipeline, core: Grid, zoom: int) -> tuple[range, range]:
    """Rows and columns, counted from the tile's corner, that the process gets; data around the globe has no sides."""
    buffer = pipeline.buffer_px
    rows, cols = range(-buffer, core.height + buffer), range(-buffer, core.width + buffer)
    if not pipeline.clip:
        return rows, cols
    extent = pipeline.stages[zoom].extent or pipeline.pyramid.bounds
    top, bottom = (round((core.top - y) / core.resolution) for y in (extent.top, extent.bottom))
    left, right = (round((x - core.left) / core.resolution) for x in (extent.left, extent.right))
    rows = range(max(rows.start, top), min(rows.stop, bottom))
    if pipeline.pyramid.wraps and right - left >= pipeline.pyramid.pixels_at(zoom)[1]:
        return rows, cols
    return rows, range(max(cols.start, left), min(cols.stop, right))


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


def _tile_input(pyramid: Pyramid, name: str, source: Input, *, grid: Grid, extent: Bounds) -> TileInput:
    """An input of the process; across the edge of the globe it goes on at the other one."""
    world, bounds = pyramid.bounds, grid.bounds
    if pyramid.wraps and (bounds.left < world.left or bounds.right > world.right):
        return TileInput(name, Wrapped(source, world), grid, bounds)
    return TileInput(name, source, grid, extent)
