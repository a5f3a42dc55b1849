"""On a globe a tile sees what lies beyond the antimeridian, and nothing beyond the poles."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from numpy.lib.stride_tricks import sliding_window_view
from rasterio.warp import transform

from contracts.images import mosaic, write_image
from engine.conftest import STRIPES, Project
from tilepipe.geo.branch import bits, tile_at
from tilepipe.geo.pyramid import Tile, global_pyramid
from tilepipe.selection import make_plan, select

HALF_M = 20037508.342789244
WORLDS = {
    "geodetic": ("WorldCRS84Quad", "EPSG:4326", -180.0, 90.0, 180 / 64),
    "mercator": ("WebMercatorQuad", "EPSG:3857", -HALF_M, HALF_M, HALF_M / 64),
}
"""Name, crs, left, top, and side of the pixels of which 128 go around the world."""

FOCAL = """
import numpy as np
from scipy import ndimage

def execute(image, *, radius: int, how: str):
    pixels = image.read(1)
    known = (~np.ma.getmaskarray(pixels)).astype("float64")
    side = (2 * radius + 1, 2 * radius + 1)
    if how == "minimum":
        found = ndimage.minimum_filter(pixels.astype("float64").filled(np.inf), size=side)
        return np.ma.masked_where(np.isinf(found), found)
    total = ndimage.correlate(pixels.astype("float64").filled(0), np.ones(side))
    count = ndimage.correlate(known, np.ones(side))
    return np.ma.masked_where(count == 0, np.where(count > 0, total / np.maximum(count, 1), 0))
