"""Warped pixels against GDAL's warp of the whole file."""

import os
import subprocess
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from tilepipe.errors import InputError
from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.placing import Warp, place
from tilepipe.inputs.raster_file import RasterFile

WORLD_M = 20037508.342789244
METHODS = [
    "nearest",
    "bilinear",
    "cubic",
    "cubic_spline",
    "lanczos",
    "average",
    "mode",
    "max",
    "min",
    "med",
    "q1",
    "q3",
    "rms",
]
LONLAT = {"crs": "EPSG:4326", "transform": Affine(0.001, 0, 7, 0, -0.001, 46)}
UTM = {"crs": "EPSG:32632", "transform": Affine(100, 0, 500000, 0, -100, 5100000)}


def grid_over(file, *, pixels, crs="EPSG:3857"):
    """About as many pixels as asked for around a file, on a lattice through the origin."""
    bounds = reduce(Bounds.union, file.extents(crs))
    bounds = Bounds(*(max(-WORLD_M, min(side, WORLD_M)) for side in bounds))
    resolution = 2.0 ** round(np.log2(max(bounds.right - bounds.left, bounds.top - bounds.bottom) / pixels))
    left, top = bounds.left // resolution - 2, bounds.top // resolution + 3
    return Grid(
        crs=crs,
        left=left * resolution,
        top=top * resolution,
        resolution=resolution,
        height=int(top - bounds.bottom // resolution) + 3,
        width=int(bounds.right // resolution - left) + 3,
    )


def hidden(pixels):
    return np.ma.getmaskarray(pixels)


def whole_warp(file, grid, how, *, resampling):
    """The file through rasterio's own virtual warp, with an alpha band for what is missing; and that mask."""
    options = {"overview_level": how.level - 1} if how.level else {}
    with rasterio.open(file.path, **options) as dataset:
        alpha = [at for at, kind in enumerate(dataset.colorinterp, 1) if kind == rasterio.enums.ColorInterp.alpha]
        numbers = [number for number in dataset.indexes if number not in alpha]
        bands = [band for band in file._facts().bands if not band.is_alpha]
        # Of the whole file: drivers may forget it in overviews.
        nodata = bands[0].nodata
        told = nodata is not None
        with WarpedVRT(
            dataset,
            crs=grid.crs,
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            resampling=Resampling[resampling],
            tolerance=0.001,
            src_nodata=nodata,
            nodata=nodata,
            add_alpha=not told and not alpha,
            XSCALE=how.x_scale,
            YSCALE=how.y_scale,
            UNIFIED_SRC_NODATA="PARTIAL",
        ) as warped:
            pixels = warped.read(numbers)
            if told:
                return pixels, np.isnan(pixels) if np.isnan(nodata) else pixels == pixels.dtype.type(nodata)
            return pixels, np.broadcast_to(warped.read(alpha[0] if alpha else warped.count) == 0, pixels.shape)


def assert_nearly_equal(found, expected, gone):
    """But for pixels whose way was worked out from other points of a row, by less than a thousandth of a pixel."""
    assert (hidden(found) != gone).mean() < 2e-3
    both = ~hidden(found) & ~gone
    if not both.any():
        return
    # Over the steepest step between two pixels, a few thousandths of a pixel make that much.
    values, others = found.data[both].astype("complex128"), expected[both].astype("complex128")
    step = np.abs(np.nanmax(others) - np.nanmin(others)) * 0.01 + 1
    assert np.nanmean(np.abs(values - others) > step) < 2e-3


class TestWholeWarp:
    @pytest.mark.parametrize("placed", [LONLAT, UTM], ids=["lonlat", "utm"])
    def test_the_nearest_pixel_is_the_one_under_the_centre(self, write, noise, placed):
        pixels = noise(100, 120)
        file = RasterFile(path=write(pixels, **placed))
        grid = grid_over(file, pixels=150)
        cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
        xs, ys = transform(
            grid.crs,
            placed["crs"],
            (grid.left + cols * grid.resolution).ravel(),
            (grid.top - rows * grid.resolution).ravel(),
        )
        cols, rows = ~placed["transform"] @ (np.array(xs), np.array(ys))
        cols, rows = (np.floor(places).astype(int).reshape(grid.shape) for places in (cols, rows))
        inside = (cols >= 0) & (rows >= 0) & (cols < 120) & (rows < 100)
        expected = np.where(inside, pixels[rows.clip(0, 99), cols.clip(0, 119)], 0)

        found = file.read(grid, bands=1)

        assert (found.filled(0) != expected).mean() < 1e-3
        assert (hidden(found) == inside).mean() < 1e-3

    @pytest.mark.parametrize("resampling", METHODS)
    @pytest.mark.parametrize("pixels", [40, 150])
    @pytest.mark.parametrize("nodata", [None, 77])
    def test_every_method_does_what_gdal_does(self, write, noise, resampling, pixels, nodata):
        values = noise(100, 120, dtype="int16")
        values[20:50, 30:70] = 77
        file = RasterFile(path=write(values, nodata=nodata, **UTM), resampling=resampling)
        grid = grid_over(file, pixels=pixels)
        how = place(file._facts().grid, grid)

        found = file.read(grid)

        assert isinstance(how, Warp)
        assert_nearly_equal(found, *whole_warp(file, grid, how, resampling=resampling))

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
    @pytest.mark.parametrize("resampling", ["bilinear", "cubic", "mode"])
    def test_every_dtype_ends_where_its_values_end(self, write, dtype, resampling):
        steps = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((8, 8)))
        top = 1e6 if dtype.startswith("float") else np.iinfo(dtype).max
        file = RasterFile(path=write((steps * top).astype(dtype), **LONLAT), resampling=resampling)
        grid = grid_over(file, pixels=100)

        found = file.read(grid)

        assert_nearly_equal(found, *whole_warp(file, grid, place(file._facts().grid, grid), resampling=resampling))
        assert found.dtype == dtype

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32"])
    @pytest.mark.parametrize("nodata", [None, 7])
    def test_the_mode_is_that_of_the_same_gdal_to_the_last_pixel(self, write, dtype, nodata):
        """Since 3.11 votes are weighed where they are counted in tables, up to 16 bits, and nowhere else."""
        values = np.random.default_rng(5).integers(1, 9, (96, 120)).astype(dtype)
        placed = {"crs": "EPSG:3857", "transform": Affine(8, 0, 4096, 0, -8, 8192)}
        file = RasterFile(path=write(values, nodata=nodata, **placed), resampling="mode")
        grid = Grid(crs="EPSG:3857", left=4080, top=8220, resolution=12, height=70, width=90)
        how = place(file._facts().grid, grid)

        found = file.read(grid)

        pixels, gone = whole_warp(file, grid, how, resampling="mode")
        assert_array_equal(hidden(found), gone)
        assert_array_equal(found.data[~gone], pixels[~gone])

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32"])
    @pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "lanczos", "average", "mode"])
    @pytest.mark.parametrize("end", [min, max, None])
    def test_results_that_happen_to_be_nodata_stay_beside_other_bands(self, write, dtype, resampling, end):
        """GDAL moves them to the next value, but 3.12.2 does so only where the results of all bands are nodata."""
        limits = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        nodata = end(limits) if end else 75
        low, high = max(limits[0], nodata - 40), min(limits[1], nodata + 40)
        values = np.random.default_rng(5).integers(low, high, (3, 96, 120), endpoint=True)
        values[values == nodata] += 1 if nodata < high else -1
        values[:, 20:50, 30:70] = nodata
        placed = {"crs": "EPSG:3857", "transform": Affine(8, 0, 4096, 0, -8, 8192), "nodata": nodata}
        file = RasterFile(path=write(values.astype(dtype), **placed), resampling=resampling)
        grid = Grid(crs="EPSG:3857", left=4080, top=8220, resolution=12, height=70, width=90)

        found = file.read(grid)

        for at, band in enumerate(values.astype(dtype)):
            alone = RasterFile(path=write(band, name=f"{at}.tif", **placed))
            pixels, gone = whole_warp(alone, grid, place(alone._facts().grid, grid), resampling=resampling)
            assert_array_equal(hidden(found)[at], gone[0])
            assert_array_equal(found.data[at], pixels[0])

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_floats_that_happen_to_be_nodata_become_the_next_number(self, write, dtype):
        """As GDAL has it since 3.11."""
        steps = np.array([[70, 80, 90, 100]] * 4, dtype=dtype)
        placed = {"crs": "EPSG:3857", "transform": Affine(8, 0, 4096, 0, -8, 8192)}
        file = RasterFile(path=write(steps, nodata=75, **placed), resampling="bilinear")

        found = file.read(Grid(crs="EPSG:3857", left=4100, top=8192, resolution=8, height=4, width=3))

        assert found.tolist() == [[[np.nextafter(steps.dtype.type(75), steps.dtype.type(76)), 85, 95]] * 4]

    @pytest.mark.parametrize("resampling", ["bilinear", "mode"])
    def test_a_mask_or_an_alpha_band_hides_what_gdal_hides(self, write, noise, resampling):
        valid = np.random.default_rng(3).uniform(size=(100, 120)) > 0.3
        masked = write(noise(2, 100, 120, dtype="uint8"), mask=valid, **UTM)
        with_alpha = write(
            np.stack([noise(100, 120, dtype="uint8"), (valid * 255).astype("uint8")]), name="b.tif", alpha=True, **UTM
        )

        for path in (masked, with_alpha):
            file = RasterFile(path=path, resampling=resampling)
            grid = grid_over(file, pixels=150)
            how = place(file._facts().grid, grid)
            assert_nearly_equal(file.read(grid), *whole_warp(file, grid, how, resampling=resampling))

    @pytest.mark.gdal
    @pytest.mark.parametrize(
        ("resampling", "theirs"), [("nearest", "near"), ("bilinear", "bilinear"), ("cubic", "cubic")]
    )
    def test_gdalwarp_of_the_system_makes_the_same(self, write, noise, tmp_path, resampling, theirs):
        values = noise(2, 100, 120, dtype="int16")
        values[:, 20:50, 30:70] = 77
        file = RasterFile(path=write(values, nodata=77, **UTM), resampling=resampling)
        grid = grid_over(file, pixels=150)
        target = str(tmp_path / "whole.tif")

        bounds = [repr(side) for side in grid.bounds]
        size = [str(grid.width), str(grid.height)]
        command = ["gdalwarp", "-q", "-et", "0", "-t_srs", grid.crs, "-te", *bounds, "-ts", *size, "-r", theirs]
        subprocess.run([*command, file.path, target], check=True)

        with rasterio.open(target) as dataset:
            assert_nearly_equal(file.read(grid), dataset.read(), dataset.read() == 77)

    def test_a_cell_around_the_world_is_not_taken_for_a_straight_line(self, write, noise):
        pixels = noise(18, 36)
        file = RasterFile(path=write(pixels, crs="EPSG:4326", transform=Affine(10, 0, -180, 0, -10, 90)))
        world = Grid(crs="EPSG:3857", left=-WORLD_M, top=WORLD_M, resolution=WORLD_M / 16, height=32, width=32)

        found = file.read(world, bands=1)

        cols = ((np.arange(32) + 0.5) * 360 / 32 / 10).astype(int)
        assert_array_equal(found[16], pixels[9, cols])
        assert found.count() == 32 * 32


