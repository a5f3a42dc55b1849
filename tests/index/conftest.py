import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.index.extent import Limits
from tilepipe.index.stac import TileSet, prototype, stac_item
from tilepipe.index.vrt import vrt_twin


@dataclass(frozen=True)
class Published:
    """A tile directory on disk with its index, and the arrays that were written."""

    folder: Path
    tile_set: TileSet
    pixels: dict[Tile, np.ndarray]

    @property
    def item(self) -> str:
        return str(self.folder / "stac.json")

    @property
    def twin(self) -> str:
        return str(self.folder / "stac.vrt")

    @property
    def finest(self) -> int:
        return max(self.tile_set.limits)

    def fill(self) -> Any:
        nodata = self.tile_set.nodata
        return np.dtype(self.tile_set.dtype).type(0 if nodata is None else nodata)


Publish = Callable[..., Published]


def around(tiles: Iterable[Tile]) -> dict[int, Limits]:
    found: dict[int, Limits] = {}
    for zoom, row, col in tiles:
        here = Limits(row, row, col, col)
        found[zoom] = found.get(zoom, here).union(here)
    return found


def _pattern(pyramid: Pyramid, tile: Tile, *, shape: tuple[int, int, int], dtype: str) -> np.ndarray:
    """Neighbouring pixels, bands and tiles all differ; all values lie between 1 and 101."""
    step = pyramid.tile_size * pyramid.metatile
    band, row, col = np.ogrid[: shape[0], : shape[1], : shape[2]]
    values = ((row + tile.row * step) * 7 + (col + tile.col * step) * 3 + band * 11) % 101 + 1
    pixels = values.astype(dtype)
    if np.iscomplexobj(pixels):
        pixels += 1j * (values % 13)
    return pixels


def _masked(pixels: np.ndarray, pyramid: Pyramid, tile: Tile, *, fill: Any) -> np.ndarray:
    """A corner of each tile, and all beyond the matrix, is nodata."""
    step = pyramid.tile_size * pyramid.metatile
    rows, cols = pyramid.pixels_at(tile.zoom)
    pixels[:, -3:, -2:] = fill
    pixels[:, max(0, rows - tile.row * step) :, :] = fill
    pixels[:, :, max(0, cols - tile.col * step) :] = fill
    return pixels


def _halved(pixels: np.ndarray, fill: Any) -> np.ndarray:
    """Of each four pixels the first that holds data."""
    found = pixels[:, ::2, ::2].copy()
    for row, col in ((0, 1), (1, 0), (1, 1)):
        unset = (found == fill) | (np.isnan(found) & np.isnan(fill))
        found[unset] = pixels[:, row::2, col::2][unset]
    return found


def _overview(pyramid: Pyramid, tile: Tile, *, below: dict[Tile, np.ndarray], blank: np.ndarray) -> np.ndarray:
    pixels = blank.copy()
    half_step = pyramid.tile_size * pyramid.metatile // 2
    for child in pyramid.children(tile):
        if child in below:
            part = _halved(below[child], blank.flat[0])
            row, col = (child.row - 2 * tile.row) * half_step, (child.col - 2 * tile.col) * half_step
            room = pixels[:, row : row + part.shape[1], col : col + part.shape[2]]
            room[:] = part[:, : room.shape[1], : room.shape[2]]
    return pixels


def _write(folder: Path, tile: Tile, pixels: np.ndarray, *, tile_set: TileSet) -> None:
    path = folder / f"{tile}.{tile_set.extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    profile = {"dtype": tile_set.dtype, "height": height, "width": width, "count": bands}
    if tile_set.extension == "tif":
        grid = tile_set.pyramid.grid(tile)
        profile |= {"driver": "GTiff", "crs": grid.crs, "transform": grid.transform, "nodata": tile_set.nodata}
        profile |= {"photometric": "RGB", "alpha": "YES"} if tile_set.colors and bands == 4 else {}
    else:
        profile |= {"driver": "PNG"}
    quiet = warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning)
    with quiet, rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        if tile_set.palette is not None:
            file.write_colormap(1, dict(tile_set.palette))


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Write a tile directory: *base* are the finest tiles, the other *zooms* are sampled from them."""

    def make(pyramid: Pyramid, base: Iterable[Tile], zooms: Iterable[int], **facts: Any) -> Published:
        facts = {"dtype": "uint8", "bands": 1, "nodata": 0, "extension": "tif", "media_type": "image/tiff"} | facts
        fill = np.dtype(facts["dtype"]).type(0 if facts["nodata"] is None else facts["nodata"])
        finest = max(zooms)
        made: dict[Tile, np.ndarray] = {}
        for tile in base:
            shape = (facts["bands"], *pyramid.tile_shape(finest))
            made[tile] = _masked(_pattern(pyramid, tile, shape=shape, dtype=facts["dtype"]), pyramid, tile, fill=fill)
        for zoom in range(finest - 1, min(zooms) - 1, -1):
            blank = np.full((facts["bands"], *pyramid.tile_shape(zoom)), fill, dtype=facts["dtype"])
            for tile in {child.parent() for child in made if child.zoom == zoom + 1}:
                made[tile] = _overview(pyramid, tile, below=made, blank=blank)
        pixels = {tile: array for tile, array in made.items() if tile.zoom in set(zooms)}
        tile_set = TileSet(
            name="pattern",
            title="A pattern",
            pyramid=pyramid,
            limits=around(pixels),
            created=datetime(2024, 6, 1, tzinfo=UTC),
            **facts,
        )
        folder = tmp_path / "out"
        first = prototype(tile_set)
        blank = np.full((facts["bands"], *pyramid.tile_shape(first.zoom)), fill, dtype=facts["dtype"])
        for tile, array in ({first: blank} | pixels).items():
            _write(folder, tile, array, tile_set=tile_set)
        (folder / "stac.json").write_text(stac_item(tile_set))
        (folder / "stac.vrt").write_text(vrt_twin(tile_set))
        return Published(folder, tile_set, pixels)

    return make
