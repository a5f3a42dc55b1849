import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.testing import assert_array_equal
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from tilepipe.errors import InputError
from tilepipe.geo.grid import Bounds, Grid
from tilepipe.inputs import _opened
from tilepipe.inputs.protocol import Input
from tilepipe.inputs.raster_file import RasterFile

_: type[Input] = RasterFile


def hidden(pixels):
    return np.ma.getmaskarray(pixels)


def mosaic(folder, path, *, dtype, extra=""):
    """A virtual file of one 8 x 8 px file."""
    vrt = folder / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><SRS>EPSG:3857</SRS>'
        "<GeoTransform>1000,10,0,5000,0,-10</GeoTransform>"
        f'<VRTRasterBand dataType="{dtype}" band="1">{extra}'
        f"<SimpleSource><SourceFilename>{path}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return str(vrt)


class TestPasting:
    @pytest.mark.parametrize("resampling", ["nearest", "bilinear", "lanczos"])
    def test_the_same_pixels_come_as_they_are(self, write, noise, native, resampling):
        pixels = noise(2, 40, 50)
        file = RasterFile(path=write(pixels), resampling=resampling)
        slightly_off = native(40, 50, left=1000.05)

        found = file.read(slightly_off)

        # Any kernel but the nearest pixel would see the two hundredths of a pixel.
        assert_array_equal(found.data, pixels)
        assert found.mask is np.ma.nomask

    def test_a_window_is_read_and_what_leaves_the_file_is_masked(self, write, noise, native):
        pixels = noise(40, 50)
        file = RasterFile(path=write(pixels))

        found = file.read(native(40, 50).window(row=-3, col=30, height=20, width=40), bands=1)

        assert_array_equal(found.data[3:, :20], pixels[:17, 30:])
        assert hidden(found)[:3].all()
        assert hidden(found)[:, 20:].all()
        assert not hidden(found)[3:, :20].any()

    def test_an_overview_is_read_as_it_is(self, write, noise, native):
        path = write(noise(64, 64), overviews=(2, 4))
        with rasterio.open(path, overview_level=1) as overview:
            expected = overview.read()

        found = RasterFile(path=path, resampling="cubic").read(native(16, 16, resolution=40))

        assert_array_equal(found.data, expected)

    def test_overviews_can_be_left_alone(self, write, noise, native):
        pixels = noise(64, 64)
        path = write(pixels, overviews=(2,))

        found = RasterFile(path=path, overviews=False).read(native(32, 32, resolution=20), bands=1)

        assert_array_equal(found, pixels[1::2, 1::2])

    def test_nothing_of_the_file_is_all_masked(self, write, noise, native):
        found = RasterFile(path=write(noise(2, 8, 8))).read(native(16, 16, left=9000))

        assert found.shape == (2, 16, 16)
        assert hidden(found).all()


