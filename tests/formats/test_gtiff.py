import json
import logging
import os
import pickle
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from tilepipe.errors import OutputError
from tilepipe.formats.gtiff import DTYPES, GTiff
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels, Raster

NAN = float("nan")
LAEA = rasterio.CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84").to_wkt()
TOO_HIGH = "({0}={1} value not recognised|'{1}' is an unexpected value for {0} creation option that should be <=)"
"""What GDAL says up to 3.10, and since it compares levels with the highest one."""
READ_BY_GDAL = """
import json, sys, zlib
from osgeo import gdal
gdal.UseExceptions()
for path in sys.argv[1:]:
    image = gdal.Open(path)
    band = image.GetRasterBand(1)
    print(json.dumps([gdal.GetDataTypeName(band.DataType), str(band.GetNoDataValue()), image.GetGeoTransform(),
                      image.GetSpatialRef().GetAuthorityCode(None), zlib.crc32(bytes(image.ReadRaster()))]))
"""
WRITE = """
import sys, pickle
form, raster = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(form.encode(raster))
"""


def grid(height: int = 48, width: int = 64, *, crs: str = "EPSG:3857", left: float = 1000.0) -> Grid:
    return Grid(crs=crs, left=left, top=2000.0, resolution=0.3, height=height, width=width)


def raster(pixels: Pixels, nodata: float | None = 0, *, crs: str = "EPSG:3857") -> Raster:
    return Raster(pixels=pixels, grid=grid(*pixels.shape[1:], crs=crs), nodata=nodata)


@pytest.fixture
def shaded() -> Pixels:
    """A hillshade of smooth hills with a rough skin, `(1, 512, 512)`, uint8."""
    y, x = np.mgrid[0:512, 0:512] / 40.0
    hills = np.sin(x) * np.cos(y * 0.7) + np.random.default_rng(3).normal(0, 0.004, size=x.shape)
    slope = np.diff(hills, axis=0, append=hills[-1:]) + np.diff(hills, axis=1, append=hills[:, -1:])
    return np.clip(128 + slope * 800, 1, 255).astype("uint8")[np.newaxis]


