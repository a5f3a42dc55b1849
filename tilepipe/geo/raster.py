"""Pixels in the form an output keeps them: one dtype, missing pixels spelled as nodata."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilepipe.geo.grid import Grid

__all__ = ["Masked", "Pixels", "Raster", "missing"]

Pixels = NDArray[Any]
"""An array `(band, row, col)` or `(row, col)` of any dtype."""
Masked = np.ma.MaskedArray[Any, np.dtype[Any]]
"""The same with a mask: True where there is no data, as numpy has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Pixels and where they lie."""

    pixels: Pixels
    """`(band, row, col)` in the output's dtype, *nodata* where there is no data."""
    grid: Grid
    """As many rows and columns as the pixels have."""
    nodata: float | None
    """The value that marks missing pixels, or None where every pixel counts."""

    def is_empty(self) -> bool:
        """Whether no pixel of any band holds data; never where there is no nodata value."""
        return bool(missing(self.pixels, self.nodata).all())


def missing(pixels: Pixels, nodata: float | None) -> NDArray[np.bool_]:
    """True where *pixels* equal *nodata* (NaN equals NaN); same shape as *pixels*."""
    if nodata is None:
        return np.zeros(pixels.shape, dtype=bool)
    if math.isnan(nodata):
        return np.isnan(pixels)
    return np.asarray(pixels == pixels.dtype.type(nodata))
