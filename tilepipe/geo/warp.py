"""How places move between reference systems: names, units, rectangles, geometries."""

import math
from functools import lru_cache, reduce
from threading import get_ident

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import warp
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from tilepipe.geo.grid import Bounds, merged

__all__ = [
    "crs_name",
    "crs_wkt",
    "is_geographic",
    "metres_per_unit",
    "same_crs",
    "transform_bounds",
    "transform_extents",
    "transform_geometry",
    "transform_points",
    "units_per_metre",
]

LONLAT = "EPSG:4326"
METRES_PER_RADIAN = 6378137.0
"""On the equator of WGS 84, as OGC's tile matrix sets have it."""
ON_THE_LINE = 1e-9
"""Degrees; a tenth of a millimetre."""
EDGE_POINTS = 257
INNER_POINTS = 33
LIMB_POINTS = 65
LIMB_SHARE = 0.2
"""Seen from a satellite, the outermost of so many samples is a fifth of all degrees away from the limb."""
SEGMENTS = 1000
"""An edge as long as the whole geometry is cut into so many before it is moved."""

Places = NDArray[np.float64]


def crs_name(value: object) -> str:
    """The name of a reference system: `EPSG:3857` or another authority's code where it has one, else WKT.

    Args:
        value: whatever rasterio takes: a code, a number, WKT, a PROJ string, PROJJSON.

    Raises:
        ValueError: it is no reference system.
    """
    return _name(value) if isinstance(value, str | int) else _canonical(_parse(value), value)


@lru_cache(maxsize=256)
def _name(value: str | int) -> str:
    return _canonical(_parse(value), value)


def _parse(value: object) -> CRS:
    try:
        return CRS.from_user_input(value)
    except (CRSError, CPLE_BaseError, ValueError) as error:
        raise ValueError(
            f"{value!r} is no coordinate reference system; give a code such as EPSG:3857, or WKT"
        ) from error


def _canonical(crs: CRS, value: object) -> str:
    if not crs:
        raise ValueError(f"{value!r} is an empty coordinate reference system")
    authority = crs.to_authority()
    if authority:
        name = ":".join(authority)
        try:
            if CRS.from_user_input(name) == crs:
                return name
        except CRSError:
            pass
    return str(crs.to_wkt())


def _crs(name: str) -> CRS:
    """The parsed reference system, one for each thread: PROJ's objects are not made to be shared."""
    return _crs_of_thread(name, get_ident())


@lru_cache(maxsize=1024)
def _crs_of_thread(name: str, _thread: int) -> CRS:
    return _parse(name)


def crs_wkt(crs: str) -> str:
    """The reference system as WKT."""
    return str(_crs(crs).to_wkt())


@lru_cache(maxsize=1024)
def same_crs(one: str, other: str) -> bool:
    """Whether two names mean one reference system, whatever they call it and in which order they name its axes."""
    if one == other:
        return True
    first, second = _crs(one), _crs(other)
    if first == second:
        return True
    text = str(first.to_proj4())
    # Only with the datum in it does PROJ's short form say all there is to say.
    return text == second.to_proj4() and ("+datum=" in text or "+nadgrids=@null" in text)


@lru_cache(maxsize=256)
def is_geographic(crs: str) -> bool:
    """Whether the units are degrees of longitude and latitude."""
    return bool(_crs(crs).is_geographic)


@lru_cache(maxsize=256)
def metres_per_unit(crs: str) -> float:
    """Metres on the ground of one unit; of a degree, on the equator."""
    found = _crs(crs)
    if not found.is_geographic:
        return float(found.linear_units_factor[1])
    return float(found.units_factor[1]) * METRES_PER_RADIAN


def units_per_metre(crs: str) -> float:
    """Units that make one metre on the ground."""
    return 1.0 / metres_per_unit(crs)