def opened(payload: bytes) -> dict[str, Any]:
    with MemoryFile(payload) as file, file.open() as dataset:
        return {
            "profile": dataset.profile,
            "tags": dataset.tags(),
            "structure": dataset.tags(ns="IMAGE_STRUCTURE"),
            "colors": dataset.colorinterp,
            "pixels": dataset.read(),
        }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": "float"}, "'float' cannot be stored; did you mean 'float64'"),
        ({"dtype": "bool"}, "'bool' cannot be stored"),
        ({"dtype": "uint8"}, "nodata is not said; for uint8: a whole number from 0 to 255, or null"),
        ({"dtype": "uint8", "nodata": 256}, "nodata 256 does not fit; for uint8: a whole number from 0 to 255"),
        ({"dtype": "uint8", "nodata": -1}, "nodata -1 does not fit"),
        ({"dtype": "int16", "nodata": 1.5}, "nodata 1.5 does not fit; for int16: a whole number from -32768 to 32767"),
        ({"dtype": "int32", "nodata": float("inf")}, "nodata inf does not fit"),
        ({"dtype": "int64", "nodata": -(2**63)}, "from -9007199254740992 to 9007199254740992"),
        ({"dtype": "float32", "nodata": 1e39}, "nodata 1e.39 does not fit; for float32"),
        ({"dtype": "uint8", "nodata": 0, "bands": 0}, "bands is 0; a file has 1 to 65535"),
        ({"dtype": "uint8", "nodata": 0, "bands": 65536}, "bands is 65536; a file has 1 to 65535"),
        ({"dtype": "uint8", "nodata": 0, "tags": {"": "x"}}, "tag '': 'x' must be a text, under a name"),
        ({"dtype": "uint8", "nodata": 0, "tags": {"a=b": "x"}}, "tag 'a=b'"),
        ({"dtype": "uint8", "nodata": 0, "tags": {"a": 5}}, "tag 'a': 5 must be a text"),
        ({"dtype": "uint8", "nodata": 0, "tags": {"a": "\x01"}}, "tag 'a': GDAL does not keep"),
        ({"dtype": "uint8", "nodata": 0, "tags": {"AREA_OR_POINT": "Point"}}, "move the pixels by half"),
    ],
)
def test_fields_that_are_wrong_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GTiff(**fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compres": "lzw"}, "does not support creation option COMPRES; did you mean 'COMPRESS'"),
        ({"driver": "PNG"}, "there is no option driver; known: ALPHA"),
        ({"compress": "zip"}, "'zip' is an unexpected value for COMPRESS.*see https"),
        ({"compress": "jxl"}, "missing codec for jxl; see https"),
        ({"compress": "jpeg"}, "compress=jpeg change pixel values; choose a compression without loss"),
        ({"compress": "lerc", "max_z_error": 2}, "max_z_error=2 change pixel values"),
        ({"discard_lsb": 2}, "discard_lsb=2 change pixel values"),
        ({"compress": "webp"}, "WEBP driver doesn't support 1 bands"),
        ({"zlevel": 99}, TOO_HIGH.format("ZLEVEL", 99)),
        ({"ZLEVEL": "high"}, "'high' is an unexpected value for ZLEVEL"),
        ({"zstd_level": 50, "compress": "zstd"}, TOO_HIGH.format("ZSTD_LEVEL", 50)),
        ({"predictor": 3}, "PREDICTOR=3 is only supported with Float32 or Float64"),
        ({"interleave": "line"}, "'line' is an unexpected value for INTERLEAVE"),
        ({"blockxsize": 100}, "multiples of 16"),
        ({"bigtiff": "maybe"}, "'maybe' is an unexpected value for BIGTIFF"),
        ({"photometric": "rgb"}, "GDAL says: PHOTOMETRIC=rgb value does not correspond to number of bands"),
        ({"tfw": True}, "option tfw writes a file beside the tile"),
        ({"Profile": "BASELINE"}, "option Profile puts nodata and tags into a file beside"),
        ({"COPY_SRC_OVERVIEWS": "YES"}, "the pyramid's zooms are the overviews"),
        ({"tiled": False}, "option tiled is always on"),
        ({"num_threads": "ALL_CPUS"}, "say how many workers instead"),
        ({"nbits": 4}, "option nbits cuts values"),
        ({"zlevel": 1, "ZLEVEL": 2}, "option ZLEVEL is given twice"),
    ],
)
def test_options_that_gdal_or_a_tile_cannot_bear_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GTiff(dtype="uint8", nodata=0, options=options)


def test_wrong_options_are_found_even_where_rasterio_is_silenced() -> None:
    logger = logging.getLogger("rasterio._env")
    before = logger.level, list(logger.filters)
    logger.setLevel(logging.CRITICAL)
    try:
        with pytest.raises(ValueError, match=TOO_HIGH.format("ZLEVEL", 99)):
            GTiff(dtype="uint8", nodata=0, options={"zlevel": 99})
        assert (logger.level, logger.filters) == (logging.CRITICAL, before[1])
    finally:
        logger.setLevel(before[0])


def test_floats_have_nan_for_missing_pixels_unless_another_is_said() -> None:
    assert np.isnan(GTiff(dtype="float32").nodata or 0)
    assert np.isnan(GTiff(dtype="complex64").nodata or 0)
    assert GTiff(dtype="float32", nodata=None).nodata is None
    assert GTiff(dtype="float64", nodata=-9999).nodata == -9999


def test_nodata_becomes_what_the_dtype_makes_of_it() -> None:
    assert GTiff(dtype="float32", nodata=0.1).nodata == float(np.float32(0.1))
    assert GTiff(dtype="float32", nodata=-3.4028234663852886e38).nodata == float(np.finfo("float32").min)
    whole = GTiff(dtype="int16", nodata=-1.0).nodata
    assert (whole, type(whole)) == (-1, int)


