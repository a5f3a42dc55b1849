"""Each level of a pyramid is what GDAL makes of the whole level below it."""

import subprocess

import numpy as np
import pytest
import rasterio

from contracts.images import write_image

REDUCED = [
    ("nearest", "int16"),
    ("nearest", "float32"),
    ("average", "uint8"),
    ("average", "float32"),
    ("average", "float64"),
    ("mode", "uint8"),
    ("mode", "int16"),
    ("mode", "float32"),
    ("rms", "uint8"),
    ("rms", "float64"),
]
WARPED = [
    ("min", "int16"),
    ("max", "float32"),
    ("med", "int16"),
    ("q1", "float32"),
    ("q3", "int16"),
    ("sum", "float32"),
]
"""GDAL has these for warping only."""

KINDS = {"uint8": 0, "int16": -32768, "float32": float("nan"), "float64": -9999.5}
"""Nodata of each dtype."""


@pytest.fixture
def image():
    """Few values, so that some occur twice among four, with single pixels and whole tiles missing."""

    def make(path, dtype):
        numbers = np.random.default_rng(11)
        pixels = numbers.integers(1, 12, (100, 140)).astype(dtype)
        if pixels.dtype.kind == "f":
            pixels = pixels * np.asarray(1.37, dtype)
        holes = numbers.random(pixels.shape) < 0.3
        holes[30:66, 20:84] = True
        write_image(path, np.where(holes, np.asarray(KINDS[dtype], dtype), pixels), nodata=KINDS[dtype])

    return make


@pytest.fixture
def pyramid_of(copying, image):
    """All levels of the image, down to one tile."""

    def make(method, dtype, *, metatile, parts=None, **selection):
        image(copying.folder / "image.tif", dtype)
        project = copying.changed(
            pyramid={"grid": {"like": "image"}, "tile_size": 16, "metatile": metatile},
            overviews={"resampling": method},
            output={"path": "out", "dtype": dtype, "nodata": KINDS[dtype], "metatile": parts or metatile},
        )
        project.run(**selection)
        return project

    return make


def write(path, level, nodata):
    """A level as one file."""
    _, height, width = level.pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "nodata": nodata, "crs": level.crs}
    with rasterio.open(path, "w", dtype=level.pixels.dtype, transform=level.transform, **profile) as file:
        file.write(np.where(level.valid, level.pixels, np.asarray(nodata, level.pixels.dtype)))


def reduced(path, method):
    """The overview that the GDAL of the system makes of a file; rasterio's fills holes of int16 with 0 for `mode`."""
    subprocess.run(["gdaladdo", "-q", "-minsize", "1", "-r", method, path, "2"], check=True)
    with rasterio.open(path, overview_level=0) as file:
        return file.read(), file.read_masks() > 0


def assert_levels_follow(project, whole, halve):
    pipeline = project.pipeline()
    path = project.folder / "level.tif"
    for zoom in pipeline.zooms[:-1]:
        coarse = whole.tiles(project.out, zoom)
        # As many pixels as the coarser level has, for its tiles may reach further down and right.
        _, height, width = coarse.pixels.shape
        side = coarse.transform.a / 2
        size = {"side": side, "height": 2 * height, "width": 2 * width}
        fine = whole.frame(coarse.crs, left=coarse.transform.c, top=coarse.transform.f, **size)
        fine = whole.tiles(project.out, zoom + 1, like=fine)
        write(path, fine, pipeline.nodata)

        pixels, valid = halve(path, coarse)

        assert (coarse.valid == valid).all(), zoom
        ours, theirs = coarse.pixels[valid], pixels[valid]
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        else:
            assert np.abs(ours.astype(int) - theirs).max() <= 1, zoom
            assert (ours != theirs).mean() <= 0.01, zoom
    assert len(pipeline.zooms) == 5


@pytest.mark.gdal
@pytest.mark.parametrize(("method", "dtype"), REDUCED)
def test_levels_are_the_overviews_that_gdal_builds(pyramid_of, whole, method, dtype):
    project = pyramid_of(method, dtype, metatile=2)

    assert_levels_follow(project, whole, lambda path, _: reduced(path, method))


@pytest.mark.parametrize(("method", "dtype"), WARPED)
def test_levels_are_gdal_s_warp_to_half_the_resolution(pyramid_of, whole, method, dtype):
    project = pyramid_of(method, dtype, metatile=1)

    def halve(path, coarse):
        warped = whole.warped(path, coarse, method, nodata=KINDS[dtype])
        return warped.pixels, warped.valid

    assert_levels_follow(project, whole, halve)


@pytest.mark.gdal
@pytest.mark.parametrize(("metatile", "parts"), [(1, 1), (4, 1), (4, 4), (16, 4)])
def test_levels_are_gdal_s_whatever_the_metatile(pyramid_of, whole, metatile, parts):
    project = pyramid_of("average", "uint8", metatile=metatile, parts=parts)

    assert_levels_follow(project, whole, lambda path, _: reduced(path, "average"))


@pytest.mark.gdal
def test_levels_are_gdal_s_when_the_image_was_made_in_pieces(pyramid_of, whole):
    left = [500_000, 5_199_400, 500_500, 5_199_900]
    project = pyramid_of("average", "uint8", metatile=2, bounds=left, crs="EPSG:32632")
    before = project.files()

    project.run()

    assert set(project.files()) > set(before)
    assert_levels_follow(project, whole, lambda path, _: reduced(path, "average"))
