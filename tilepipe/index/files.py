"""Writing the index beside the tiles, and the one tile that older readers need."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.raster import Raster
from tilepipe.index.extent import Limits
from tilepipe.index.stac import TileSet, prototype, stac_item
from tilepipe.index.vrt import vrt_twin
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.storage import Storage

__all__ = ["ITEM", "TWIN", "write_index"]

ITEM = "stac.json"
TWIN = "stac.vrt"


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
        colors=("Red", "Green", "Blue", "Alpha") if form.bands == 4 and form.dtype == "uint8" else (),
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
    storage.put(TWIN, vrt_twin(tile_set).encode())
    storage.put(ITEM, stac_item(tile_set).encode())
    return filler


def _blank(output: TileDirectory, pyramid: Pyramid, place: Tile) -> bytes:
    """A file without data."""
    form = output.format
    shape = (form.bands, *pyramid.tile_shape(place.zoom))
    pixels = np.full(shape, 0 if form.nodata is None else form.nodata, dtype=form.dtype)
    return form.encode(Raster(pixels=pixels, grid=pyramid.grid(place), nodata=form.nodata))