def test_a_file_lies_where_the_grid_says(shaded: Pixels) -> None:
    payload = GTiff(dtype="uint8", nodata=0).encode(raster(shaded, crs=LAEA))

    profile = opened(payload)["profile"]

    assert profile["transform"] == grid(512, 512).transform
    assert profile["crs"] == rasterio.CRS.from_wkt(LAEA)
    assert profile["nodata"] == 0


@pytest.mark.parametrize(
    ("height", "width", "block"), [(16, 32, (16, 32)), (20, 300, (32, 256)), (512, 512, (256, 256))]
)
def test_blocks_have_256_pixels_or_those_there_are(height: int, width: int, block: tuple[int, int]) -> None:
    payload = GTiff(dtype="uint8", nodata=0).encode(raster(np.ones((1, height, width), "uint8")))

    profile = opened(payload)["profile"]

    assert (profile["blockysize"], profile["blockxsize"]) == block


@pytest.mark.parametrize(
    ("bands", "colors"),
    [
        (1, [ColorInterp.gray]),
        (3, [ColorInterp.red, ColorInterp.green, ColorInterp.blue]),
        (4, [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]),
    ],
)
def test_three_and_four_bands_of_bytes_are_colours(bands: int, colors: list[ColorInterp]) -> None:
    payload = GTiff(dtype="uint8", bands=bands, nodata=None).encode(raster(np.ones((bands, 32, 32), "uint8"), None))

    assert list(opened(payload)["colors"]) == colors


def test_tags_are_in_every_file() -> None:
    form = GTiff(dtype="uint8", nodata=0, tags={"TIFFTAG_SOFTWARE": "tilepipe", "licence": "CC-BY <4.0> é"})

    tags = opened(form.encode(raster(np.ones((1, 32, 32), "uint8"))))["tags"]

    assert tags == {"AREA_OR_POINT": "Area", "TIFFTAG_SOFTWARE": "tilepipe", "licence": "CC-BY <4.0> é"}


@pytest.mark.parametrize("options", [{"COMPRESS": "zstd", "zstd_level": 3}, {"compress": "LZW"}, {"compress": "none"}])
def test_options_reach_gdal_in_any_case(options: dict[str, Any]) -> None:
    form = GTiff(dtype="uint8", nodata=0, options=options)

    structure = opened(form.encode(raster(np.ones((1, 32, 32), "uint8"))))["structure"]

    wanted = str(options.get("compress", options.get("COMPRESS"))).upper().replace("NONE", "")
    assert structure.get("COMPRESSION", "") == wanted


def test_the_directory_lies_in_front_of_the_pixels(shaded: Pixels) -> None:
    payload = GTiff(dtype="uint8", nodata=0, tags={"a": "b"}).encode(raster(shaded))

    order, _, offset = struct.unpack("<2sHI", payload[:8])

    assert order == b"II"
    assert offset < 256


def test_shadings_and_elevations_are_smaller_than_by_gdals_own_defaults(shaded: Pixels) -> None:
    y, x = np.mgrid[0:512, 0:512] / 90.0
    heights = (500 + 300 * np.sin(x) * np.cos(y) + 20 * np.sin(7 * x + 5 * y))[np.newaxis]
    for pixels in (shaded, heights.astype("int16"), heights.astype("float32")):
        dtype = pixels.dtype.name
        plain = GTiff(dtype=dtype, nodata=0, options={"zlevel": 6, "predictor": 1}).encode(raster(pixels))

        ours = GTiff(dtype=dtype, nodata=0).encode(raster(pixels))

        assert len(ours) < len(plain)