class TestBands:
    def test_a_single_number_gives_rows_and_columns(self, write, noise, native):
        pixels = noise(3, 8, 8)
        file = RasterFile(path=write(pixels))

        assert_array_equal(file.read(native(8, 8), bands=2), pixels[1])
        assert_array_equal(file.read(native(8, 8), bands=[3, 1]), pixels[[2, 0]])

    def test_the_recipes_bands_are_read_when_none_are_named(self, write, noise, native):
        pixels = noise(3, 8, 8)
        file = RasterFile(path=write(pixels), bands=[3, 2])

        assert_array_equal(file.read(native(8, 8)), pixels[[2, 1]])
        assert file.shape() == (2, "float32")

    @pytest.mark.parametrize("bands", [4, 0, [1, 7], []])
    def test_a_band_that_is_not_there_is_refused(self, write, noise, native, bands):
        file = RasterFile(path=write(noise(3, 8, 8)))

        with pytest.raises(InputError, match=r"a.tif has 3 bands, numbered from 1; asked for"):
            file.read(native(8, 8), bands=bands)

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_an_alpha_band_is_no_data_unless_it_is_named(self, write, noise, native, count):
        shades = [noise(8, 8, dtype="uint8")] * count
        pixels = np.stack([*shades, np.eye(8, dtype="uint8") * 200])
        file = RasterFile(path=write(pixels, alpha=True))

        assert file.shape() == (count, "uint8")
        assert_array_equal(hidden(file.read(native(8, 8), bands=1)), np.eye(8) == 0)
        assert_array_equal(file.read(native(8, 8), bands=count + 1), pixels[-1])

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_alpha_hides_warped_pixels_too(self, write, noise, native, count):
        shades = [noise(32, 32, dtype="uint8")] * count
        alpha = np.zeros((32, 32), "uint8")
        alpha[8:24, 4:30] = 255
        file = RasterFile(path=write(np.stack([*shades, alpha]), alpha=True))

        read = file.read(native(16, 16, resolution=20))

        assert read.shape == (count, 16, 16)
        assert_array_equal(hidden(read), np.broadcast_to(alpha[1::2, 1::2] == 0, read.shape))

    @pytest.mark.parametrize(
        "dtype",
        ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "complex64"],
    )
    def test_every_dtype_is_pasted_and_warped(self, write, noise, native, dtype):
        pixels = noise(32, 32).clip(1, 120).astype(dtype)
        file = RasterFile(path=write(pixels))

        assert file.shape() == (1, dtype)
        assert_array_equal(file.read(native(32, 32), bands=1), pixels)
        warped = file.read(native(16, 16, resolution=20), bands=1)
        assert_array_equal(warped, pixels[1::2, 1::2])
        assert warped.dtype == dtype
        assert warped.mask is np.ma.nomask


