"""How pixels move between grids: which overview is read, and whether its pixels are pasted or warped."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from affine import Affine

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.warp import is_geographic, same_crs, transform_bounds, transform_extents, transform_points

__all__ = [
    "CELL",
    "Paste",
    "Piece",
    "SourceGrid",
    "Warp",
    "copies",
    "pixel_map",
    "place",
    "source_bounds",
    "source_extents",
]

CELL = 1 << 16
"""Pixels along the side of a cell: warped pixels are counted from the corner of their cell.

A tile's own corner is rounded to what a float can hold, so counted from there the same pixel would lie elsewhere in
each tile, by a billionth of its side: enough to give another nearest neighbour, or another last bit.
"""
PASTE_PX = 0.01
"""Pixels that lie no further off are the same pixels."""
COARSER = 1.01
"""An overview this much coarser than the pixels asked for still serves; resolutions are rounded in many files."""
FRACTION = float(1 << 16)
SNAP_PX = 1e-5
SAMPLES = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGrid:
    """Where the pixels of a file lie, at full resolution and in its overviews."""

    crs: str
    transform: Affine
    """From (column, row) of a pixel's corner at full resolution to (x, y)."""
    sizes: tuple[tuple[int, int], ...]
    """Rows and columns at full resolution, then of each overview, from fine to coarse."""
    exact: bool = True
    """False where *transform* only comes near what ground control points or polynomials say."""

    def transform_of(self, level: int) -> Affine:
        """From (column, row) of a pixel's corner in that level to (x, y)."""
        (height, width), (rows, cols) = self.sizes[0], self.sizes[level]
        return self.transform @ Affine.scale(width / cols, height / rows)

    @property
    def bounds(self) -> Bounds:
        """The rectangle around all pixels, in the file's own reference system."""
        height, width = self.sizes[0]
        xs, ys = zip(*(self.transform @ (col, row) for col in (0, width) for row in (0, height)), strict=True)
        return Bounds(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste:
    """A window of a level whose pixels are those asked for."""

    level: int
    row: int
    """First row of the window in the level."""
    col: int
    height: int
    width: int
    at_row: int
    """Where that row goes in the pixels asked for."""
    at_col: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The part of the pixels asked for that lies in one cell."""

    cell: Grid
    """The whole cell."""
    row: int
    """First row of the part in the cell."""
    col: int
    height: int
    width: int
    at_row: int
    """Where that row goes in the pixels asked for."""
    at_col: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """Pixels that must be made from those of a level."""

    level: int
    x_scale: float
    """Pixels asked for per column of the level, one figure for the whole file: from the window of each tile it would
    differ from tile to tile, and the resampling kernel with it."""
    y_scale: float
    """The same per row."""
    pieces: tuple[Piece, ...]


def place(source: SourceGrid, grid: Grid, *, overviews: bool = True) -> Paste | Warp | None:
    """How the pixels of *grid* are had from *source*; None where the two do not meet.

    The level and whether to paste depend on the resolution and the phase of *grid*, never on which part of a mosaic it
    is, so that tiles fit together.

    Raises:
        ValueError: nothing leads from one reference system to the other.
    """
    if not any(grid.bounds.intersects(_with_slack(reach, source, grid)) for reach in source_extents(source, grid.crs)):
        return None
    x_scale, y_scale = _scale(source, grid.crs, grid.resolution)
    level = _level(source, max(x_scale, y_scale)) if overviews else 0
    if source.exact and same_crs(source.crs, grid.crs):
        corner = _same_pixels(source, grid, level)
        if corner is not None:
            return _paste(source, grid, level=level, corner=corner)
    (height, width), (rows, cols) = source.sizes[0], source.sizes[level]
    return Warp(
        level=level,
        x_scale=x_scale * width / cols,
        y_scale=y_scale * height / rows,
        pieces=tuple(_pieces(grid)),
    )


def _with_slack(reach: Bounds, source: SourceGrid, grid: Grid) -> Bounds:
    # A file placed by control points may reach a little further than the samples of its edge.
    slack = 2 * grid.resolution + (
        0.0 if source.exact else 0.01 * max(reach.right - reach.left, reach.top - reach.bottom)
    )
    return Bounds(reach.left - slack, reach.bottom - slack, reach.right + slack, reach.top + slack)


@lru_cache(maxsize=1024)
def source_bounds(source: SourceGrid, crs: str) -> Bounds:
    """The rectangle in *crs* outside of which the file has no pixels.

    Raises:
        ValueError: nothing leads from one reference system to the other.
    """
    return transform_bounds(source.bounds, source.crs, crs)


@lru_cache(maxsize=1024)
def source_extents(source: SourceGrid, crs: str) -> tuple[Bounds, ...]:
    """The rectangles in *crs* outside of which the file has no pixels: two where the antimeridian parts it, else one.

    Raises:
        ValueError: nothing leads from one reference system to the other.
    """
    bounds = source.bounds
    if is_geographic(source.crs) and not same_crs(source.crs, crs) and len(copies(source)) == 1:
        # What is left over are rounding errors of the file, which must not reach the other side of the world.
        bounds = bounds._replace(left=max(bounds.left, -180.0), right=min(bounds.right, 180.0))
    return transform_extents(bounds, source.crs, crs)


def copies(source: SourceGrid) -> tuple[SourceGrid, ...]:
    """The file, and once more a world further where it reaches past longitude 180."""
    left, _, right, _ = source.bounds
    slack = PASTE_PX * abs(source.transform.a)
    if not (source.exact and is_geographic(source.crs)) or (left >= -180 - slack and right <= 180 + slack):
        return (source,)
    shifts = [0.0, *(turn for turn in (-360.0, 360.0) if left + turn < 180 and right + turn > -180)]
    return tuple(replace(source, transform=Affine.translation(turn, 0) @ source.transform) for turn in shifts)


def pixel_map(source: SourceGrid, *, level: int, cell: Grid) -> Affine:
    """From (column, row) in *cell* to (column, row) in the level, both in the file's own reference system.

    What should be whole or a simple fraction is made so exactly: it decides which of two pixels is the nearest where
    a centre falls between them.
    """
    found = ~source.transform_of(level) @ cell.transform
    return Affine(
        *(_snapped(value, tolerance=SNAP_PX / (1 if at in {2, 5} else CELL)) for at, value in enumerate(found[:6]))
    )


def _snapped(value: float, *, tolerance: float) -> float:
    near = round(value * FRACTION) / FRACTION
    return near if abs(near - value) <= tolerance else value


def _same_pixels(source: SourceGrid, grid: Grid, level: int) -> tuple[int, int] | None:
    """Row and column in the level of the first pixel of *grid*, where the two share their pixels."""
    transform = source.transform_of(level)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        return None
    rows, cols = source.sizes[level]
    right, bottom = transform @ (cols, rows)
    # From both ends of the file, so that a resolution a little off does not add up over many pixels.
    first_col, last_col = ((x - grid.left) / grid.resolution for x in (transform.c, right))
    first_row, last_row = ((grid.top - y) / grid.resolution for y in (transform.f, bottom))
    ends = (first_col, last_col, first_row, last_row)
    if any(abs(end - round(end)) > PASTE_PX for end in ends):
        return None
    if round(last_col) - round(first_col) != cols or round(last_row) - round(first_row) != rows:
        return None
    return -round(first_row), -round(first_col)


def _paste(source: SourceGrid, grid: Grid, *, level: int, corner: tuple[int, int]) -> Paste | None:
    rows, cols = source.sizes[level]
    row, col = max(corner[0], 0), max(corner[1], 0)
    height = min(corner[0] + grid.height, rows) - row
    width = min(corner[1] + grid.width, cols) - col
    if height <= 0 or width <= 0:
        return None
    return Paste(
        level=level, row=row, col=col, height=height, width=width, at_row=row - corner[0], at_col=col - corner[1]
    )


@lru_cache(maxsize=1024)
def _scale(source: SourceGrid, crs: str, resolution: float) -> tuple[float, float]:
    """Pixels of *resolution* per column and per row of the file at full resolution, the median over the file."""
    a, b, c, d, e, f = source.transform[:6]
    if same_crs(source.crs, crs):
        return math.hypot(a, d) / resolution, math.hypot(b, e) / resolution
    height, width = source.sizes[0]
    places = (np.arange(SAMPLES) + 0.5) / SAMPLES
    cols, rows = (net.ravel() for net in np.meshgrid(places * width, places * height))
    xs, ys = c + a * cols + b * rows, f + d * cols + e * rows
    steps = []
    for right, down in ((a / 2, d / 2), (b / 2, e / 2)):
        before = transform_points(xs - right, ys - down, src_crs=source.crs, dst_crs=crs)
        after = transform_points(xs + right, ys + down, src_crs=source.crs, dst_crs=crs)
        with np.errstate(invalid="ignore"):
            steps.append(np.hypot(after[0] - before[0], after[1] - before[1]) / resolution)
    known = np.isfinite(steps[0]) & np.isfinite(steps[1])
    if not known.any():
        return 1.0, 1.0
    return float(np.median(steps[0][known])), float(np.median(steps[1][known]))


def _level(source: SourceGrid, scale: float) -> int:
    """The coarsest level that is still as fine as the pixels asked for."""
    width = source.sizes[0][1]
    fine = [at for at, (_, cols) in enumerate(source.sizes) if scale * width / cols <= COARSER]
    return max(fine, default=0)


def _pieces(grid: Grid) -> Iterator[Piece]:
    first_row, row_phase = _counted(-grid.top / grid.resolution)
    first_col, col_phase = _counted(grid.left / grid.resolution)
    for cell_row in range(first_row // CELL, (first_row + grid.height - 1) // CELL + 1):
        for cell_col in range(first_col // CELL, (first_col + grid.width - 1) // CELL + 1):
            row = max(first_row, cell_row * CELL)
            col = max(first_col, cell_col * CELL)
            yield Piece(
                cell=Grid(
                    crs=grid.crs,
                    left=(cell_col * CELL + col_phase) * grid.resolution,
                    top=-(cell_row * CELL + row_phase) * grid.resolution,
                    resolution=grid.resolution,
                    height=CELL,
                    width=CELL,
                ),
                row=row - cell_row * CELL,
                col=col - cell_col * CELL,
                height=min(first_row + grid.height, (cell_row + 1) * CELL) - row,
                width=min(first_col + grid.width, (cell_col + 1) * CELL) - col,
                at_row=row - first_row,
                at_col=col - first_col,
            )


def _counted(pixels: float) -> tuple[int, float]:
    """Whole pixels from the origin of the reference system, and the rest."""
    near = round(pixels * FRACTION)
    whole = near // int(FRACTION)
    return whole, near / FRACTION - whole
