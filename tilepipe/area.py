"""The area of a recipe or a command line, in the crs of a pyramid."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from tilepipe.errors import RecipeError
from tilepipe.geo.geometry import box, edge
from tilepipe.geo.grid import Bounds
from tilepipe.geo.pyramid import Pyramid
from tilepipe.geo.warp import crs_name, is_geographic, transform_bounds, transform_geometry

__all__ = ["LONLAT", "bounds_area", "outside", "place", "read_area", "spelled"]

LONLAT = "EPSG:4326"
WKT = re.compile(
    r"\s*(MULTI)?(POINT|LINESTRING|POLYGON)\s*(Z|M|ZM)?\s*(\(|EMPTY)|\s*GEOMETRYCOLLECTION\s*(Z|M|ZM)?\s*(\(|EMPTY)",
    re.IGNORECASE,
)
FORMS = "[left, bottom, right, top], WKT, GeoJSON or the path of a vector file"


def read_area(value: object, *, folder: str, where: str) -> tuple[BaseGeometry, str | None]:
    """The geometry that *value* spells, and its crs where it says one.

    Args:
        value: four bounds, WKT, a GeoJSON mapping, or the path of a vector file.
        folder: what a relative path is relative to.
        where: what errors call it.

    Raises:
        RecipeError: it is none of these, is empty, or is not a valid geometry.
    """
    crs = None
    if isinstance(value, Mapping):
        geometry = _from_geojson(value, where)
    elif isinstance(value, str) and WKT.match(value):
        geometry = _from_wkt(value, where)
    elif isinstance(value, str) and value:
        geometry, crs = _from_file(os.path.normpath(os.path.join(folder, os.path.expanduser(value))), where)
    elif isinstance(value, Sequence) and len(value) == 4:
        geometry = bounds_area(value, where=where)
    else:
        raise RecipeError(f"{where}: {value!r} is no area; give {FORMS}")
    if geometry.is_empty:
        raise RecipeError(f"{where}: the area is empty; leave it away to make all there is")
    if not geometry.is_valid:
        raise RecipeError(
            f"{where}: not a valid geometry: {shapely.is_valid_reason(geometry)}; mend it, as with make_valid"
        )
    return geometry, crs


def bounds_area(values: Sequence[Any], *, where: str) -> BaseGeometry:
    """A rectangle; one from 170 to -170 degrees passes the antimeridian.

    Raises:
        RecipeError: not four numbers in the order left, bottom, right, top.
    """
    try:
        left, bottom, right, top = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {list(values)} are not four numbers left, bottom, right, top") from error
    if not all(map(math.isfinite, (left, bottom, right, top))):
        raise RecipeError(f"{where}: {list(values)} are not four finite numbers left, bottom, right, top")
    if bottom >= top:
        raise RecipeError(f"{where}: bottom {bottom:g} is not below top {top:g}; the order is left, bottom, right, top")
    if left < right:
        return box(Bounds(left, bottom, right, top))
    # Less than half of the world is a slip in the order, not the long way round.
    if -180 <= right < left <= 180 and left - right >= 180:
        return shapely.union(box(Bounds(left, bottom, 180, top)), box(Bounds(-180, bottom, right, top)))
    raise RecipeError(f"{where}: left {left:g} is not west of right {right:g}; the order is left, bottom, right, top")


def place(geometry: BaseGeometry, *, crs: str, pyramid: Pyramid, where: str) -> BaseGeometry | None:
    """The part of *geometry* that lies in the pyramid, in the pyramid's crs; None where there is none.

    Raises:
        RecipeError: the crs is not known, or there is no way from it to the pyramid's.
    """
    try:
        name = crs_name(crs)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error
    if is_geographic(name):
        geometry = _on_one_world(geometry)
    if name != pyramid.crs:
        reach = box(transform_bounds(pyramid.bounds, pyramid.crs, name))
        geometry = transform_geometry(shapely.intersection(geometry, reach), name, pyramid.crs)
    part = shapely.intersection(geometry, box(pyramid.bounds))
    if part.is_empty:
        return None
    # A line on the edge of two tiles would fall between them.
    return part if part.area else part.buffer(2 * edge(pyramid))


def spelled(*rectangles: Bounds) -> str:
    """Left, bottom, right and top of each for people."""
    return " and ".join(", ".join(f"{edge:.10g}" for edge in bounds) for bounds in rectangles)


def outside(where: str, *, crs: str, pyramid: Pyramid) -> str:
    """The message about a place outside of the pyramid; often it is in another crs than it was read in."""
    name = crs_name(crs)
    reach = spelled(pyramid.bounds if name == pyramid.crs else transform_bounds(pyramid.bounds, pyramid.crs, name))
    known = name if ":" in name[:12] else "its own crs"
    return (
        f"{where}: read in {known}, it lies outside of the pyramid, which covers {reach} there; is it in another crs?"
    )


def _on_one_world(geometry: BaseGeometry) -> BaseGeometry:
    """What lies beyond 180 degrees, seen from the other side."""
    left, _, right, _ = geometry.bounds
    if left >= -180 and right <= 180:
        return geometry
    world = shapely.box(-180, -90, 180, 90)
    shifted = [
        shapely.transform(geometry, lambda points, by=by: points + np.array([by, 0.0])) for by in (-360.0, 0.0, 360.0)
    ]
    return shapely.union_all([shapely.intersection(copy, world) for copy in shifted])


def _from_wkt(text: str, where: str) -> BaseGeometry:
    try:
        return shapely.from_wkt(text)
    except GEOSException as error:
        reason = str(error).removeprefix("ParseException: ")
        raise RecipeError(f"{where}: not WKT: {reason}; it is written like POLYGON ((0 0, 1 0, 1 1, 0 0))") from error


def _from_geojson(value: Mapping[str, Any], where: str) -> BaseGeometry:
    try:
        if value.get("type") == "FeatureCollection":
            parts = [_from_geojson(feature, where) for feature in value["features"]]
            return shapely.union_all(parts)
        if value.get("type") == "Feature":
            value = value["geometry"]
        return shapely.from_geojson(json.dumps(value))
    except (GEOSException, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{where}: not GeoJSON: {error}") from error


def _from_file(path: str, where: str) -> tuple[BaseGeometry, str | None]:
    if not os.path.exists(path):
        raise RecipeError(f"{where}: there is no file {path}; give {FORMS}")
    # Fiona brings a GDAL of its own; it is loaded only for an area in a file.
    import fiona  # noqa: PLC0415
    from fiona.errors import FionaError  # noqa: PLC0415

    try:
        with fiona.open(path) as source:
            shapes = [shapely.geometry.shape(feature.geometry) for feature in source if feature.geometry]
            crs = source.crs_wkt or None
    except (FionaError, OSError) as error:
        reason = str(error).removesuffix(f": {path}")
        raise RecipeError(f"{where}: {path} cannot be opened as a vector file: {reason}; is it one?") from error
    for number, shape in enumerate(shapes, start=1):
        if not shape.is_valid:
            reason = shapely.is_valid_reason(shape)
            raise RecipeError(f"{where}: {path}: geometry {number} is not valid: {reason}; mend it, as with make_valid")
    if not shapes:
        raise RecipeError(f"{where}: {path} holds no features with a geometry")
    return shapely.union_all(shapes), crs
