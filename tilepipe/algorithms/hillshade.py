"""How light the ground is under a sun: shaded relief, as `gdaldem hillshade` has it.

Slope and aspect are never computed. With *d* the fall of the ground toward the sun and *g* its greatest fall, both as
rise over run, the cosine of the angle between sun and ground is (sin(altitude) + d cos(altitude)) / sqrt(1 + g^2): one
root and one division a pixel.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from tilepipe.algorithms.neighbourhood import Falls, Floats, Gradient, Kernel, from_falls, per_unit
from tilepipe.errors import ProcessError, nearest
from tilepipe.geo.raster import Masked

__all__ = ["Variant", "hillshade"]

Variant = Literal["regular", "combined", "multidirectional", "igor"]
"""regular: one sun. combined: steep ground darker still. multidirectional: four suns from the south-west to the north,
each lighting most what it grazes. igor: only what lies in shadow is darkened, flat ground is white."""


class Sun(NamedTuple):
    """Where the light comes from, and how slopes are measured."""

    east: float
    """Of the horizontal direction to the sun, of length 1."""
    north: float
    up: float
    """Sine of the altitude."""
    level: float
    """Cosine of the altitude."""
    slope: float
    """Rise over run of a summed difference of 1."""


def hillshade(
    elevation: Masked,
    resolution: float,
    *,
    azimuth: float = 315.0,
    altitude: float = 45.0,
    z_factor: float = 1.0,
    scale: float = 1.0,
    gradient: Gradient = "horn",
    variant: Variant = "regular",
    computed_edges: bool = False,
) -> Masked:
    """Shaded relief of *elevation*, 1 in full shadow to 255 in full light.

    Args:
        elevation: `(row, col)` of any real dtype.
        resolution: side of a pixel in units of the crs.
        azimuth: degrees clockwise from north to the sun; multidirectional has its own.
        altitude: degrees of the sun above the horizon; igor has none.
        z_factor: how many times too high the ground is drawn.
        scale: units of elevation that a unit of the crs is long: 111120 for metres on degrees, the cosine of the
            latitude for metres on Web Mercator.
        gradient: whether all eight neighbours count (`horn`), or only four (`zevenbergen_thorne`).
        variant: how slopes become light.
        computed_edges: whether there is a result beside missing pixels and at the edge of the array.

    Returns:
        `(row, col)` uint8. Missing where any pixel of the 3 x 3 is missing or outside the array; with *computed_edges*
        only where *elevation* is. 0 beneath the mask.

    Raises:
        ProcessError: *elevation* has other than two dimensions, *resolution* or *scale* is not above 0, or there is no
            such gradient or variant.
    """
    if variant not in VARIANTS:
        raise ProcessError(f"there is no hillshade variant {variant!r}; {nearest(variant, VARIANTS)}")
    turn, tilt = math.radians(azimuth), math.radians(altitude)
    sun = Sun(
        east=math.sin(turn),
        north=math.cos(turn),
        up=math.sin(tilt),
        level=math.cos(tilt),
        slope=z_factor * per_unit(resolution, scale=scale, gradient=gradient),
    )
    return from_falls(
        elevation, VARIANTS[variant](sun), dtype=np.uint8, gradient=gradient, computed_edges=computed_edges
    )


def _regular(sun: Sun) -> Kernel:
    to_east, to_north = (254 * sun.level * sun.slope * part for part in (sun.east, sun.north))

    def kernel(falls: Falls, out: Floats, spare: Floats) -> None:
        east, north = falls
        np.multiply(east, to_east, out=out)
        np.multiply(north, to_north, out=spare)
        out += spare
        out += 254 * sun.up
        out /= _secant(falls, sun.slope)
        _round(out)

    return kernel


def _combined(sun: Sun) -> Kernel:
    to_east, to_north = (sun.level * sun.slope * part for part in (sun.east, sun.north))

    def kernel(falls: Falls, out: Floats, spare: Floats) -> None:
        east, north = falls
        np.multiply(east, to_east, out=out)
        np.multiply(north, to_north, out=spare)
        out += spare
        out += sun.up
        _steepness(falls, sun.slope, out=spare)
        out /= _secant(falls, sun.slope)
        np.clip(out, -1.0, 1.0, out=out)
        np.arccos(out, out=out)
        out *= spare
        out *= -254 * (2 / math.pi) ** 2
        out += 254
        _round(out)

    return kernel


def _multidirectional(sun: Sun) -> Kernel:
    suns = [(math.sin(math.radians(turn)), math.cos(math.radians(turn))) for turn in (225, 270, 315, 360)]

    def kernel(falls: Falls, out: Floats, spare: Floats) -> None:
        east, north = falls
        weight = np.empty_like(out)
        out[:] = 0
        for to_east, to_north in suns:
            np.multiply(east, to_east, out=spare)
            spare += north * np.float32(to_north)
            np.multiply(spare, spare, out=weight)
            spare *= 127 * sun.level * sun.slope
            spare += 127 * sun.up
            np.maximum(spare, 0.0, out=spare)
            weight *= spare
            out += weight
        np.multiply(east, east, out=weight)
        np.multiply(north, north, out=spare)
        weight += spare
        out /= weight
        np.copyto(out, 254 * sun.up, where=weight == 0)
        out /= _secant(falls, sun.slope)
        _round(out)

    return kernel


def _igor(sun: Sun) -> Kernel:
    def kernel(falls: Falls, out: Floats, spare: Floats) -> None:
        east, north = falls
        toward = east * np.float32(sun.east)
        toward += north * np.float32(sun.north)
        across = east * np.float32(sun.north)
        across -= north * np.float32(sun.east)
        np.arctan2(across, toward, out=out)
        np.abs(out, out=out)
        _steepness(falls, sun.slope, out=spare)
        out *= spare
        out *= -255 * 2 / math.pi**2
        out += 254
        _round(out)

    return kernel


VARIANTS: dict[str, Callable[[Sun], Kernel]] = {
    "regular": _regular,
    "combined": _combined,
    "multidirectional": _multidirectional,
    "igor": _igor,
}


def _secant(falls: Falls, slope: float) -> Floats:
    """One over the cosine of the ground's tilt; the falls are used up."""
    east, north = falls
    east *= east
    north *= north
    east += north
    east *= slope * slope
    east += 1.0
    return np.sqrt(east, out=east)


def _steepness(falls: Falls, slope: float, *, out: Floats) -> None:
    """The ground's tilt in radians, into *out*."""
    np.hypot(*falls, out=out)
    out *= slope
    np.arctan(out, out=out)


def _round(out: Floats) -> None:
    """Brightness of 0 to 254 to what, with its fraction cut off, is 1 to 255."""
    np.maximum(out, 0.0, out=out)
    out += 1.5