def test_bytes_depend_neither_on_threads_nor_on_settings_of_gdal(shaded: Pixels) -> None:
    form = GTiff(dtype="uint8", nodata=0)
    wanted = form.encode(raster(shaded))

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: form.encode(raster(shaded)), range(12)))
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_CACHEMAX=1, GDAL_TIFF_ENDIANNESS="BIG"):
        found.add(form.encode(raster(shaded)))

    assert found == {wanted}


@pytest.mark.slow
def test_bytes_are_those_of_another_process_on_another_day(shaded: Pixels) -> None:
    form = GTiff(dtype="uint8", nodata=0, tags={"a": "b"})
    environment = os.environ | {"GDAL_NUM_THREADS": "ALL_CPUS", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "5"}

    other = subprocess.run(
        [sys.executable, "-c", WRITE],
        input=pickle.dumps((form, raster(shaded))),
        capture_output=True,
        check=True,
        env=environment,
    )

    assert other.stdout == form.encode(raster(shaded))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (GTiff(dtype="int16", nodata=0), "has int16 pixels, not uint8"),
        (GTiff(dtype="uint8", bands=2, nodata=0), r"shape \(2, 48, 64\), not \(1, 48, 64\)"),
        (GTiff(dtype="uint8", nodata=5), "nodata is 5.0, not 0"),
        (GTiff(dtype="uint8", nodata=None), "nodata is None, not 0"),
    ],
)
def test_a_file_of_another_kind_is_refused(other: GTiff, message: str) -> None:
    payload = other.encode(raster(np.ones((other.bands, 48, 64), other.dtype), other.nodata))

    with pytest.raises(OutputError, match=message):
        GTiff(dtype="uint8", nodata=0).decode(payload, grid())


def test_a_file_of_another_place_is_refused() -> None:
    form = GTiff(dtype="uint8", nodata=0)
    payload = form.encode(raster(np.ones((1, 48, 64), "uint8")))

    with pytest.raises(OutputError, match=r"lies at \(1000.0, 0.3, 0.0, 2000.0, 0.0, -0.3\), not at \(1019"):
        form.decode(payload, grid(left=1019.2))


def test_no_bytes_are_no_file() -> None:
    with pytest.raises(OutputError, match="there are no bytes"):
        GTiff(dtype="uint8", nodata=0).decode(b"", grid())


def test_pixels_with_another_nodata_are_refused() -> None:
    with pytest.raises(OutputError, match="nodata is 0, but the pixels have None"):
        GTiff(dtype="uint8", nodata=0).encode(raster(np.ones((1, 48, 64), "uint8"), None))


def test_pixels_in_another_byte_order_are_refused() -> None:
    with pytest.raises(OutputError, match="int16 is to be written, not >i2"):
        GTiff(dtype="int16", nodata=0).encode(raster(np.ones((1, 48, 64), ">i2")))


def test_a_grid_whose_crs_is_unknown_is_refused() -> None:
    with pytest.raises(OutputError, match="GDAL cannot write the GeoTIFF"):
        GTiff(dtype="uint8", nodata=0).encode(raster(np.ones((1, 48, 64), "uint8"), crs="EPSG:999999"))


@pytest.mark.gdal
@pytest.mark.slow
def test_gdal_of_the_system_reads_what_is_written(tmp_path: Path) -> None:
    wanted = {}
    for dtype in DTYPES:
        pixels = np.random.default_rng(1).integers(0, 120, size=(2, 48, 64)).astype(dtype)
        path = tmp_path / f"{dtype}.tif"
        path.write_bytes(GTiff(dtype=dtype, bands=2, nodata=7).encode(raster(pixels, 7)))
        wanted[str(path)] = zlib.crc32(pixels.tobytes())

    command = ["/usr/bin/python3", "-c", READ_BY_GDAL, *wanted]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()

    for path, line in zip(wanted, lines, strict=True):
        name, nodata, transform, code, crc = json.loads(line)
        assert (float(nodata), code, crc) == (7, "3857", wanted[path]), name
        assert transform == list(grid().transform.to_gdal())
