"""Writing the index beside the tiles, and the one tile that older readers need."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.raster import Raster
from tilepipe.index.extent import Limits
from tilepipe.index.rows import row_twin
from tilepipe.index.stac import TileSet, prototype, stac_item
from tilepipe.index.vrt import vrt_twin
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.storage import Storage

__all__ = ["ITEM", "TWIN", "write_index"]

ITEM = "stac.json"
TWIN = "stac.vrt"

READ_BY_ALL = {"image/tiff", "image/png", "image/jpeg"}
"""Tiles that GDAL's STAC driver opens since there is one.

Of others (WebP, before 3.12) it shows nothing at all, and where one of RGBA has no alpha since it is opaque, an error.
"""


def write_index(
    *,
    output: TileDirectory,
    storage: Storage,
    limits: dict[int, Limits],
    fillers: Iterable[Tile],
    name: str,
    title: str,
    created: datetime,
) -> Tile | None:
    """Write the STAC item and its VRT twin; without any tile that holds data, remove them.

    Args:
        output: where the tiles are.
        storage: its folder.
        limits: for each zoom, the files that hold data.
        fillers: files of earlier runs that stand for nothing.
        name: id of the item.
        title: for people.
        created: the moment the output stands for.

    Returns:
        The file that was written so that GDAL before 3.8 finds a tile where it looks first; it holds no data.
    """
    pyramid = output.pyramid.with_metatile(output.metatile)
    form = output.format
    tile_set = TileSet(
        name=name,
        title=title,
        pyramid=pyramid,
        limits=limits,
        extension=form.extension,
        media_type=form.media_type,
        dtype=form.dtype,
        bands=form.bands,
        nodata=form.nodata,
        created=created,
        colors=form.colors,
    )
    first = prototype(tile_set)
    for old in fillers:
        # Data may have come to its place since; where every pixel counts, the two cannot be told apart.
        if old != first and form.nodata is not None and storage.get(output.key(old)) == _blank(output, pyramid, old):
            storage.delete(output.key(old))
    if first is None:
        storage.delete(ITEM)
        storage.delete(TWIN)
        return None
    filler = None
    if storage.get(output.key(first)) is None:
        storage.put(output.key(first), _blank(output, pyramid, first))
        filler = first
    if form.media_type.partition(";")[0] in READ_BY_ALL:
        storage.put(TWIN, vrt_twin(tile_set).encode())
    else:
        _write_rows(storage, tile_set)
    storage.put(ITEM, stac_item(tile_set).encode())
    return filler


def _write_rows(storage: Storage, tile_set: TileSet) -> None:
    """Write a VRT twin that names each tile, and the files it consists of; remove those of rows that are empty now."""

    def stored(zoom: int, row: int) -> list[int]:
        names = (entry.key.rpartition("/")[2].partition(".") for entry in storage.list(f"{zoom}/{row}"))
        return sorted(int(col) for col, _, extension in names if extension == tile_set.extension)

    made = set()
    for key, text in row_twin(tile_set, stored):
        storage.put(key, text.encode())
        made.add(key)
    for zoom in tile_set.limits:
        for entry in list(storage.list(str(zoom))):
            if entry.key.endswith(".vrt") and entry.key not in made:
                storage.delete(entry.key)


def _blank(output: TileDirectory, pyramid: Pyramid, place: Tile) -> bytes:
    """A file without data."""
    form = output.format
    shape = (form.bands, *pyramid.tile_shape(place.zoom))
    pixels = np.full(shape, 0 if form.nodata is None else form.nodata, dtype=form.dtype)
    return form.encode(Raster(pixels=pixels, grid=pyramid.grid(place), nodata=form.nodata))
