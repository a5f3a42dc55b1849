"""How pixels become the bytes of a GeoTIFF file, and pixels again."""

import math
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import WARNING, LogRecord, getLogger
from typing import Any

import numpy as np
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from tilepipe.errors import OutputError, nearest
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels, Raster

__all__ = ["DTYPES", "GTiff"]

DTYPES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
"""What GDAL can store and numpy can hold."""

BLOCK_PX = 256
MAX_BANDS = 65535
EXACT = 2**53
"""rasterio hands nodata to GDAL as a double, so integers beyond are not kept."""

REFUSED = {
    "BLOCKSIZE": "belongs to the COG driver; say BLOCKXSIZE and BLOCKYSIZE",
    "COLOR_TABLE_MULTIPLIER": "needs a colour table, which tiles do not carry",
    "COPY_SRC_OVERVIEWS": "is for copies of files; the pyramid's zooms are the overviews",
    "MAX_Z_ERROR_OVERVIEW": "is for overviews within a file; the pyramid's zooms are the overviews",
    "NBITS": "cuts values silently; choose a smaller dtype, compression takes care of unused bits",
    "NUM_THREADS": "makes tiles compete for the cores the workers use; say how many workers instead",
    "PIXELTYPE": "is out of date; say dtype: int8",
    "PROFILE": "puts nodata and tags into a file beside the tile",
    "RPB": "writes a file beside the tile",
    "RPCTXT": "writes a file beside the tile",
    "STREAMABLE_OUTPUT": "moves the directory to where readers need more requests",
    "TFW": "writes a file beside the tile; the tile itself says where it lies",
    "TILED": "is always on: readers fetch blocks, not rows",
}
"""Creation options that would break a tile or do nothing for it."""

KNOWN = (
    "ALPHA",
    "BIGTIFF",
    "BLOCKXSIZE",
    "BLOCKYSIZE",
    "COMPRESS",
    "ENDIANNESS",
    "GEOTIFF_KEYS_FLAVOR",
    "GEOTIFF_VERSION",
    "INTERLEAVE",
    "LZMA_PRESET",
    "MAX_Z_ERROR",
    "PHOTOMETRIC",
    "PREDICTOR",
    "SPARSE_OK",
    "WEBP_LOSSLESS",
    "ZLEVEL",
    "ZSTD_LEVEL",
)
"""For hints only: what is right is for GDAL to say."""

