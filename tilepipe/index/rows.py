"""What a virtual raster says that names each tile itself, for tiles that the STAC driver of older GDALs does not open.

Each row of tiles is a file of its own, so that a reader parses the rows it looks at and not a line for every tile.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple
from xml.etree.ElementTree import Comment, SubElement

from tilepipe.geo.grid import Grid
from tilepipe.index.extent import Level, Limits, raster_grid
from tilepipe.index.stac import TileSet, listed
from tilepipe.index.vrt import GDAL_TYPES, band_element, raster_element, text_of

__all__ = ["row_twin"]

BLOCK_PX = 128
"""Side of the blocks of a virtual raster, where it is as large."""

PLACE = "sources"
"""Marks where they are to stand in the text of a band."""

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
                yield f"{level.zoom}/{row}.vrt", _row(tile_set, level, row=row, cols=cols)
        if level != shown[-1]:
            frame = _shrunk(whole, shown[-1].zoom - level.zoom)
            yield f"{level.zoom}/level.vrt", _level(tile_set, level, frame=frame, rows=rows)
    overviews = [f"{level.zoom}/level.vrt" for level in reversed(shown[:-1])]
    folder = f"{shown[-1].zoom}/"
    yield "stac.vrt", _level(tile_set, shown[-1], frame=whole, rows=rows, folder=folder, overviews=overviews)


def _shrunk(grid: Grid, zooms: int) -> Grid:
    """The same rectangle in the pixels of a coarser zoom, the last ones reaching over its edges."""
    times = 2**zooms
    return replace(
        grid,
        resolution=grid.resolution * times,
        height=math.ceil(grid.height / times),
        width=math.ceil(grid.width / times),
    )


def _row(tile_set: TileSet, level: Level, *, row: int, cols: Sequence[int]) -> str:
    limits = Limits(row, row, level.limits.min_col, level.limits.max_col)
    frame = raster_grid(tile_set.pyramid, Level(level.zoom, limits))
    height, width = tile_set.pyramid.tile_shape(level.zoom)
    files = [
        _File(f"{row}/{col}.{tile_set.extension}", x=(col - limits.min_col) * width, y=0, height=height, width=width)
        for col in cols
    ]
    return _text(tile_set, frame, [file.source(frame, block=(1, width)) for file in files], masks=True)


def _level(
    tile_set: TileSet,
    level: Level,
    *,
    frame: Grid,
    rows: Sequence[int],
    folder: str = "",
    overviews: Sequence[str] = (),
) -> str:
    sources = []
    for row in rows:
        limits = Limits(row, row, level.limits.min_col, level.limits.max_col)
        grid = raster_grid(tile_set.pyramid, Level(level.zoom, limits))
        # Whole pixels come out as such; only levels at which the raster is less than a tile start within one.
        x = round((grid.left - frame.left) / frame.resolution, 6)
        y = round((frame.top - grid.top) / frame.resolution, 6)
        file = _File(f"{folder}{row}.vrt", x=x, y=y, height=grid.height, width=grid.width)
        sources.append(file.source(frame, block=(min(BLOCK_PX, grid.height), min(BLOCK_PX, grid.width))))
    return _text(tile_set, frame, sources, overviews=overviews)


class _File(NamedTuple):
    """Pixels of a file and where they lie in those of another one."""

    name: str
    x: float
    y: float
    height: int
    width: int

    def source(self, frame: Grid, *, block: tuple[int, int]) -> str:
        """The part that lies in *frame*, as a source; `{band}` and `{type}` are left open.

        Written as text: an element for each would take ten times as long.
        """
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, frame.width), min(self.y + self.height, frame.height)
        size = f'xSize="{right - left:.17g}" ySize="{bottom - top:.17g}"'
        # With all of its properties said, GDAL opens the file when it is looked at and not before.
        return (
            f'<SimpleSource><SourceFilename relativeToVRT="1">{self.name}</SourceFilename>'
            "<SourceBand>{band}</SourceBand>"
            f'<SourceProperties RasterXSize="{self.width}" RasterYSize="{self.height}" DataType="{{type}}" '
            f'BlockXSize="{block[1]}" BlockYSize="{block[0]}"/>'
            f'<SrcRect xOff="{left - self.x:.17g}" yOff="{top - self.y:.17g}" {size}/>'
            f'<DstRect xOff="{left:.17g}" yOff="{top:.17g}" {size}/></SimpleSource>\n'
        )


def _text(
    tile_set: TileSet, frame: Grid, sources: Sequence[str], *, overviews: Sequence[str] = (), masks: bool = False
) -> str:
    """A virtual raster of all bands; with *masks*, alpha is what the sources do not mask."""
    root = raster_element(frame)
    for band in range(tile_set.bands):
        element = band_element(root, tile_set, band)
        for name in overviews:
            overview = SubElement(element, "Overview")
            SubElement(overview, "SourceFilename", relativeToVRT="1").text = name
            SubElement(overview, "SourceBand").text = str(band + 1)
        element.append(Comment(PLACE))
    head, *tails = text_of(root).split(f"<!--{PLACE}-->")
    parts = [head]
    for band, tail in enumerate(tails):
        # Files without transparency may lack the band that the others have, but none lacks a mask.
        alpha = masks and bool(tile_set.colors) and tile_set.colors[band] == "Alpha"
        filled = "".join(sources).replace("{band}", "mask,1" if alpha else str(band + 1))
        parts += [filled.replace("{type}", GDAL_TYPES[tile_set.dtype]), tail]
    return "".join(parts)
