"""Whether pixels and their nodata fit a format."""

import math
from typing import Any

import numpy as np

from tilepipe.errors import OutputError
from tilepipe.geo.raster import Raster

__all__ = ["check_fit", "fitted", "same"]

EXACT = 2**53
"""rasterio hands nodata to GDAL as a double, so integers beyond are not kept."""


def check_fit(raster: Raster, *, bands: int, dtype: str, nodata: float | None) -> None:
    """Refuse a raster of other bands, another dtype or nodata, or another size than its grid.

    Raises:
        OutputError: it is one.
    """
    shape = (bands, raster.grid.height, raster.grid.width)
    if raster.pixels.shape != shape:
        raise OutputError(f"pixels of shape {shape} are to be written, not of {raster.pixels.shape}")
    if raster.pixels.dtype != np.dtype(dtype):
        raise OutputError(f"{dtype} is to be written, not {raster.pixels.dtype.str}; convert the pixels first")
    if not same(raster.nodata, nodata):
        raise OutputError(f"nodata is {nodata}, but the pixels have {raster.nodata}")


def same(one: float | None, other: float | None) -> bool:
    """Whether two nodata values mean the same; NaN equals NaN."""
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def fitted(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """*nodata* as *dtype* holds it.

    Raises:
        ValueError: it does not hold it; NaN stands for a value that was not said where *dtype* has none.
    """
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