MANUAL = "https://gdal.org/en/stable/drivers/raster/gtiff.html"
PREDICTED = {"DEFLATE", "LZW", "ZSTD"}
TAKEN = {"driver", "dtype", "count", "height", "width", "crs", "transform", "nodata", "sharing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GTiff:
    """GeoTIFF, in blocks, without loss.

    Unless *options* say otherwise: deflate at level 1 after a predictor. For images, shadings and resampled
    elevations that is smaller than what GDAL's own default makes (level 6, no predictor) and takes two thirds of the
    time. Classes, and numbers that repeat, are smaller with `predictor: 1` and `zlevel: 6`.

    Raises:
        ValueError: one of the fields is wrong, or GDAL cannot write such a file.
    """

    dtype: str
    """One of DTYPES."""
    bands: int = 1
    nodata: float | None = math.nan
    """Value of missing pixels, as the dtype holds it; None where every pixel counts.

    NaN is no choice for integers, so for them it must be said.
    """
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Creation options of GDAL's GTiff driver, in upper or lower case."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Metadata of every file."""
    _profile: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    extension = "tif"
    media_type = "image/tiff; application=geotiff"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} cannot be stored; {nearest(str(self.dtype), DTYPES)}")
        if not 1 <= self.bands <= MAX_BANDS:
            raise ValueError(f"bands is {self.bands}; a file has 1 to {MAX_BANDS}")
        object.__setattr__(self, "nodata", _fitting(self.nodata, np.dtype(self.dtype)))
        creation = _creation(self.options, np.dtype(self.dtype))
        profile = {"driver": "GTiff", "dtype": self.dtype, "count": self.bands, "nodata": self.nodata, **creation}
        object.__setattr__(self, "_profile", profile)
        _check_tags(self.tags)
        if self.options or self.tags:
            _try(self)

    def encode(self, raster: Raster) -> bytes:
        self._check(raster)
        grid = raster.grid
        profile = {
            "height": grid.height,
            "width": grid.width,
            "crs": grid.crs,
            "transform": grid.transform,
            "blockxsize": _block(grid.width),
            "blockysize": _block(grid.height),
            **self._profile,
        }
        try:
            with MemoryFile() as file:
                with file.open(**profile) as dataset:
                    # Before the pixels, so that the directory stays in front of them.
                    if self.tags:
                        dataset.update_tags(**self.tags)
                    dataset.write(raster.pixels)
                payload: bytes = file.read()
        except (RasterioError, CRSError) as error:
            raise OutputError(f"GDAL cannot write the GeoTIFF: {_reason(error)}") from error
        return payload

    def decode(self, payload: bytes, grid: Grid) -> Raster:
        if not payload:
            raise OutputError("not a GeoTIFF: there are no bytes in it")
        try:
            with MemoryFile(payload) as file, file.open(driver="GTiff") as dataset:
                self._compare(dataset, grid)
                pixels: Pixels = dataset.read()
        except (RasterioError, NotGeoreferencedWarning) as error:
            raise OutputError(f"not a whole GeoTIFF of {len(payload)} bytes: {_reason(error)}") from error
        return Raster(pixels=pixels, grid=grid, nodata=self.nodata)

    def _check(self, raster: Raster) -> None:
        shape = (self.bands, raster.grid.height, raster.grid.width)
        if raster.pixels.shape != shape:
            raise OutputError(f"pixels of shape {shape} are to be written, not of {raster.pixels.shape}")
        if raster.pixels.dtype != np.dtype(self.dtype):
            raise OutputError(f"{self.dtype} is to be written, not {raster.pixels.dtype.str}; convert the pixels first")
        if not _equal(raster.nodata, self.nodata):
            raise OutputError(f"nodata is {self.nodata}, but the pixels have {raster.nodata}")

    def _compare(self, dataset: DatasetReader, grid: Grid) -> None:
        found = (dataset.count, *dataset.shape)
        wanted = (self.bands, *grid.shape)
        if found != wanted:
            raise OutputError(f"the GeoTIFF has the shape {found}, not {wanted}")
        if set(dataset.dtypes) != {self.dtype}:
            raise OutputError(f"the GeoTIFF has {', '.join(sorted(set(dataset.dtypes)))} pixels, not {self.dtype}")
        if not _equal(dataset.nodata, self.nodata):
            raise OutputError(f"the GeoTIFF's nodata is {dataset.nodata}, not {self.nodata}")
        if not dataset.transform.almost_equals(grid.transform, precision=grid.resolution * 1e-3):
            raise OutputError(f"the GeoTIFF lies at {dataset.transform.to_gdal()}, not at {grid.transform.to_gdal()}")


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def _block(pixels: int) -> int:
    """Side of the blocks for *pixels* in a row; TIFF wants multiples of 16."""
    return min(BLOCK_PX, -(-pixels // 16) * 16)


def _fitting(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """*nodata* as *dtype* holds it."""
    if nodata is None:
        return None
    number = float(nodata)
    if dtype.kind in "iu":
        low, high = max(int(np.iinfo(dtype).min), -EXACT), min(int(np.iinfo(dtype).max), EXACT)
        if low <= number <= high and number.is_integer():
            return int(nodata)
        found = "is not said" if math.isnan(number) else f"{nodata} does not fit"
        raise ValueError(f"nodata {found}; for {dtype}: a whole number from {low} to {high}, or null where all counts")
    info = np.finfo(dtype)
    if math.isfinite(number) and abs(number) > float(info.max):
        raise ValueError(f"nodata {nodata} does not fit; for {dtype}: from {info.min} to {info.max}, or nan, inf, -inf")
    return float(info.dtype.type(number))


def _creation(options: Mapping[str, str | int | float | bool], dtype: np.dtype[Any]) -> dict[str, str]:
    """All creation options of a tile, those of *options* first."""
    given: dict[str, str] = {}
    for name, value in options.items():
        if name.upper() in REFUSED:
            raise ValueError(f"option {name} {REFUSED[name.upper()]}; leave it away")
        if name.lower() in TAKEN:
            raise ValueError(f"there is no option {name}; {nearest(name.upper(), KNOWN)}")
        if name.lower() in given:
            raise ValueError(f"option {name} is given twice, in upper and lower case")
        given[name.lower()] = ("YES" if value else "NO") if isinstance(value, bool) else str(value)
    chosen = {"compress": "DEFLATE", "endianness": "LITTLE", "num_threads": "1", "tiled": "YES"} | given
    compress = chosen["compress"].upper()
    if compress == "DEFLATE":
        chosen.setdefault("zlevel", "1")
    if compress in PREDICTED and dtype.kind != "c":
        chosen.setdefault("predictor", "3" if dtype.kind == "f" else "2")
    return chosen


def _check_tags(tags: Mapping[str, str]) -> None:
    for name, text in tags.items():
        if not name or not isinstance(text, str) or set("=:") & set(name):
            raise ValueError(f"tag {name!r}: {text!r} must be a text, under a name without '=' and ':'")
        if name.upper() == "AREA_OR_POINT":
            raise ValueError("tag AREA_OR_POINT would move the pixels by half of their size; leave it away")


def _try(form: GTiff) -> None:
    """Write and read a small file, so that what GDAL does not like about *form* is known before the run."""
    shape = (form.bands, 32, 32)
    bits = np.arange(math.prod(shape), dtype=np.uint64).reshape(shape) * np.uint64(0x9E3779B97F4A7C15)
    dtype = np.dtype(form.dtype)
    pixels = bits.astype(dtype) if dtype.kind in "iu" else np.sin(bits.astype("float64")).astype(dtype)
    grid = Grid(crs="EPSG:3857", left=0.0, top=0.0, resolution=2.0, height=32, width=32)
    with _complaints() as complaints:
        try:
            payload = form.encode(Raster(pixels=pixels, grid=grid, nodata=form.nodata))
            back = form.decode(payload, grid).pixels
        except OutputError as error:
            raise ValueError("; ".join([*complaints, f"{error}; see {MANUAL}"])) from error
    for text in complaints:
        unknown = re.search(r"not support creation option (\w+)", text)
        raise ValueError(f"{text}; {nearest(unknown[1], KNOWN)}" if unknown else f"GDAL says: {text}; see {MANUAL}")
    if not np.array_equal(pixels, back):
        said = ", ".join(f"{name}={value}" for name, value in form.options.items())
        raise ValueError(f"the options {said} change pixel values; choose a compression without loss")
    with MemoryFile(payload) as file, file.open() as dataset:
        lost = [name for name, text in form.tags.items() if dataset.tags().get(name) != text]
    if lost:
        raise ValueError(f"tag {lost[0]!r}: GDAL does not keep the text {form.tags[lost[0]]!r}")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What GDAL warns of in this thread meanwhile; rasterio only logs it."""
    heard: list[str] = []
    here = threading.get_ident()

    def keep(record: LogRecord) -> bool:
        if record.thread != here:
            return True
        if record.levelno >= WARNING:
            heard.append(_nameless(re.sub(r"^CPLE_\w+( in |:)", "", record.getMessage())))
        return False

    loggers = [getLogger("rasterio._env"), getLogger("rasterio._err")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(WARNING)
        logger.addFilter(keep)
    try:
        yield heard
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeFilter(keep)
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    return _nameless(str(error.__cause__ or error))


def _nameless(text: str) -> str:
    """GDAL's words without the name of the file in memory."""
    return re.sub(r"'?(/vsimem/)?[\w/-]*[0-9a-f-]{36}\.tif'?(, band \d+)?:? ", "", text).rstrip(".")
