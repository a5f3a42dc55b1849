"""What tiles show of an image on another grid is what GDAL makes of the whole image at once."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import transform

from contracts.images import write_image

SIZE = (150, 170)
CRS = "EPSG:32632"
GRIDS = {
    "mercator": ("WebMercatorQuad", {"coarse": 16, "fine": 17}),
    "geodetic": ("WorldCRS84Quad", {"coarse": 15, "fine": 16}),
    "laea": (
        {"crs": "EPSG:3035", "bounds": [4240000, 2600000, 4340000, 2700000], "resolution": 7.3},
        {"coarse": 8, "fine": 9},
    ),
    "next utm": (
        {"crs": "EPSG:32633", "bounds": [40000, 5190000, 60000, 5220000], "resolution": 5.85},
        {"coarse": 6, "fine": 7},
    ),
    "shifted": (
        {"crs": CRS, "bounds": [499000, 5195000, 505000, 5203000], "resolution": 7.7},
        {"coarse": 5, "fine": 6},
    ),
}
"""Pixels of 10 m become about 13 m, or 7 m."""

MOVED = 0.001
"""Share of pixels whose nearest neighbour, or whose mask, may be another one: the engine lets GDAL be 0.001 pixels off
so as not to reckon every pixel, and some centres lie that close to the line between two pixels."""
OFF = 1e-3
"""Part of the image's range by which other values may be off for the same reason."""


@pytest.fixture
def terrain():
    """Hills with noise, in which any pixel differs from its neighbours."""
    rows, cols = np.indices(SIZE)
    noise = np.random.default_rng(5).normal(0, 20, SIZE)
    return (500 + 200 * np.sin(cols / 9) + 150 * np.cos(rows / 7) + noise).astype("float32")


@pytest.fixture
def holes():
    """Where the image has no data: a block, and some single pixels."""
    found = np.random.default_rng(6).random(SIZE) < 0.02
    found[20:40, 30:70] = True
    return found


def scales(onto):
    """Pixels asked for per column and per row of the image, at its middle: what a kernel is stretched by."""
    x, y = 500_000 + 5 * SIZE[1], 5_200_000 - 5 * SIZE[0]
    xs, ys = transform(CRS, onto.crs, [x - 5, x + 5, x, x], [y, y, y - 5, y + 5])
    sides = np.hypot(xs[1] - xs[0], ys[1] - ys[0]), np.hypot(xs[3] - xs[2], ys[3] - ys[2])
    return {name: str(side / onto.transform.a) for name, side in zip(("XSCALE", "YSCALE"), sides, strict=True)}


def assert_alike(found, expected, method, *, least=4000):
    assert found.valid.sum() >= least
    few = max(2, MOVED * found.valid.sum())
    assert (found.valid != expected.valid).sum() <= few
    both = found.valid & expected.valid
    ours, theirs = found.pixels[both].astype(float), expected.pixels[both].astype(float)
    off = np.abs(ours - theirs)
    allowed = 0 if method == "nearest" else OFF * np.ptp(theirs)
    if np.issubdtype(found.pixels.dtype, np.integer) and method != "nearest":
        allowed += 1
    assert (off > allowed).sum() <= few


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("grid", GRIDS)
def test_each_grid_and_resampling_is_that_of_the_whole_image(copying, terrain, holes, whole, grid, method):
    name, zooms = GRIDS[grid]
    zoom = zooms["coarse" if method == "average" else "fine"]
    write_image(copying.folder / "image.tif", np.where(holes, np.float32(-9999), terrain), nodata=-9999)
    project = copying.changed(pyramid__grid=name, zooms=zoom, inputs__image__resampling=method)

    made, _ = project.run()

    found = whole.tiles(project.out, zoom, more=32)
    expected = whole.warped(copying.folder / "image.tif", found, method, nodata=-9999, **scales(found))
    assert len(made) >= 4
    assert_alike(found, expected, method)


@pytest.mark.parametrize("metatile", [1, 4])
@pytest.mark.parametrize("pixelbuffer", [0, 17])
def test_metatiles_and_buffers_change_no_pixel(copying, terrain, whole, metatile, pixelbuffer):
    write_image(copying.folder / "image.tif", terrain)
    project = copying.changed(zooms=17, inputs__image__resampling="cubic")
    project.run()
    expected = whole.tiles(project.out, 17, more=256)

    other = project.changed(
        pyramid__metatile=metatile, pyramid__pixelbuffer=pixelbuffer, output__metatile=1, output__path="other"
    )
    other.run()

    found = whole.tiles(copying.folder / "other", 17, like=expected)
    assert (found.valid == expected.valid).all()
    assert (found.pixels[found.valid] == expected.pixels[found.valid]).all()
    assert found.valid.sum() > 50_000


def as_bytes(values):
    return np.clip(values / 4, 1, 255).astype("uint8")