@pytest.fixture(
    params=[
        ("nearest", LONLAT, {}),
        ("bilinear", LONLAT, {"nodata": 77, "count": 2, "dtype": "uint8"}),
        ("cubic", LONLAT, {}),
        ("nearest", UTM, {"nodata": 77}),
        ("bilinear", UTM, {}),
        ("cubic", UTM, {"nodata": 77}),
        ("average", UTM, {"nodata": 77}),
        ("lanczos", {}, {"nodata": 77, "dtype": "float64"}),
        ("bilinear", {}, {"nodata": 77}),
        ("cubic", {}, {}),
        ("sum", {}, {"dtype": "float64"}),
        ("nearest", {}, {}),
        ("mode", {}, {"nodata": 77}),
        ("mode", {}, {"dtype": "uint8"}),
        ("mode", UTM, {"dtype": "int16"}),
        ("average", {}, {"dtype": "uint8", "nodata": 77, "count": 2}),
    ],
    ids=lambda given: f"{given[0]}-{given[1].get('crs', 'same crs')}-{given[2]}",
    scope="module",
)
def source(request, tmp_path_factory):
    resampling, placed, options = request.param
    rng = np.random.default_rng(1)
    shape = {"height": 300, "width": 300, "count": 1, "dtype": "float32", "driver": "GTiff"} | options
    values = rng.uniform(0, 100, (shape["count"], 300, 300)).astype(shape["dtype"])
    values[:, 100:150, 80:200] = 77
    path = str(tmp_path_factory.mktemp("tiles") / "a.tif")
    given = {"crs": "EPSG:3857", "transform": Affine(100, 0, 700000, 0, -100, 5800000), **placed}
    with rasterio.open(path, "w", **shape, **given) as dataset:
        dataset.write(values)
    file = RasterFile(path=path, resampling=resampling)
    (bounds,) = file.extents("EPSG:3857")
    resolution = 156543.03392804097 / 2**10
    left, top = (round(side / resolution) for side in (bounds.left, bounds.top))
    grid = Grid(
        crs="EPSG:3857",
        left=(left - 20) * resolution,
        top=(top + 20) * resolution,
        resolution=resolution,
        height=300,
        width=300,
    )
    return file, grid, file.read(grid)


