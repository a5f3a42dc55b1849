"""How steep the ground is, as `gdaldem slope` has it."""

import math
from typing import Literal

import numpy as np

from tilepipe.algorithms.neighbourhood import Falls, Floats, Gradient, from_falls, per_unit
from tilepipe.errors import ProcessError, nearest
from tilepipe.geo.raster import Masked

__all__ = ["Unit", "slope"]

Unit = Literal["degrees", "percent"]


def slope(
    elevation: Masked,
    resolution: float,
    *,
    unit: Unit = "degrees",
    scale: float = 1.0,
    gradient: Gradient = "horn",
    computed_edges: bool = False,
) -> Masked:
    """Slope of *elevation*: 0 to 90 degrees, or 100 times rise over run.

    Args:
        elevation: `(row, col)` of any real dtype.
        resolution: side of a pixel in units of the crs.
        unit: of the result.
        scale: units of elevation that a unit of the crs is long: 111120 for metres on degrees, the cosine of the
            latitude for metres on Web Mercator.
        gradient: whether all eight neighbours count (`horn`), or only four (`zevenbergen_thorne`).
        computed_edges: whether there is a result beside missing pixels and at the edge of the array.

    Returns:
        `(row, col)` float32. Missing where any pixel of the 3 x 3 is missing or outside the array; with
        *computed_edges* only where *elevation* is. 0 beneath the mask.

    Raises:
        ProcessError: *elevation* has other than two dimensions, *resolution* or *scale* is not above 0, or there is no
            such unit or gradient.
    """
    if unit not in ("degrees", "percent"):
        raise ProcessError(f"slope has no unit {unit!r}; {nearest(unit, ('degrees', 'percent'))}")
    factor = per_unit(resolution, scale=scale, gradient=gradient)

    def kernel(falls: Falls, out: Floats, spare: Floats) -> None:
        east, north = falls
        np.multiply(east, east, out=out)
        np.multiply(north, north, out=spare)
        out += spare
        np.sqrt(out, out=out)
        if unit == "percent":
            out *= 100 * factor
        else:
            out *= factor
            np.arctan(out, out=out)
            out *= 180 / math.pi

    return from_falls(elevation, kernel, dtype=np.float32, gradient=gradient, computed_edges=computed_edges)
