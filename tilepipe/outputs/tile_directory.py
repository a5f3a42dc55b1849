"""Which tile lies under which name: a directory `zoom/row/column.extension` that GDAL and QGIS open as one raster."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.formats.protocol import Format
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.raster import Pixels, Raster
from tilepipe.outputs.protocol import Part, Stored
from tilepipe.storage import Entry, Storage

__all__ = ["TileDirectory", "pieces"]


def pieces(pyramid: Pyramid, metatile: int, tile: Tile) -> tuple[Tile, ...]:
    """The tiles of *metatile* x *metatile* that the larger tile of *pyramid* falls into, row by row.

    Always as many; at the right and lower end of the matrix some of them lie outside of it.
    """
    times = pyramid.metatile // metatile
    rows = range(tile.row * times, (tile.row + 1) * times)
    cols = range(tile.col * times, (tile.col + 1) * times)
    return tuple(Tile(tile.zoom, row, col) for row in rows for col in cols)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileDirectory:
    """One object for each *metatile* x *metatile* tiles that are not all empty.

    Raises:
        ValueError: the objects do not fit into the pyramid's tiles.
    """

    storage: Storage
    format: Format
    pyramid: Pyramid
    """The tiles that are written and read."""
    metatile: int
    """The tiles that objects hold; divides the pyramid's metatile."""

    def __post_init__(self) -> None:
        if self.metatile < 1 or self.pyramid.metatile % self.metatile:
            fitting = [size for size in range(1, self.pyramid.metatile + 1) if self.pyramid.metatile % size == 0]
            raise ValueError(
                f"output metatiles of {self.metatile} do not fit into the pyramid's of {self.pyramid.metatile}; "
                f"set output.metatile to {' or '.join(map(str, fitting))}"
            )

    @property
    def objects(self) -> int:
        """How many objects a tile may consist of."""
        return (self.pyramid.metatile // self.metatile) ** 2

    def pieces(self, tile: Tile) -> tuple[Tile, ...]:
        """The places of the objects that *tile* may consist of, row by row, also of those outside of the matrix."""
        return pieces(self.pyramid, self.metatile, tile)

    def key(self, piece: Tile) -> str:
        """The name of an object in the storage."""
        return f"{piece.zoom}/{piece.row}/{piece.col}.{self.format.extension}"

    def write(self, tile: Tile, raster: Raster) -> tuple[Part, ...]:
        if raster.pixels.shape[1:] != self.pyramid.tile_shape(tile.zoom):
            shape = self.pyramid.tile_shape(tile.zoom)
            raise OutputError(f"tile {tile} has {shape} rows and columns, not {raster.pixels.shape[1:]}")
        # All are encoded before the first is kept: pixels that do not fit leave what was there untouched.
        payloads = [self._encode(piece, tile, raster) for piece in self.pieces(tile)]
        return tuple(self._keep(piece, payload) for piece, payload in zip(self.pieces(tile), payloads, strict=True))

    def read(self, tile: Tile) -> Raster | None:
        whole: Raster | None = None
        for piece in self._inside(tile):
            payload = self.storage.get(self.key(piece))
            if payload is None:
                continue
            part = self._decode(piece, payload)
            if part.pixels.shape[1:] == self.pyramid.tile_shape(tile.zoom):
                return part
            whole = whole or _blank(part, self.pyramid.grid(tile))
            row, col = self._offset(piece, tile)
            target = whole.pixels[:, row : row + part.grid.height, col : col + part.grid.width]
            target[:] = part.pixels[:, : target.shape[1], : target.shape[2]]
        return whole

    def delete(self, tile: Tile) -> None:
        for piece in self._inside(tile):
            self.storage.delete(self.key(piece))

    def stored(self, tiles: Iterable[Tile]) -> Mapping[Tile, tuple[Stored | None, ...]]:
        listed: dict[str, dict[str, Entry]] = {}

        def find(piece: Tile) -> Stored | None:
            folder = f"{piece.zoom}/{piece.row}"
            if folder not in listed:
                listed[folder] = {entry.key: entry for entry in self.storage.list(folder)}
            entry = listed[folder].get(self.key(piece))
            return None if entry is None else Stored(entry.size, entry.modified)

        return {tile: tuple(find(piece) for piece in self.pieces(tile)) for tile in tiles}

    def checksum(self, tile: Tile) -> tuple[int, ...]:
        payloads = (self.storage.get(self.key(piece)) for piece in self.pieces(tile))
        return tuple(0 if payload is None else zlib.crc32(payload) for payload in payloads)

    def finish(self) -> None:
        """Nothing to do: each tile is complete when it is written."""

    @property
    def _files(self) -> Pyramid:
        return self.pyramid.with_metatile(self.metatile)

    def _inside(self, tile: Tile) -> Iterator[Tile]:
        files = self._files
        return (piece for piece in self.pieces(tile) if files.contains(piece))

    def _offset(self, piece: Tile, tile: Tile) -> tuple[int, int]:
        """Rows and columns of pixels from the corner of *tile* to that of *piece*."""
        step, times = self.pyramid.tile_size * self.metatile, self.pyramid.metatile // self.metatile
        return (piece.row - tile.row * times) * step, (piece.col - tile.col * times) * step

    def _encode(self, piece: Tile, tile: Tile, raster: Raster) -> bytes | None:
        """The bytes of *piece*, None where it is empty or outside of the matrix."""
        if not self._files.contains(piece):
            return None
        part = raster
        grid = self._files.grid(piece)
        if grid.shape != raster.pixels.shape[1:]:
            row, col = self._offset(piece, tile)
            pixels = raster.pixels[:, row : row + grid.height, col : col + grid.width]
            part = Raster(pixels=_padded(pixels, grid, raster.nodata), grid=grid, nodata=raster.nodata)
        if part.is_empty():
            return None
        try:
            return self.format.encode(part)
        except OutputError as error:
            raise OutputError(f"tile {tile}, {self.key(piece)}: {error}") from error

    def _keep(self, piece: Tile, payload: bytes | None) -> Part:
        if payload is None:
            self.storage.delete(self.key(piece))
            return Part(0, 0)
        self.storage.put(self.key(piece), payload)
        return Part(len(payload), zlib.crc32(payload))

    def _decode(self, piece: Tile, payload: bytes) -> Raster:
        try:
            return self.format.decode(payload, self._files.grid(piece))
        except OutputError as error:
            raise OutputError(
                f"{self.key(piece)} is no tile of this output: {error}; delete it and run again"
            ) from error


def _blank(like: Raster, grid: Grid) -> Raster:
    """A raster on *grid* in the form of *like*, without data."""
    shape = (like.pixels.shape[0], *grid.shape)
    pixels = np.full(shape, 0 if like.nodata is None else like.nodata, dtype=like.pixels.dtype)
    return Raster(pixels=pixels, grid=grid, nodata=like.nodata)


def _padded(pixels: Pixels, grid: Grid, nodata: float | None) -> Pixels:
    """*pixels* in the upper left of an array as large as *grid*; the rest is *nodata*, or 0."""
    if pixels.shape[1:] == grid.shape:
        return pixels
    whole: Pixels = np.full((pixels.shape[0], *grid.shape), 0 if nodata is None else nodata, dtype=pixels.dtype)
    whole[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return whole
