"""Where a tile lies: the tile matrices of all zooms, the parents and children in them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from tilematrix import GridDefinition

from tilepipe.geo.grid import Bounds, Grid

__all__ = ["Pyramid", "Tile", "global_pyramid", "pixel_pyramid"]

GLOBAL = {
    "WebMercatorQuad": ("mercator", "EPSG:3857"),
    "mercator": ("mercator", "EPSG:3857"),
    "WorldCRS84Quad": ("geodetic", "EPSG:4326"),
    "geodetic": ("geodetic", "EPSG:4326"),
}


class Tile(NamedTuple):
    """The place of a tile in its pyramid; row 0 is the northmost, column 0 the westmost."""

    zoom: int
    row: int
    col: int

    def __str__(self) -> str:
        return f"{self.zoom}/{self.row}/{self.col}"

    def parent(self, levels: int = 1) -> "Tile":
        """The tile *levels* zooms above that covers this one."""
        return Tile(self.zoom - levels, self.row >> levels, self.col >> levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pyramid:
    """Tile matrices whose pixels halve from one zoom to the next, all anchored at the top left corner.

    A tile is *metatile* x *metatile* tiles of *tile_size* pixels, *metatile* being a power of two; where the whole
    matrix is smaller, the tile is about as large as the matrix. The tiles of one zoom all have one size: those at the
    right and lower end may reach over the edge.
    """

    crs: str
    left: float
    top: float
    resolution: float
    """Side of a pixel at *base_zoom*, in units of the crs."""
    base_zoom: int
    height: int
    """Rows of pixels of the whole matrix at *base_zoom*."""
    width: int
    """Columns of pixels of the whole matrix at *base_zoom*."""
    tile_size: int = 256
    metatile: int = 1
    wraps: bool = False
    """Whether the right edge is the left edge again, as on a globe."""

    @property
    def bounds(self) -> Bounds:
        """The rectangle all zooms cover."""
        return Bounds(
            self.left,
            self.top - self.height * self.resolution,
            self.left + self.width * self.resolution,
            self.top,
        )

    def with_metatile(self, metatile: int) -> "Pyramid":
        """The same pixels in tiles of another size."""
        return replace(self, metatile=metatile)

    def resolution_at(self, zoom: int) -> float:
        """Side of a pixel at *zoom*, in units of the crs."""
        return math.ldexp(self.resolution, self.base_zoom - zoom)

    def pixels_at(self, zoom: int) -> tuple[int, int]:
        """Rows and columns of pixels of the whole matrix at *zoom*."""
        return _halved(self.height, self.base_zoom - zoom), _halved(self.width, self.base_zoom - zoom)

    def tile_shape(self, zoom: int) -> tuple[int, int]:
        """Rows and columns of pixels of each tile at *zoom*."""
        rows, cols = (min(self.metatile, _power_of_two(-(-n // self.tile_size))) for n in self.pixels_at(zoom))
        return rows * self.tile_size, cols * self.tile_size

    def matrix_shape(self, zoom: int) -> tuple[int, int]:
        """Rows and columns of tiles at *zoom*."""
        most = self.tile_size * self.metatile
        rows, cols = (-(-n // most) for n in self.pixels_at(zoom))
        return rows, cols

    def contains(self, tile: Tile) -> bool:
        """Whether *tile* lies in the matrix of its zoom."""
        rows, cols = self.matrix_shape(tile.zoom)
        return 0 <= tile.row < rows and 0 <= tile.col < cols

    def children(self, tile: Tile) -> Iterator[Tile]:
        """The up to four tiles of the next zoom that *tile* covers, row by row."""
        rows, cols = self.matrix_shape(tile.zoom + 1)
        for row in range(2 * tile.row, min(2 * tile.row + 2, rows)):
            for col in range(2 * tile.col, min(2 * tile.col + 2, cols)):
                yield Tile(tile.zoom + 1, row, col)

    def grid(self, tile: Tile, *, buffer_px: int = 0) -> Grid:
        """The pixels of *tile* and *buffer_px* more on each side, whether or not they lie in the matrix."""
        height, width = self.tile_shape(tile.zoom)
        step = self.tile_size * self.metatile
        resolution = self.resolution_at(tile.zoom)
        return Grid(
            crs=self.crs,
            left=self.left + (tile.col * step - buffer_px) * resolution,
            top=self.top - (tile.row * step - buffer_px) * resolution,
            resolution=resolution,
            height=height + 2 * buffer_px,
            width=width + 2 * buffer_px,
        )


def _power_of_two(number: int) -> int:
    """The next power of two: so rounded, the tiles of a zoom never end before those of the next one do."""
    return 1 << (number - 1).bit_length()


def _halved(pixels: int, times: int) -> int:
    """*pixels* halved *times* times, rounded up; doubled where *times* is negative."""
    return -(-pixels >> times) if times >= 0 else pixels << -times


def global_pyramid(name: str, *, tile_size: int = 256, metatile: int = 1) -> Pyramid:
    """A pyramid of the whole world: one of `WebMercatorQuad`, `WorldCRS84Quad`, `mercator`, `geodetic`.

    Raises:
        KeyError: another name.
    """
    definition, crs = GLOBAL[name]
    grid = GridDefinition(definition)
    left, _, right, top = grid.bounds
    return Pyramid(
        crs=crs,
        left=left,
        top=top,
        resolution=(right - left) / (grid.shape.width * tile_size),
        base_zoom=0,
        height=grid.shape.height * tile_size,
        width=grid.shape.width * tile_size,
        tile_size=tile_size,
        metatile=metatile,
        wraps=True,
    )


def pixel_pyramid(native: Grid, *, tile_size: int = 256, metatile: int = 1) -> Pyramid:
    """A pyramid whose finest useful zoom is the grid *native* itself; at zoom 0 it fits into one tile."""
    largest = max(native.height, native.width)
    return Pyramid(
        crs=native.crs,
        left=native.left,
        top=native.top,
        resolution=native.resolution,
        base_zoom=max(0, math.ceil(math.log2(largest / tile_size))),
        height=native.height,
        width=native.width,
        tile_size=tile_size,
        metatile=metatile,
    )