class TestMissingPixels:
    @pytest.mark.parametrize(
        ("dtype", "nodata"), [("uint8", 0), ("int16", -32768), ("float32", -9999), ("float32", np.nan)]
    )
    @pytest.mark.parametrize("resolution", [10, 20])
    def test_nodata_is_masked(self, write, noise, native, dtype, nodata, resolution):
        pixels = noise(32, 32).astype(dtype)
        pixels[8:16, 8:24] = nodata
        file = RasterFile(path=write(pixels, nodata=nodata))
        step = resolution // 10

        found = file.read(native(32 // step, 32 // step, resolution=resolution), bands=1)

        expected = pixels[step - 1 :: step, step - 1 :: step]
        gone = np.isnan(expected) if np.isnan(nodata) else expected == nodata
        assert_array_equal(hidden(found), gone)
        assert_array_equal(found.data, expected)

    @pytest.mark.parametrize("resolution", [10, 20])
    def test_a_valid_zero_is_not_lost_where_there_is_no_nodata(self, write, native, resolution):
        file = RasterFile(path=write(np.zeros((32, 32), dtype="uint8")))

        found = file.read(native(40, 40, resolution=resolution), bands=1)

        assert_array_equal(
            hidden(found),
            np.pad(np.zeros((320 // resolution,) * 2, bool), (0, 40 - 320 // resolution), constant_values=True),
        )
        assert (found.data == 0).all()

    @pytest.mark.parametrize("outside", [False, True])
    @pytest.mark.parametrize("resolution", [10, 20])
    def test_the_mask_of_the_dataset_is_respected(self, write, noise, native, resolution, outside):
        valid = np.ones((32, 32), dtype=bool)
        valid[4:12, 8:24] = False
        path = write(noise(2, 32, 32, dtype="uint8"), mask=valid, msk=outside)
        step = resolution // 10

        found = RasterFile(path=path).read(native(32 // step, 32 // step, resolution=resolution))

        assert os.path.exists(f"{path}.msk") is outside
        assert_array_equal(hidden(found), np.broadcast_to(~valid[step - 1 :: step, step - 1 :: step], found.shape))

    def test_each_band_goes_missing_on_its_own(self, write, noise, native):
        pixels = noise(2, 32, 32, dtype="int16")
        pixels[0, :8] = -1
        pixels[1, :, :8] = -1
        file = RasterFile(path=write(pixels, nodata=-1))

        for resolution in (10, 20):
            found = file.read(native(320 // resolution, 320 // resolution, resolution=resolution))
            step = resolution // 10
            assert_array_equal(hidden(found), pixels[:, step - 1 :: step, step - 1 :: step] == -1)

    @pytest.mark.parametrize("resolution", [10, 20])
    def test_bands_may_differ_in_type_and_nodata(self, write, native, tmp_path, resolution):
        one = write((np.arange(64).reshape(8, 8) % 3).astype("uint8"), nodata=0)
        two = write((np.arange(64).reshape(8, 8) % 5).astype("float32"), nodata=4, name="b.tif")
        vrt = tmp_path / "both.vrt"
        bands = "".join(
            f'<VRTRasterBand dataType="{dtype}" band="{number}"><NoDataValue>{nodata}</NoDataValue>'
            f"<SimpleSource><SourceFilename>{path}</SourceFilename></SimpleSource></VRTRasterBand>"
            for number, dtype, nodata, path in ((1, "Byte", 0, one), (2, "Float32", 4, two))
        )
        vrt.write_text(
            '<VRTDataset rasterXSize="8" rasterYSize="8"><SRS>EPSG:3857</SRS>'
            f"<GeoTransform>1000,10,0,5000,0,-10</GeoTransform>{bands}</VRTDataset>"
        )
        file, step = RasterFile(path=str(vrt)), resolution // 10
        expected = np.stack([np.arange(64) % 3, np.arange(64) % 5]).reshape(2, 8, 8)[
            :, step - 1 :: step, step - 1 :: step
        ]

        found = file.read(native(8 // step, 8 // step, resolution=resolution))

        assert file.shape() == (2, "float32")
        assert_array_equal(found.data, expected)
        assert_array_equal(hidden(found), expected == np.array([0, 4])[:, np.newaxis, np.newaxis])

    def test_a_half_transparent_pixel_keeps_its_value(self, write, native):
        pixels = np.stack([np.full((32, 32), 100), np.full((32, 32), 7)]).astype("uint8")
        pixels[1, :16] = 0
        file = RasterFile(path=write(pixels, alpha=True))

        found = file.read(native(32, 32, left=1003), bands=1, resampling="bilinear")

        assert_array_equal(hidden(found)[:, 2:-2], np.arange(32)[:, np.newaxis] < 16 + np.zeros(28))
        assert (found.compressed() == 100).all()

    @pytest.mark.parametrize("resolution", [10, 20])
    def test_the_recipes_nodata_takes_the_place_of_the_files(self, write, native, resolution):
        pixels = np.zeros((32, 32), dtype="int16")
        pixels[:8], pixels[8:16] = 5, 7
        file = RasterFile(path=write(pixels, nodata=5), nodata=7)
        step = resolution // 10

        found = file.read(native(32 // step, 32 // step, resolution=resolution), bands=1)

        assert_array_equal(hidden(found), pixels[::step, ::step] == 7)

    def test_a_nodata_no_pixel_can_have_is_refused(self, write, noise, native):
        file = RasterFile(path=write(noise(8, 8, dtype="uint8")), nodata=-9999)

        with pytest.raises(InputError, match=r"a.tif holds uint8, which has no value -9999 to be its nodata"):
            file.read(native(8, 8))

    def test_a_files_nodata_that_no_pixel_can_have_masks_nothing(self, write, noise, native, tmp_path):
        pixels = noise(8, 8, dtype="uint8")
        path = write(pixels)
        vrt = mosaic(tmp_path, path, dtype="Byte", extra="<NoDataValue>-9999</NoDataValue>")

        assert_array_equal(RasterFile(path=vrt).read(native(8, 8), bands=1), pixels)


class TestPlaces:
    def test_a_file_that_is_south_up_gives_the_same_map(self, write, noise, native):
        pixels = noise(32, 32)
        north = RasterFile(path=write(pixels))
        south = RasterFile(path=write(pixels[::-1], name="b.tif", transform=Affine(10, 0, 1000, 0, 10, 4680)))

        assert_array_equal(south.read(native(32, 32)), north.read(native(32, 32)))
        assert south.extents("EPSG:3857") == north.extents("EPSG:3857")

    def test_a_turned_file_is_turned_back(self, write, noise, native):
        pixels = noise(32, 32)
        turned = write(np.rot90(pixels).copy(), transform=Affine(0, -10, 1320, -10, 0, 5000))

        assert_array_equal(RasterFile(path=turned).read(native(32, 32), bands=1), pixels)

    def test_control_points_place_a_file(self, write, noise, native):
        pixels = noise(32, 32)
        corners = [(0, 0), (0, 32), (32, 0), (32, 32)]
        points = [GroundControlPoint(row=row, col=col, x=1000 + 10 * col, y=5000 - 10 * row) for row, col in corners]
        path = write(pixels, transform=None, gcps=points)
        file = RasterFile(path=path)

        found = file.read(native(32, 32), bands=1)

        assert_array_equal(found, pixels)
        (reach,) = file.extents("EPSG:3857")
        assert reach == pytest.approx(Bounds(1000, 4680, 1320, 5000), abs=1)

    def test_polynomials_place_a_file(self, write, noise):
        linear = {
            "line_num_coeff": [0, 0, -1, *[0] * 17],
            "line_den_coeff": [1, *[0] * 19],
            "samp_num_coeff": [0, 1, *[0] * 18],
            "samp_den_coeff": [1, *[0] * 19],
        }
        centre = {"lat_off": 45.0, "long_off": 7.0, "height_off": 0.0, "line_off": 15.5, "samp_off": 15.5}
        scale = {"lat_scale": 0.16, "long_scale": 0.16, "height_scale": 1.0, "line_scale": 16.0, "samp_scale": 16.0}
        pixels = noise(32, 32)
        rpcs = RPC(**linear, **centre, **scale, err_bias=None, err_rand=None)
        path = write(pixels, transform=None, crs=None, rpcs=rpcs)

        found = RasterFile(path=path).read(
            Grid(crs="EPSG:4326", left=6.84, top=45.16, resolution=0.01, height=32, width=32), bands=1
        )

        assert (found == pixels).mean() > 0.9

    def test_a_file_past_longitude_180_is_read_on_both_sides(self, write, noise):
        pixels = noise(20, 20)
        file = RasterFile(path=write(pixels, crs="EPSG:4326", transform=Affine(1, 0, 170, 0, -1, 10)))
        world = Grid(crs="EPSG:4326", left=-180, top=90, resolution=1, height=180, width=360)

        found = file.read(world, bands=1)

        assert_array_equal(found[80:100, 350:], pixels[:, :10])
        assert_array_equal(found[80:100, :10], pixels[:, 10:])
        assert found.count() == 400
        side, edge = 2e7 * 1.001875417 * 170 / 180, 2e7 * 1.001875417
        east, west = file.extents("EPSG:3857")
        assert east[::2] == pytest.approx((side, edge))
        assert west[::2] == pytest.approx((-edge, -side))
        mercator = file.read(Grid(crs="EPSG:3857", left=-2.1e7, top=2e6, resolution=5e4, height=80, width=840), bands=1)
        assert hidden(mercator)[40, [100, 420, 780]].tolist() == [True, True, True]
        assert hidden(mercator)[40, [25, 30, 805, 815]].tolist() == [False] * 4

    def test_a_scene_over_the_antimeridian_is_read_on_both_sides(self, write, noise):
        file = RasterFile(
            path=write(noise(64, 64), crs="EPSG:32660", transform=Affine(1000, 0, 700000, 0, -1000, 5600000))
        )

        for left in (-180, 179):
            grid = Grid(crs="EPSG:4326", left=left, top=50.4, resolution=0.01, height=20, width=100)
            assert file.read(grid).count() > 100

    def test_the_extent_is_exact_in_the_files_own_reference_system(self, write, noise):
        assert RasterFile(path=write(noise(30, 20))).extents("EPSG:3857") == (Bounds(1000, 4700, 1200, 5000),)

    def test_a_reference_system_can_be_given(self, write, noise, native):
        pixels = noise(8, 8)
        path = write(pixels, crs=None)

        with pytest.raises(InputError, match=r"does not say its reference system; name it: `crs: EPSG:...`"):
            RasterFile(path=path).read(native(8, 8))
        assert_array_equal(RasterFile(path=path, crs="EPSG:3857").read(native(8, 8), bands=1), pixels)


class TestNativeGrid:
    def test_the_native_grid_is_that_of_the_files_pixels(self, write, noise, native):
        file = RasterFile(path=write(noise(30, 20)))

        assert file.native_grid() == native(30, 20)

    @pytest.mark.parametrize(
        ("transform", "what"),
        [
            (Affine(10, 0, 1000, 0, 10, 4360), "turned or upside down"),
            (Affine(10, 1, 1000, 0, -10, 5000), "turned or upside down"),
            (Affine(10, 0, 1000, 0, -20, 5000), "10 x 20, which are not square"),
        ],
    )
    def test_pixels_that_make_no_grid_are_refused(self, write, noise, transform, what):
        with pytest.raises(InputError, match=f"a.tif has pixels .*{what}.*; give a grid"):
            RasterFile(path=write(noise(30, 20), transform=transform)).native_grid()


class TestMistakes:
    def test_a_resampling_that_does_not_exist_is_refused_with_the_nearest_that_does(self):
        with pytest.raises(ValueError, match="no resampling 'biliniar'; did you mean 'bilinear'"):
            RasterFile(path="a.tif", resampling="biliniar")

    def test_bands_are_counted_from_one(self):
        with pytest.raises(ValueError, match="count from 1"):
            RasterFile(path="a.tif", bands=[0, 1])

    def test_a_reference_system_that_does_not_exist_is_refused(self):
        with pytest.raises(ValueError, match="'EPSG:0' is no coordinate reference system"):
            RasterFile(path="a.tif", crs="EPSG:0")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"gone.tif cannot be opened: .*No such file"):
            RasterFile(path=str(tmp_path / "gone.tif")).shape()

    @pytest.mark.parametrize("content", [b"", b"not a raster at all"])
    def test_what_is_no_raster_is_named(self, tmp_path, content):
        path = tmp_path / "a.tif"
        path.write_bytes(content)

        with pytest.raises(InputError, match=r"a.tif cannot be opened: .*not recognized"):
            RasterFile(path=str(path)).extents("EPSG:3857")

    @pytest.mark.parametrize("resolution", [10, 13])
    def test_a_truncated_file_is_an_error_that_says_where(self, write, noise, native, resolution):
        path = write(noise(256, 256), tiled=True, blockxsize=64, blockysize=64)
        size = os.path.getsize(path)
        os.truncate(path, size // 2)
        file = RasterFile(path=path)

        with pytest.raises(
            InputError, match=r"a.tif cannot be read (at rows 0-255, columns 0-255|within .*): .*(got|Read)"
        ):
            file.read(native(256, 256, resolution=resolution))
        assert file.read(native(64, 64)).count() == 64 * 64

    def test_a_picture_without_a_place_is_refused(self, write, noise, native):
        path = write(noise(8, 8), crs=None, transform=None)

        with pytest.raises(InputError, match=r"a.tif has no place on earth"):
            RasterFile(path=path).read(native(8, 8))

    def test_subdatasets_are_named(self, tmp_path, noise):
        path = str(tmp_path / "both.gpkg")
        for name in ("one", "two"):
            placed = {"crs": "EPSG:3857", "transform": Affine(10, 0, 1000, 0, -10, 5000)}
            options = {"driver": "GPKG", "count": 1, "dtype": "uint8", "height": 8, "width": 8, "RASTER_TABLE": name}
            with rasterio.open(path, "w", **placed, **options, APPEND_SUBDATASET=name == "two") as dataset:
                dataset.write(noise(1, 8, 8, dtype="uint8"))

        with pytest.raises(InputError, match=r"both.gpkg has 2 subdatasets; name one: .*one, .*two"):
            RasterFile(path=path).shape()

    def test_a_grid_nothing_leads_to_is_refused(self, write, noise):
        moon = (
            'GEOGCRS["Moon",DATUM["Moon",ELLIPSOID["Moon",1737400,0]],CS[ellipsoidal,2],'
            'AXIS["lat",north],AXIS["lon",east],UNIT["degree",0.0174532925199433]]'
        )
        file = RasterFile(path=write(noise(8, 8)))

        with pytest.raises(InputError, match=r"a.tif cannot be placed: there is no transformation"):
            file.extents(moon)


class TestHandles:
    def test_pickling_takes_no_handle_along(self, write, noise, native):
        file = RasterFile(path=write(noise(8, 8)), bands=[1], nodata=3)
        file.read(native(8, 8))

        again = pickle.loads(pickle.dumps(file))

        assert again == file
        assert len(pickle.dumps(file)) < 500
        assert_array_equal(again.read(native(8, 8)), file.read(native(8, 8)))

    @pytest.mark.parametrize("resolution", [10, 13])
    def test_a_file_written_again_is_read_again(self, write, noise, native, resolution):
        pixels = noise(8, 8)
        file = RasterFile(path=write(pixels))
        grid = native(4, 4, resolution=resolution)
        before, fingerprint = file.read(grid), file.fingerprint()

        write(pixels + 1)

        assert_array_equal(file.read(grid), before + 1)
        assert file.fingerprint() != fingerprint

    def test_many_files_do_not_pile_up_handles(self, write, noise, native):
        paths = [write(noise(8, 8), name=f"{number}.tif") for number in range(_opened.MOST_OPEN + 20)]

        for path in paths:
            RasterFile(path=path).read(native(8, 8))

        assert len(_opened.SHELF.handles) <= _opened.MOST_OPEN

    def test_reading_the_same_file_opens_it_once(self, write, noise, native):
        file = RasterFile(path=write(noise(32, 32)))
        file.read(native(8, 8))
        before = dict(_opened.SHELF.handles)

        file.read(native(8, 8).window(row=8, col=8, height=8, width=8))

        assert dict(_opened.SHELF.handles) == before

    @pytest.mark.parametrize("resolution", [10, 13])
    def test_threads_read_what_one_thread_reads(self, write, noise, native, resolution):
        file = RasterFile(
            path=write(noise(200, 200), tiled=True, blockxsize=32, blockysize=32, nodata=7), resampling="bilinear"
        )
        corners = np.random.default_rng(0).integers(-20, 180, (80, 2))
        grids = [
            native(1, 1, resolution=resolution).window(row=row, col=col, height=40, width=40) for row, col in corners
        ]
        alone = [file.read(grid) for grid in grids]

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(file.read, grids))

        for one, other in zip(alone, together, strict=True):
            assert_array_equal(one.data, other.data)
            assert_array_equal(hidden(one), hidden(other))

    def test_the_fingerprint_tells_of_sidecars(self, write, noise):
        path = write(noise(32, 32), mask=np.eye(32, dtype=bool), msk=True)

        assert sorted(RasterFile(path=path).fingerprint()) == [path, f"{path}.msk"]

    def test_the_fingerprint_of_a_mosaic_tells_of_its_files(self, write, noise, tmp_path):
        path = write(noise(8, 8))
        vrt = mosaic(tmp_path, path, dtype="Float32")

        assert sorted(RasterFile(path=vrt).fingerprint()) == [path, vrt]
