"""How pixels become the bytes of an image that does not say where it lies, and pixels again, by GDAL's drivers."""

from collections.abc import Mapping, Sequence

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from tilepipe.errors import OutputError, nearest
from tilepipe.formats.fitting import same
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels

__all__ = ["check_kind", "colors_of", "read_image", "write_image"]

ALPHA = {2: ("Gray", "Alpha"), 4: ("Red", "Green", "Blue", "Alpha")}
"""What the bands show, by how many there are, where the last one is transparency."""

PLACE = rasterio.Affine(1.0, 0.0, 0.0, 0.0, -1.0, 1.0)
"""rasterio warns of images without a place, and warnings cannot be silenced in one thread alone."""


def check_kind(name: str, *, dtype: str, dtypes: Sequence[str], bands: int, counts: Sequence[int]) -> None:
    """Refuse what an image of the kind *name* cannot hold.

    Raises:
        ValueError: *dtype* is none of *dtypes*, or *bands* none of *counts*.
    """
    if dtype not in dtypes:
        has = " and ".join(dtypes)
        raise ValueError(
            f"dtype {dtype!r} cannot be stored in {name}, which has {has}; scale the values to that, "
            f"or use format gtiff ({nearest(dtype, dtypes)})"
        )
    if bands not in counts:
        known = ", ".join(map(str, counts[:-1])) + f" or {counts[-1]}"
        raise ValueError(f"bands is {bands}; {name} has {known}, so return that many or use format gtiff")


def colors_of(bands: int) -> tuple[str, ...]:
    """What each band shows where the last one is transparency; nothing where none is."""
    return ALPHA.get(bands, ())


def write_image(
    pixels: Pixels,
    *,
    driver: str,
    options: Mapping[str, str],
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of an image of *pixels* `(band, row, col)`.

    Args:
        pixels: of a dtype that the driver has.
        driver: GDAL's name of it.
        options: of the driver.
        nodata: value that the file is to declare.
        tags: metadata by which drivers are told what they have no option for.

    Raises:
        OutputError: GDAL cannot write it.
    """
    count, height, width = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name, "transform": PLACE}
    try:
        # What an image has no room for, GDAL would leave in a file beside it, here in memory for good.
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
            with file.open(driver=driver, nodata=nodata, **profile, **options) as dataset:
                if tags:
                    dataset.update_tags(**tags)
                dataset.write(pixels)
            payload: bytes = file.read()
    except RasterioError as error:
        raise OutputError(f"GDAL cannot write the {driver}: {error.__cause__ or error}") from error
    return payload


def read_image(
    payload: bytes,
    grid: Grid,
    *,
    driver: str,
    counts: Sequence[int],
    like: np.dtype[np.generic],
    nodata: float | None = None,
) -> Pixels:
    """The pixels `(band, row, col)` of an image.

    Args:
        payload: a whole file.
        grid: rows and columns it must have.
        driver: GDAL's name of its kind.
        counts: numbers of bands it may have.
        like: dtype it must have.
        nodata: value that it must declare.

    Raises:
        OutputError: the bytes are not such an image.
    """
    # Placed anywhere, for the reason that PLACE has.
    placed = f"vrt://{{}}?if={driver}&a_ullr=0,1,1,0"
    try:
        with (
            rasterio.Env(GDAL_PAM_ENABLED="NO"),
            MemoryFile(payload) as file,
            rasterio.open(placed.format(file.name)) as dataset,
        ):
            found, kinds, declared = (dataset.count, *dataset.shape), set(dataset.dtypes), dataset.nodata
            if found[0] not in counts or found[1:] != grid.shape:
                raise OutputError(f"the {driver} has the shape {found}, not {(counts[0], *grid.shape)}")
            if kinds != {like.name}:
                raise OutputError(f"the {driver} has {', '.join(sorted(kinds))} pixels, not {like.name}")
            if not same(declared, nodata):
                raise OutputError(f"the {driver}'s nodata is {declared}, not {nodata}")
            pixels: Pixels = dataset.read()
    except RasterioError as error:
        raise OutputError(f"not a whole {driver} of {len(payload)} bytes") from error
    return pixels