def transform_points(xs: Places, ys: Places, *, src_crs: str, dst_crs: str) -> tuple[Places, Places]:
    """Points in another reference system, infinite where they have no place there.

    Args:
        xs: x of each point, `(n,)`.
        ys: y of each point, `(n,)`.
        src_crs: where they are given.
        dst_crs: where they are wanted.

    Raises:
        ValueError: nothing leads from one reference system to the other.
    """
    new_xs, new_ys = np.full(xs.shape, np.inf), np.full(ys.shape, np.inf)
    waiting = [slice(0, len(xs))]
    while waiting:
        part = waiting.pop()
        try:
            found = warp.transform(_crs(src_crs), _crs(dst_crs), xs[part], ys[part])
        except CPLE_NotSupportedError as error:
            raise ValueError(f"there is no transformation from {_brief(src_crs)} to {_brief(dst_crs)}") from error
        except CPLE_BaseError:
            # One point without a place spoils the whole call, so the halves are tried apart.
            middle = (part.start + part.stop) // 2
            if part.stop - part.start > 1:
                waiting += [slice(part.start, middle), slice(middle, part.stop)]
        else:
            new_xs[part], new_ys[part] = found
    lost = ~(np.isfinite(new_xs) & np.isfinite(new_ys))
    new_xs[lost] = new_ys[lost] = np.inf
    return new_xs, new_ys


def _brief(crs: str) -> str:
    """A name to show: WKT is cut to its beginning."""
    return crs if len(crs) < 60 else f"{crs[:57]}..."


@lru_cache(maxsize=1024)
def transform_bounds(bounds: Bounds, src_crs: str, dst_crs: str) -> Bounds:
    """A rectangle in *dst_crs* that holds all of *bounds*, the bulge of its edges and poles inside it too.

    What passes the antimeridian reaches around the whole world: a rectangle has no other way to say it.

    Raises:
        ValueError: nothing leads from one reference system to the other, or no part of *bounds* has a place there.
    """
    if same_crs(src_crs, dst_crs):
        return bounds
    lonlat = _lonlat(src_crs, dst_crs)
    if lonlat == dst_crs:
        return _around(bounds, src_crs, dst_crs)
    found = _sampled(bounds, src_crs, dst_crs)
    try:
        around = _around(bounds, src_crs, lonlat)
    except ValueError:
        # On another planet.
        return found
    if around != bounds and _is_cut(around):
        # The line along which *dst_crs* is cut, or a pole, lies inside, where no sample of the rectangle may hit it.
        found = found.union(_sampled(around, lonlat, dst_crs))
    return found


@lru_cache(maxsize=1024)
def transform_extents(bounds: Bounds, src_crs: str, dst_crs: str) -> tuple[Bounds, ...]:
    """Rectangles in *dst_crs* that together hold all of *bounds*: two where the antimeridian parts it, else one.

    Raises:
        ValueError: nothing leads from one reference system to the other, or no part of *bounds* has a place there.
    """
    whole = transform_bounds(bounds, src_crs, dst_crs)
    if same_crs(src_crs, dst_crs):
        return (whole,)
    lonlat = _lonlat(src_crs, dst_crs)
    try:
        sides = _sides(bounds, src_crs, lonlat)
    except ValueError:
        # On another planet.
        return (whole,)
    # From a point on the line itself a sample may go to either side.
    off_the_line = sides[0].left > -180 + ON_THE_LINE and sides[0].right < 180 - ON_THE_LINE
    if len(sides) == 1 and (_is_cut(sides[0]) or off_the_line):
        return (whole,)
    return merged(transform_bounds(side, lonlat, dst_crs) for side in sides)


def _lonlat(src_crs: str, dst_crs: str) -> str:
    """The longitude and latitude in which the way between the two is looked at."""
    return dst_crs if is_geographic(dst_crs) else src_crs if is_geographic(src_crs) else LONLAT


def _is_cut(lonlat: Bounds) -> bool:
    return lonlat.right - lonlat.left >= 360 or max(abs(lonlat.bottom), abs(lonlat.top)) >= 90


def _around(bounds: Bounds, src_crs: str, lonlat: str) -> Bounds:
    """The rectangle in longitude and latitude."""
    return reduce(Bounds.union, _sides(bounds, src_crs, lonlat))


def _sides(bounds: Bounds, src_crs: str, lonlat: str) -> tuple[Bounds, ...]:
    """The rectangle in longitude and latitude, in two parts where the antimeridian runs through it."""
    if src_crs == lonlat:
        return _parted(bounds)
    # GDAL leaves out what lies beyond the earth, and with it what is seen right up to the limb.
    if _moved(*_edges(bounds), src_crs=src_crs, dst_crs=lonlat) is None:
        return (_visible(bounds, src_crs, lonlat),)
    left, bottom, right, top = warp.transform_bounds(_crs(src_crs), _crs(lonlat), *bounds, densify_pts=EDGE_POINTS)
    return _parted(Bounds(left, bottom, right if left <= right else right + 360, top))


