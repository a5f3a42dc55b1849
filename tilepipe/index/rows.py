"""What a virtual raster says that names each tile itself, for tiles that the STAC driver of older GDALs does not open.

Each row of tiles is a file of its own, so that a reader parses the rows it looks at and not a line for every tile.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement

from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile
from tilepipe.index.extent import Level, Limits, raster_grid
from tilepipe.index.stac import TileSet, listed
from tilepipe.index.vrt import band_element, raster_element, text_of

__all__ = ["row_twin"]

BLOCK_PX = 128
"""Side of the blocks of a virtual raster, where it is as large."""

Stored = Callable[[int, int], Sequence[int]]
"""Zoom and row to the columns of the tiles that are there."""


def row_twin(tile_set: TileSet, stored: Stored) -> Iterator[tuple[str, str]]:
    """Keys and texts of the files, each after those it refers to: `ZOOM/ROW.vrt`, `ZOOM/level.vrt`, `stac.vrt`.

    Raises:
        OutputError: no tile holds data.
    """
    shown = listed(tile_set)
    whole = raster_grid(tile_set.pyramid, shown[-1])
    for level in shown:
        rows = []
        for row in range(level.limits.min_row, level.limits.max_row + 1):
            first, last = level.limits.min_col, level.limits.max_col
            cols = [col for col in stored(level.zoom, row) if first <= col <= last]
            if cols:
                rows.append(row)
                yield f"{level.zoom}/{row}.vrt", text_of(_row(tile_set, level, row=row, cols=cols))
        if level != shown[-1]:
            frame = _shrunk(whole, shown[-1].zoom - level.zoom)
            yield f"{level.zoom}/level.vrt", text_of(_level(tile_set, level, frame=frame, rows=rows, folder=""))
    root = _level(tile_set, shown[-1], frame=whole, rows=rows, folder=f"{shown[-1].zoom}/")
    for number, band in enumerate(root.findall("VRTRasterBand"), 1):
        for level in reversed(shown[:-1]):
            overview = SubElement(band, "Overview")
            SubElement(overview, "SourceFilename", relativeToVRT="1").text = f"{level.zoom}/level.vrt"
            SubElement(overview, "SourceBand").text = str(number)
    yield "stac.vrt", text_of(root)


def _shrunk(grid: Grid, zooms: int) -> Grid:
    """The same rectangle in the pixels of a coarser zoom, the last ones reaching over its edges."""
    times = 2**zooms
    return replace(
        grid,
        resolution=grid.resolution * times,
        height=math.ceil(grid.height / times),
        width=math.ceil(grid.width / times),
    )


def _row(tile_set: TileSet, level: Level, *, row: int, cols: Sequence[int]) -> Element:
    limits = Limits(row, row, level.limits.min_col, level.limits.max_col)
    frame = raster_grid(tile_set.pyramid, Level(level.zoom, limits))
    root = raster_element(frame)
    tiles = [(f"{row}/{col}.{tile_set.extension}", tile_set.pyramid.grid(Tile(level.zoom, row, col))) for col in cols]
    for number in range(tile_set.bands):
        band = band_element(root, tile_set, number)
        # Files without transparency may lack the band that the others have, but none lacks a mask.
        alpha = bool(tile_set.colors) and tile_set.colors[number] == "Alpha"
        for name, grid in tiles:
            block = (1, grid.width)
            _add(band, name, grid, frame=frame, number="mask,1" if alpha else str(number + 1), block=block)
    return root


def _level(tile_set: TileSet, level: Level, *, frame: Grid, rows: Sequence[int], folder: str) -> Element:
    root = raster_element(frame)
    first, last = level.limits.min_col, level.limits.max_col
    grids = [raster_grid(tile_set.pyramid, Level(level.zoom, Limits(row, row, first, last))) for row in rows]
    for number in range(tile_set.bands):
        band = band_element(root, tile_set, number)
        for row, grid in zip(rows, grids, strict=True):
            block = (min(BLOCK_PX, grid.height), min(BLOCK_PX, grid.width))
            _add(band, f"{folder}{row}.vrt", grid, frame=frame, number=str(number + 1), block=block)
    return root


def _add(band: Element, name: str, grid: Grid, *, frame: Grid, number: str, block: tuple[int, int]) -> None:
    """One more source of *band*: the part of a file's *grid* that lies in *frame*."""
    x, y = (grid.left - frame.left) / frame.resolution, (frame.top - grid.top) / frame.resolution
    # Whole pixels come out as such; only levels of less than a tile start within one.
    x, y = round(x, 6), round(y, 6)
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + grid.width, frame.width), min(y + grid.height, frame.height)
    source = SubElement(band, "SimpleSource")
    SubElement(source, "SourceFilename", relativeToVRT="1").text = name
    SubElement(source, "SourceBand").text = number
    # With all of these GDAL opens the file when it is looked at, not when the raster is opened.
    SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(grid.width),
        RasterYSize=str(grid.height),
        DataType=band.get("dataType", ""),
        BlockXSize=str(block[1]),
        BlockYSize=str(block[0]),
    )
    size = {"xSize": _number(right - left), "ySize": _number(bottom - top)}
    SubElement(source, "SrcRect", {"xOff": _number(left - x), "yOff": _number(top - y), **size})
    SubElement(source, "DstRect", {"xOff": _number(left), "yOff": _number(top), **size})


def _number(pixels: float) -> str:
    return f"{pixels:.17g}"