"""


def focal(values, holes, radius, how):
    """The filter on the whole world at once, which is round from west to east and ends at the poles."""
    known = np.pad(np.where(holes, np.nan, values), ((radius, radius), (0, 0)), constant_values=np.nan)
    around = np.pad(known, ((0, 0), (radius, radius)), mode="wrap")
    windows = sliding_window_view(around, (2 * radius + 1,) * 2)
    empty = np.isnan(windows).all(axis=(2, 3))
    windows = np.where(empty[..., np.newaxis, np.newaxis], 0, windows)
    return (np.nanmin if how == "minimum" else np.nanmean)(windows, axis=(2, 3)), empty


@pytest.fixture
def planet():
    """Whole numbers all around the world, and where there are none: also at the antimeridian and a pole."""
    numbers = np.random.default_rng(1)

    def make(rows):
        values = numbers.integers(1, 1000, (rows, 128)).astype("float32")
        holes = numbers.random(values.shape) < 0.1
        for found in (holes[20:34, :9], holes[20:34, -14:], holes[:7, 40:60], holes[-3:, 100:]):
            found[...] = True
        return values, holes

    return make


@pytest.mark.parametrize(
    ("tile_size", "metatile", "radius", "how"),
    [(16, 1, 2, "mean"), (16, 2, 7, "minimum"), (32, 1, 20, "minimum"), (16, 8, 2, "mean")],
)
@pytest.mark.parametrize("world", WORLDS)
def test_a_filter_goes_around_the_world(copying, planet, world, tile_size, metatile, radius, how):
    name, crs, left, top, side = WORLDS[world]
    values, holes = planet(round(2 * top / side))
    write_image(
        copying.folder / "image.tif",
        np.where(holes, np.float32(-1), values),
        nodata=-1,
        crs=crs,
        left=left,
        top=top,
        resolution=side,
    )
    copying.process(FOCAL)
    zoom = int(np.log2(128 / tile_size)) - (world == "geodetic")
    project = copying.changed(
        zooms=zoom,
        parameters={"radius": radius, "how": how},
        pyramid={"grid": name, "tile_size": tile_size, "metatile": metatile, "pixelbuffer": radius},
    )

    project.run()

    pyramid = global_pyramid(name, tile_size=tile_size, metatile=metatile)
    found = mosaic(project.out, pyramid, zoom, metatile=metatile, bands=1, dtype="float32", fill=-9999)[0]
    expected, empty = focal(values, holes, radius, how)
    rows, cols = values.shape
    assert ((found == -9999)[:rows, :cols] == empty).all()
    np.testing.assert_array_equal(found[:rows, :cols][~empty], expected.astype("float32")[~empty])


def test_a_buffer_wider_than_the_world_goes_around_it_more_than_once(copying, planet):
    values, holes = planet(128)
    values, holes = values[:16, :16], holes[:16, :16]
    side = HALF_M / 8
    pixels = np.where(holes, np.float32(-1), values)
    write_image(
        copying.folder / "image.tif", pixels, nodata=-1, crs="EPSG:3857", left=-HALF_M, top=HALF_M, resolution=side
    )
    copying.process(FOCAL)
    project = copying.changed(
        zooms=0,
        parameters={"radius": 20, "how": "mean"},
        pyramid={"grid": "WebMercatorQuad", "tile_size": 16, "metatile": 1, "pixelbuffer": 20},
    )

    project.run()

    with rasterio.open(project.path("0/0/0")) as file:
        found = file.read(1)
    expected, _ = focal(values, holes, 20, "mean")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def planned(project, **selection):
    """The tiles of a plan."""
    pipeline = project.pipeline()
    branches = make_plan(pipeline, select(pipeline, **selection), slots=1).branches()
    return {tile for branch in branches for tile in tiles_of(branch)}


def tiles_of(branch):
    return (tile_at(branch.root, bit) for bit in bits(branch.tiles))


def touched(pyramid, zoom, *lonlat):
    """The tiles of a zoom that share more than an edge with one of the geometries, each held against each tile."""
    places = [Tile(zoom, row, col) for row, col in np.ndindex(pyramid.matrix_shape(zoom))]
    lefts, bottoms, rights, tops = np.array([pyramid.grid(place).bounds for place in places]).T
    wests, souths = transform(pyramid.crs, "EPSG:4326", lefts, bottoms)
    easts, norths = transform(pyramid.crs, "EPSG:4326", rights, tops)
    boxes = shapely.box(wests, souths, easts, norths)
    shared = [shapely.area(shapely.intersection(boxes, geometry)) > 1e-9 for geometry in lonlat]
    return {place for place, among in zip(places, np.any(shared, axis=0), strict=True) if among}


@pytest.fixture
def anywhere(tmp_path):
    """A recipe without inputs on tiles of 16 pixels."""
    project = Project(tmp_path).changed(zooms=5, overviews__below=5)
    project.process(STRIPES)
    return project


PACIFIC = shapely.box(170, -20, 180, -1), shapely.box(-180, -20, -170, -1)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    "area",
    [
        [170, -20, -170, -1],
        {"bounds": [170, -20, -170, -1], "crs": "EPSG:4326"},
        "POLYGON ((170 -20, 190 -20, 190 -1, 170 -1, 170 -20))",
        "POLYGON ((-190 -20, -170 -20, -170 -1, -190 -1, -190 -20))",
        shapely.to_wkt(shapely.union_all(PACIFIC)),
    ],
)
def test_an_area_across_the_antimeridian_is_planned_on_both_sides(anywhere, world, area):
    name = WORLDS[world][0]
    project = anywhere.changed(pyramid__grid=name, area=area)

    tiles = planned(project)

    assert tiles == touched(global_pyramid(name, tile_size=16), 5, *PACIFIC)
    assert len({tile.col for tile in tiles}) > 1


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    "selection",
    [
        {"bounds": [170, -20, -170, -1]},
        {"area": "POLYGON ((170 -20, 190 -20, 190 -1, 170 -1, 170 -20))"},
    ],
)
def test_a_selection_across_the_antimeridian_is_planned_on_both_sides(anywhere, world, selection):
    name = WORLDS[world][0]

    tiles = planned(anywhere.changed(pyramid__grid=name), **selection)

    assert tiles == touched(global_pyramid(name, tile_size=16), 5, *PACIFIC)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_a_country_on_both_sides_of_the_antimeridian_is_planned_as_it_lies(anywhere, data, world):
    name = WORLDS[world][0]
    path = data / "vector" / "antimeridian.geojson"
    country = shapely.union_all(
        [shapely.geometry.shape(feature["geometry"]) for feature in json.loads(path.read_text())["features"]]
    )

    tiles = planned(anywhere.changed(pyramid__grid=name, area=str(path), zooms=6, overviews__below=6))

    assert tiles == touched(global_pyramid(name, tile_size=16), 6, country)
    assert {tile.col for tile in tiles} & {0, 1}


@pytest.fixture
def data():
    """The folder of real rasters."""
    folder = os.environ.get("TILEPIPE_TEST_DATA")
    if not folder:
        pytest.skip("TILEPIPE_TEST_DATA names no folder of test data")
    return Path(folder)


MOVED = 0.001
"""Share of pixels that may have another nearest neighbour: the engine lets GDAL be 0.001 pixels off."""

CORNERS = {
    "south east in degrees": ("dem/cleantopo_br.tif", "WorldCRS84Quad", 6),
    "north west in degrees": ("dem/cleantopo_tl.tif", "WorldCRS84Quad", 6),
    "south east in metres": ("dem/cleantopo_br.tif", "WebMercatorQuad", 5),
    "north west in metres": ("dem/cleantopo_tl.tif", "WebMercatorQuad", 5),
    "all around in degrees": ("rgb/world.byte.tif", "WorldCRS84Quad", 2),
    "all around in metres": ("rgb/world.byte.tif", "WebMercatorQuad", 2),
}


@pytest.mark.data
@pytest.mark.gdal
@pytest.mark.parametrize("place", CORNERS)
def test_real_data_up_to_the_edges_of_the_world_is_all_there(copying, data, whole, place):
    path, grid, zoom = CORNERS[place]
    with rasterio.open(data / path) as file:
        dtype, nodata = file.dtypes[0], "255" if file.nodata is None else "0"
    project = copying.changed(
        inputs__image__path=str(data / path),
        zooms=zoom,
        pyramid={"grid": grid, "tile_size": 128, "metatile": 2, "pixelbuffer": 5},
        output={"path": "out", "dtype": dtype, "nodata": int(nodata)},
    )

    project.run()

    found = whole.tiles(project.out, zoom, more=16)
    beyond = ~within(found, global_pyramid(grid).bounds)
    onto = copying.folder / "whole.tif"
    with rasterio.open(whole.gdalwarp(data / path, found, "near", "-dstnodata", nodata, result=onto)) as file:
        expected, valid = file.read(), (file.read_masks() > 0) & ~beyond
    few = MOVED * valid.sum()
    assert valid.sum() > 20_000
    assert beyond.any()
    assert (found.valid != valid).sum() <= few
    assert (found.pixels != expected)[valid].sum() <= few


def within(image, bounds):
    """Which pixels of an image have their middle in a rectangle."""
    _, height, width = image.pixels.shape
    xs = image.transform.c + image.transform.a * (np.arange(width) + 0.5)
    ys = image.transform.f + image.transform.e * (np.arange(height) + 0.5)
    return ((xs > bounds.left) & (xs < bounds.right)) & ((ys > bounds.bottom) & (ys < bounds.top))[:, np.newaxis]


@pytest.mark.data
def test_a_filter_over_warped_real_data_goes_around_the_world(copying, data):
    pyramid = {"grid": "WebMercatorQuad", "tile_size": 32, "metatile": 1, "pixelbuffer": 3}
    output = {"path": "out", "dtype": "uint8", "nodata": 255}
    project = copying.changed(
        inputs__image={"path": str(data / "rgb" / "world.byte.tif"), "resampling": "nearest"},
        zooms=2,
        pyramid=pyramid,
        output=output,
    )
    project.run()
    how = {"metatile": 1, "bands": 1, "dtype": "uint8", "fill": 255}
    (world,) = mosaic(project.out, project.pipeline().pyramid, 2, **how)

    copying.process(FOCAL)
    filtering = project.changed(parameters={"radius": 3, "how": "minimum"}, output__path="filtered")
    filtering.run()

    (found,) = mosaic(copying.folder / "filtered", filtering.pipeline().pyramid, 2, **how)
    expected, empty = focal(world.astype("float32"), world == 255, 3, "minimum")
    assert (np.diff(world[:, [0, -1]].astype(int)) != 0).any()
    np.testing.assert_array_equal(found, np.where(empty, 255, expected))


TURNED = {
    "WorldCRS84Quad": ("+proj=longlat +datum=WGS84 +lon_wrap=180", 0.0, None),
    "WebMercatorQuad": ("+proj=merc +a=6378137 +b=6378137 +lon_0=180 +units=m +nadgrids=@null", HALF_M, 0),
}
"""A system in which the antimeridian is no edge, how far west the same place lies in it, and the overview to read: the
first has pixels of 400 m, those asked for have 380 m and 756 m."""


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("grid", TURNED)
def test_a_scene_across_the_antimeridian_is_whole(copying, data, whole, grid):
    path = data / "odd" / "cog_dateline.tif"
    zoom = 8
    crs, west_by, level = TURNED[grid]
    pyramid = {"grid": grid, "tile_size": 128, "metatile": 2, "pixelbuffer": 5}
    output = {"path": "out", "dtype": "uint16", "nodata": 0}
    project = copying.changed(inputs__image__path=str(path), zooms=zoom, pyramid=pyramid, output=output)

    project.run()

    # Tiles in the corners of the rectangles around a scene that lies aslant hold none of it.
    files = {str(path.relative_to(project.out))[:-4] for path in project.out.glob("8/*/*.tif")}
    assert len(planned(project)) < 1.7 * len(files)
    shape = global_pyramid(grid, tile_size=128)
    side = shape.resolution_at(zoom)
    first = shape.grid(Tile(zoom, 0, shape.matrix_shape(zoom)[1] - 4))
    centre = transform("EPSG:4326", shape.crs, [180], [51.8])[1][0]
    top = shape.top - round((shape.top - centre) / side - 256) * side
    size = {"side": side, "height": 512, "width": 512, "dtype": "uint16"}
    east = whole.tiles(project.out, zoom, like=whole.frame(shape.crs, left=first.left, top=top, **size))
    west = whole.tiles(project.out, zoom, like=whole.frame(shape.crs, left=shape.left, top=top, **size))
    middle = whole.frame(
        rasterio.crs.CRS.from_string(crs),
        left=first.left - west_by,
        top=top,
        **(size | {"width": 1024}),
    )
    expected = whole.warped(path, middle, "nearest", level=level, add_alpha=True)
    found = np.concatenate([east.pixels, west.pixels], axis=2)
    known = np.concatenate([east.valid, west.valid], axis=2)
    few = MOVED * expected.valid.sum()
    assert expected.valid.sum() > 20_000
    assert (known != expected.valid).sum() <= few
    assert (found != expected.pixels)[known & expected.valid].sum() <= few