def _parted(lonlat: Bounds) -> tuple[Bounds, ...]:
    """The rectangle on the one world from -180 to 180 degrees."""
    left, bottom, right, top = lonlat
    if left >= -180 and right <= 180:
        return (lonlat,)
    if right - left >= 360:
        return (Bounds(-180.0, bottom, 180.0, top),)
    turn = 360.0 * math.floor((left + 180) / 360)
    left, right = left - turn, right - turn
    if right <= 180:
        return (Bounds(left, bottom, right, top),)
    return Bounds(left, bottom, 180.0, top), Bounds(-180.0, bottom, right - 360, top)


def _sampled(bounds: Bounds, src_crs: str, dst_crs: str) -> Bounds:
    inner, edges = _net(bounds, INNER_POINTS), _edges(bounds)
    xs, ys = (np.concatenate(both) for both in zip(inner, edges, strict=True))
    moved = _moved(xs, ys, src_crs=src_crs, dst_crs=dst_crs)
    return _visible(bounds, src_crs, dst_crs) if moved is None else _hull(*moved)


def _moved(xs: Places, ys: Places, *, src_crs: str, dst_crs: str) -> tuple[Places, Places] | None:
    """The points in another reference system; None where one of them has no place there."""
    try:
        new_xs, new_ys = map(np.asarray, warp.transform(_crs(src_crs), _crs(dst_crs), xs, ys))
    except CPLE_BaseError:
        return None
    return (new_xs, new_ys) if np.isfinite(new_xs).all() and np.isfinite(new_ys).all() else None


def _visible(bounds: Bounds, src_crs: str, dst_crs: str) -> Bounds:
    """Around the part of *bounds* that has a place, with room for the limb, which no sample meets."""
    xs, ys = transform_points(*_net(bounds, LIMB_POINTS), src_crs=src_crs, dst_crs=dst_crs)
    known = np.isfinite(xs)
    if not known.any():
        raise ValueError(f"{tuple(bounds)} in {_brief(src_crs)} has no place in {_brief(dst_crs)}")
    found = _hull(xs[known], ys[known])
    wide, high = LIMB_SHARE * (found.right - found.left), LIMB_SHARE * (found.top - found.bottom)
    found = Bounds(found.left - wide, found.bottom - high, found.right + wide, found.top + high)
    if is_geographic(dst_crs):
        return Bounds(max(found.left, -180), max(found.bottom, -90), min(found.right, 180), min(found.top, 90))
    return found


def _net(bounds: Bounds, count: int) -> tuple[Places, Places]:
    xs, ys = np.meshgrid(
        np.linspace(bounds.left, bounds.right, count),
        np.linspace(bounds.bottom, bounds.top, count),
    )
    return xs.ravel(), ys.ravel()


def _edges(bounds: Bounds) -> tuple[Places, Places]:
    along_x = np.linspace(bounds.left, bounds.right, EDGE_POINTS)
    along_y = np.linspace(bounds.bottom, bounds.top, EDGE_POINTS)
    one = np.ones(EDGE_POINTS)
    return (
        np.concatenate([along_x, along_x, one * bounds.left, one * bounds.right]),
        np.concatenate([one * bounds.bottom, one * bounds.top, along_y, along_y]),
    )


def _hull(xs: Places, ys: Places) -> Bounds:
    return Bounds(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))


def transform_geometry(geometry: shapely.Geometry, src_crs: str, dst_crs: str) -> shapely.Geometry:
    """The geometry in another reference system, with long edges cut into short ones so that they may bend.

    Raises:
        ValueError: nothing leads from one reference system to the other, or part of the geometry has no place there.
    """
    if same_crs(src_crs, dst_crs) or geometry.is_empty:
        return geometry
    left, bottom, right, top = geometry.bounds
    longest = max(right - left, top - bottom)
    if longest > 0:
        geometry = shapely.segmentize(geometry, longest / SEGMENTS)

    def move(points: Places) -> Places:
        xs, ys = transform_points(points[:, 0], points[:, 1], src_crs=src_crs, dst_crs=dst_crs)
        if not np.isfinite(xs).all():
            x, y = points[np.flatnonzero(~np.isfinite(xs))[0]]
            raise ValueError(f"the point {x:g}, {y:g} in {_brief(src_crs)} has no place in {_brief(dst_crs)}")
        return np.column_stack([xs, ys])

    return shapely.transform(geometry, move)