class TestTiles:
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(row=st.integers(0, 290), col=st.integers(0, 290), height=st.integers(1, 300), width=st.integers(1, 300))
    def test_any_part_is_that_part_of_the_whole_bit_for_bit(self, source, row, col, height, width):
        file, grid, whole = source
        height, width = min(height, 300 - row), min(width, 300 - col)

        part = file.read(grid.window(row=row, col=col, height=height, width=width))

        where = np.s_[:, row : row + height, col : col + width]
        assert_array_equal(hidden(part), hidden(whole)[where])
        assert_array_equal(part.data, whole.data[where])

    @pytest.mark.parametrize("resampling", ["bilinear", "cubic", "lanczos", "average"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_gap_changes_no_bit_of_pixels_far_away(self, write, resampling, dtype):
        """GDAL takes a shorter way, with other last digits, through windows without a gap."""
        values = np.random.default_rng(1).uniform(0, 200, (280, 280)).astype(dtype)
        values[260:270, 260:270] = 77
        placed = {"crs": "EPSG:3857", "transform": Affine(8, 0, 4096, 0, -8, 8192), "nodata": 77}
        file = RasterFile(path=write(values, **placed), resampling=resampling)
        grid = Grid(crs="EPSG:3857", left=4080, top=8220, resolution=12, height=200, width=200)

        part = file.read(grid.window(row=0, col=0, height=120, width=120))

        assert_array_equal(part.data, file.read(grid).data[:, :120, :120])

    def test_tiles_of_any_size_make_up_the_whole_across_cells(self, write, noise):
        """The file lies over the origin, where four cells meet."""
        file = RasterFile(path=write(noise(90, 90), transform=Affine(10, 0, -450, 0, -10, 450)), resampling="cubic")
        grid = Grid(crs="EPSG:3857", left=-500, top=500, resolution=7.7, height=130, width=130)
        whole = file.read(grid)

        for size in (37, 64, 130):
            for row in range(0, 130, size):
                for col in range(0, 130, size):
                    part = file.read(
                        grid.window(row=row, col=col, height=min(size, 130 - row), width=min(size, 130 - col))
                    )
                    assert_array_equal(part, whole[:, row : row + size, col : col + size])


FOLDER = os.environ.get("TILEPIPE_TEST_DATA", "")
ENDINGS = {".tif", ".tiff", ".jpg", ".vrt", ".nc", ".grib2", ".zip", ".jp2"}
RASTERS = sorted(
    str(path.relative_to(FOLDER))
    for path in (Path(FOLDER).rglob("*") if FOLDER else ())
    if path.suffix in ENDINGS and "vector" not in path.parts
)


@pytest.mark.data
@pytest.mark.skipif(not FOLDER, reason="TILEPIPE_TEST_DATA names no folder")
class TestRealFiles:
    @pytest.mark.parametrize("name", RASTERS)
    def test_every_raster_is_read_as_gdal_reads_it_or_refused_by_name(self, name):
        path = os.path.join(FOLDER, name)
        file = RasterFile(path=path, resampling="bilinear")
        try:
            grid = grid_over(file, pixels=200)
            found = file.read(grid)
        except InputError as error:
            assert str(error).startswith(path)
            return

        facts = file._facts()
        how = place(facts.grid, grid)
        assert found.shape == (file.shape()[0], *grid.shape)
        if isinstance(how, Warp) and facts.grid.exact:
            assert_nearly_equal(found, *whole_warp(file, grid, how, resampling="bilinear"))

    @pytest.mark.parametrize("name", RASTERS)
    def test_pixels_on_their_own_grid_are_those_of_the_file(self, name):
        path = os.path.join(FOLDER, name)
        file = RasterFile(path=path)
        try:
            whole = file.native_grid()
        except InputError as error:
            assert str(error).startswith(path)
            return
        row, col = whole.height // 3, whole.width // 3
        height, width = min(200, whole.height - row), min(200, whole.width - col)
        with rasterio.open(path) as dataset:
            window = rasterio.windows.Window(col, row, width, height)
            numbers = list(file._request(None, None).numbers)
            try:
                expected = dataset.read(numbers, window=window, masked=True)
            except rasterio.errors.RasterioIOError:
                pytest.skip("no reader can read this part")

        found = file.read(whole.window(row=row, col=col, height=height, width=width))

        assert_array_equal(hidden(found), hidden(expected))
        assert_array_equal(found.compressed(), expected.compressed())
