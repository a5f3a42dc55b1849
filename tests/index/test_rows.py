"""The virtual raster that names each tile reads as the one that leaves them to the STAC driver."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from index.test_readers import (
    PATTERNS,
    PYRAMIDS,
    RGBA,
    _assert_all_levels,
    _assert_facts,
    _assert_old_gdal,
    _base,
)
from tilepipe.geo.pyramid import Tile
from tilepipe.index.rows import row_twin


@pytest.fixture
def placed(publish):
    """A tile directory whose twin names the tiles."""

    def make(*args, **facts):
        published = publish(*args, **facts)

        def stored(zoom, row):
            return sorted(tile.col for tile in published.pixels if (tile.zoom, tile.row) == (zoom, row))

        (published.folder / "stac.vrt").unlink()
        for key, text in row_twin(published.tile_set, stored):
            (published.folder / key).write_text(text)
        return published

    return make


@pytest.mark.parametrize("grid", PYRAMIDS)
def test_every_grid_opens_as_one_raster(placed, grid):
    published = placed(PYRAMIDS[grid], _base("holes"), range(3, 7))

    _assert_facts(published)
    _assert_all_levels(published)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("metatile", [1, 4])
def test_every_pattern_of_tiles_reads_as_it_was_written(placed, pattern, metatile):
    pyramid = PYRAMIDS["WorldCRS84Quad"].with_metatile(metatile)
    zoom = 6 if metatile == 1 else 8

    published = placed(pyramid, _base(pattern, zoom), range(zoom + 1), dtype="int16", bands=2, nodata=-1)

    _assert_all_levels(published)


@pytest.mark.gdal
@pytest.mark.parametrize("grid", ["WebMercatorQuad", "utm", "pixels"])
def test_old_gdal_opens_it_too(placed, tmp_path, grid):
    published = placed(PYRAMIDS[grid], _base("L"), range(3, 7))

    _assert_old_gdal(published, tmp_path)


def test_colours_are_colours_and_a_tile_without_alpha_is_opaque(placed):
    published = placed(PYRAMIDS["WebMercatorQuad"], [Tile(6, 20, 33), Tile(6, 20, 34)], [6], **RGBA)
    path = published.folder / "6/20/33.tif"
    with rasterio.open(path) as file:
        profile, pixels = file.profile | {"count": 3}, file.read([1, 2, 3])
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)

    with rasterio.open(published.twin) as whole:
        found, colors = whole.read(), list(whole.colorinterp)

    assert colors == [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    np.testing.assert_array_equal(found[:3, :, :16], pixels)
    assert (found[3, :, :16] == 255).all()
    np.testing.assert_array_equal(found[:, :, 16:], published.pixels[Tile(6, 20, 34)])


def test_a_tile_outside_of_the_raster_is_not_named(placed):
    published = placed(PYRAMIDS["WebMercatorQuad"], _base("one"), [6])

    keys = dict(row_twin(published.tile_set, lambda zoom, row: [row, 33, 63]))

    assert set(keys) == {"6/21.vrt", "stac.vrt"}
    assert keys["6/21.vrt"].count("<SourceFilename") == 1