def write_whole_numbers(path, values, holes):
    write_image(path, np.where(holes, 0, as_bytes(values)), nodata=0)


def write_nan(path, values, holes):
    write_image(path, np.where(holes, np.float32("nan"), values), nodata=float("nan"))


def write_mask(path, values, holes):
    write_image(path, as_bytes(values))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(~holes)


def write_alpha(path, values, holes):
    alpha = np.where(holes, 0, 255).astype("uint8")
    write_image(path, np.stack([as_bytes(values), 255 - as_bytes(values) // 2, as_bytes(values) // 2 + 1, alpha]))
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def write_without_holes(path, values, holes):
    write_image(path, as_bytes(values))


KINDS = {
    "nodata": (write_whole_numbers, {"nodata": 0}, {}),
    "nan": (write_nan, {"nodata": float("nan")}, {"dtype": "float32", "nodata": float("nan")}),
    "mask": (write_mask, {"add_alpha": True}, {}),
    "alpha": (write_alpha, {}, {"bands": 3}),
    "none": (write_without_holes, {"add_alpha": True}, {}),
}
"""How to write the image, how to warp all of it, and what differs from an output of one uint8 band."""


@pytest.mark.parametrize("method", ["nearest", "bilinear", "average"])
@pytest.mark.parametrize("kind", KINDS)
def test_holes_of_every_kind_stay_where_they_are(copying, terrain, holes, whole, kind, method):
    write, options, output = KINDS[kind]
    write(copying.folder / "image.tif", terrain, holes)
    zoom = 16 if method == "average" else 17
    section = {"path": "out", "dtype": "uint8", "nodata": 0} | output
    project = copying.changed(zooms=zoom, inputs__image__resampling=method, output=section)

    project.run()

    found = whole.tiles(project.out, zoom, more=32)
    expected = whole.warped(copying.folder / "image.tif", found, method, **options, **scales(found))
    assert_alike(found, expected, method)


@pytest.mark.parametrize("method", ["nearest", "cubic", "average"])
def test_holes_that_differ_by_band_are_those_of_gdalwarp(copying, terrain, holes, whole, method):
    layers = [np.where(np.roll(holes, 9 * band), np.float32(-9999), terrain + band) for band in range(2)]
    write_image(copying.folder / "image.tif", np.stack(layers), nodata=-9999)
    zoom = 16 if method == "average" else 17
    project = copying.changed(zooms=zoom, inputs__image__resampling=method, output__bands=2)

    project.run()

    found = whole.tiles(project.out, zoom, more=32)
    options = {"nodata": -9999, "UNIFIED_SRC_NODATA": "PARTIAL"} | scales(found)
    expected = whole.warped(copying.folder / "image.tif", found, method, **options)
    assert (found.valid[0] != found.valid[1]).any()
    assert_alike(found, expected, method)


LEVELS = {16: None, 15: 0, 14: 1, 13: 2, 12: 2}
"""The coarsest overview of those of 20, 40 and 80 m that is as fine as the pixels of each zoom, of which there are
about 209 m at zoom 12."""


@pytest.fixture
def with_overviews(copying):
    """An image in which each pixel of an overview shows from which level it is."""
    pixels = np.random.default_rng(8).integers(1, 255, (320, 350), dtype="uint8")
    write_image(copying.folder / "image.tif", pixels, nodata=0)
    with rasterio.open(copying.folder / "image.tif", "r+") as file:
        file.build_overviews([2, 4, 8], Resampling.nearest)
    return copying.changed(output__dtype="uint8", output__nodata=0)


@pytest.mark.parametrize("method", ["bilinear", "average"])
@pytest.mark.parametrize("zoom", LEVELS)
def test_coarse_pixels_are_made_from_the_overview_that_fits(with_overviews, whole, zoom, method):
    project = with_overviews.changed(zooms=zoom, inputs__image__resampling=method)

    project.run()

    found = whole.tiles(project.out, zoom, more=16)
    level, stretch = LEVELS[zoom], scales(found)
    reduced = 1 if level is None else 2 << level
    options = {name: str(float(scale) * reduced) for name, scale in stretch.items()}
    expected = whole.warped(with_overviews.folder / "image.tif", found, method, level=level, nodata=0, **options)
    assert_alike(found, expected, method, least=50)


@pytest.mark.gdal
@pytest.mark.slow
def test_gdalwarp_takes_the_same_overviews(with_overviews, whole):
    project = with_overviews.changed(zooms=[12, 17])

    project.run()

    for zoom in range(12, 18):
        found = whole.tiles(project.out, zoom, more=16)
        with rasterio.open(whole.gdalwarp(with_overviews.folder / "image.tif", found, "near")) as file:
            expected = replace(found, pixels=file.read(), valid=file.read_masks() > 0)
        assert_alike(found, expected, "nearest", least=50)
