"""Which levels of a tile set readers are told of, which rectangle they span, and where on the globe that lies."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.pyramid import Pyramid, Tile

__all__ = ["Footprint", "Level", "Limits", "footprint", "levels", "raster_grid"]

LARGEST = 2**31 - 1
"""Rows or columns of the largest raster that GDAL opens."""
EDGE_PARTS = 64
"""Pieces in which an edge is cut before it is bent into longitude and latitude."""
DECIMALS = 9
"""Of longitude and latitude: a tenth of a millimetre."""
EPSILON = 1e-9

Point = tuple[float, float]
Transform = Callable[[Sequence[float], Sequence[float]], tuple[Sequence[float], Sequence[float]]]
"""x and y in some crs to longitude and latitude; not finite where there is no such place."""


class Limits(NamedTuple):
    """The first and last row and column of the tiles of one zoom that hold data."""

    min_row: int
    max_row: int
    min_col: int
    max_col: int

    def parent(self, zooms: int) -> "Limits":
        """The tiles *zooms* above that cover these."""
        return Limits(*(index >> zooms for index in self))

    def children(self, zooms: int, *, rows: int, cols: int) -> "Limits":
        """The tiles *zooms* below that these cover, in a matrix of *rows* and *cols*."""
        return Limits(
            self.min_row << zooms,
            min(((self.max_row + 1) << zooms) - 1, rows - 1),
            self.min_col << zooms,
            min(((self.max_col + 1) << zooms) - 1, cols - 1),
        )

    def covers(self, other: "Limits") -> bool:
        """Whether all tiles of *other* are among these."""
        return self.union(other) == self

    def union(self, other: "Limits") -> "Limits":
        """The smallest rectangle of tiles around both."""
        return Limits(
            min(self.min_row, other.min_row),
            max(self.max_row, other.max_row),
            min(self.min_col, other.min_col),
            max(self.max_col, other.max_col),
        )


class Level(NamedTuple):
    """The tiles of one zoom that a reader is told of."""

    zoom: int
    limits: Limits


class Footprint(NamedTuple):
    """Where a raster lies on the globe."""

    geometry: dict[str, object]
    """GeoJSON as RFC 7946 has it: longitude and latitude, counterclockwise, cut at the antimeridian."""
    bbox: tuple[float, float, float, float]
    """West, south, east, north in degrees; west is larger than east across the antimeridian."""


def levels(pyramid: Pyramid, limits: Mapping[int, Limits]) -> tuple[Level, ...]:
    """The levels to list, coarse to fine; none where no tile holds data, or no zoom is small enough for GDAL.

    The rectangle of the last one is the raster: the finest zoom's tiles, wider where a coarser zoom holds data
    outside of them. The coarser levels cover that rectangle. Levels at which it is less than a pixel high or wide
    are left out.
    """
    for finest in sorted(limits, reverse=True):
        reach = _reach(pyramid, limits, finest)
        grid = raster_grid(pyramid, Level(finest, reach))
        if max(grid.shape) <= LARGEST:
            deepest = min(grid.shape).bit_length() - 1
            zooms = (zoom for zoom in sorted(limits) if finest - deepest <= zoom <= finest)
            return tuple(Level(zoom, reach.parent(finest - zoom)) for zoom in zooms)
    return ()


def _reach(pyramid: Pyramid, limits: Mapping[int, Limits], finest: int) -> Limits:
    reach = limits[finest]
    rows, cols = pyramid.matrix_shape(finest)
    for zoom in sorted((zoom for zoom in limits if zoom < finest), reverse=True):
        up = finest - zoom
        if not reach.parent(up).covers(limits[zoom]):
            reach = reach.union(limits[zoom].children(up, rows=rows, cols=cols))
    return reach


def raster_grid(pyramid: Pyramid, level: Level) -> Grid:
    """The pixels of all tiles of *level* together."""
    first = pyramid.grid(Tile(level.zoom, level.limits.min_row, level.limits.min_col))
    return replace(
        first,
        height=first.height * (level.limits.max_row - level.limits.min_row + 1),
        width=first.width * (level.limits.max_col - level.limits.min_col + 1),
    )


def footprint(bounds: Bounds, to_lonlat: Transform) -> Footprint | None:
    """The rectangle *bounds* on the globe, its edges bent; None where it lies nowhere on it."""
    points = list(zip(*to_lonlat(*zip(*_outline(bounds), strict=True)), strict=True))
    if not all(math.isfinite(lon) and math.isfinite(lat) for lon, lat in points):
        return _sampled(bounds, to_lonlat)
    ring = _unwrapped(points)
    turns = round((ring[-1][0] - ring[0][0]) / 360)
    ring = _around_pole(ring) if turns else ring[:-1]
    west, east = (-180.0, 180.0) if turns else (min(lon for lon, _ in ring), max(lon for lon, _ in ring))
    south, north = min(lat for _, lat in ring), max(lat for _, lat in ring)
    if east - west > 360 + EPSILON:
        return _rectangle(Bounds(-180.0, south, 180.0, north))
    worlds = range(math.floor((west + 180 + EPSILON) / 360), math.ceil((east - 180 - EPSILON) / 360) + 1)
    parts = [_rounded(_clipped(ring, 360 * world - 180, 360 * world + 180), 360 * world) for world in worlds]
    bbox = (west - 360 * worlds[0], south, east - 360 * worlds[-1], north)
    return Footprint(_polygons([part for part in parts if len(part) > 3]), _rounded_bbox(bbox))


def _outline(bounds: Bounds) -> list[Point]:
    """Points along the edges, counterclockwise from the lower left corner and back to it."""
    corners = [
        (bounds.left, bounds.bottom),
        (bounds.right, bounds.bottom),
        (bounds.right, bounds.top),
        (bounds.left, bounds.top),
    ]
    steps = [step / EDGE_PARTS for step in range(EDGE_PARTS)]
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    # Both ends weighted, not one end and a difference: corners and straight edges come out as they went in.
    points = [(a[0] * (1 - t) + b[0] * t, a[1] * (1 - t) + b[1] * t) for a, b in sides for t in steps]
    return [*points, corners[0]]


def _unwrapped(points: Sequence[Point]) -> list[Point]:
    """The closed ring *points* with longitudes that run on beyond 180 instead of jumping.

    Where an edge runs through a pole, it goes there along one meridian and leaves along another; between the two it
    follows the pole's line with the inside of the ring on its left, that is west in the north and east in the south.
    """
    open_ring = list(points[:-1])
    around = zip(open_ring[-1:] + open_ring[:-1], open_ring, open_ring[1:] + open_ring[:1], strict=True)
    through = [_is_pole(b) and not _is_pole(a) and not _is_pole(c) for a, b, c in around]
    start = through.index(False)
    ring = [open_ring[start]]
    for index in range(start + 1, start + len(open_ring) + 1):
        lon, lat = open_ring[index % len(open_ring)]
        if through[index % len(open_ring)]:
            continue
        step = math.remainder(lon - ring[-1][0], 360)
        if through[(index - 1) % len(open_ring)] or abs(step) > 180 - 1e-6:
            pole = math.copysign(90, lat)
            step = -(-step % 360) if pole > 0 else step % 360
            ring += [(ring[-1][0], pole), (ring[-1][0] + step, pole)]
            step = 0.0
        ring.append((ring[-1][0] + step, lat))
    return ring


def _is_pole(point: Point) -> bool:
    return abs(point[1]) > 90 - EPSILON


def _around_pole(ring: Sequence[Point]) -> list[Point]:
    """A polygon, wider than the world, between the closed *ring* and the pole on its left."""
    turn = ring[-1][0] - ring[0][0]
    line = [(lon + turn * times, lat) for times in (-1, 0, 1) for lon, lat in ring[:-1]]
    pole = math.copysign(90, turn)
    return [*line, (line[-1][0], pole), (line[0][0], pole)]


def _clipped(ring: Iterable[Point], west: float, east: float) -> list[Point]:
    """The part of a polygon between two meridians."""
    inside = list(ring)
    for edge, sign in ((west, 1), (east, -1)):
        kept: list[Point] = []
        for a, b in zip(inside, inside[1:] + inside[:1], strict=True):
            ahead, behind = sign * (a[0] - edge), sign * (b[0] - edge)
            if ahead >= 0:
                kept.append(a)
            if ahead * behind < 0:
                kept.append((edge, a[1] + (b[1] - a[1]) * ahead / (ahead - behind)))
        inside = kept
    return inside


def _rounded(ring: Sequence[Point], shift: float) -> list[Point]:
    """A closed GeoJSON ring, moved west by *shift*, without the points that lie on a line between others."""
    points = [(round(lon - shift, DECIMALS), round(lat, DECIMALS)) for lon, lat in ring]
    befores, afters = points[-1:] + points[:-1], points[1:] + points[:1]
    corners = [not _is_between(*three) for three in zip(befores, points, afters, strict=True)]
    first = corners.index(True) if True in corners else 0
    turned = points[first:] + points[:first]
    kept: list[Point] = []
    for point, after in zip(turned, turned[1:] + turned[:1], strict=True):
        if not kept or not _is_between(kept[-1], point, after):
            kept.append(point)
    return [*kept, *kept[:1]]


def _is_between(a: Point, b: Point, c: Point) -> bool:
    """Whether *b* is *a*, or lies on the way from *a* to *c*."""
    length = math.dist(a, c)
    off = abs((c[0] - a[0]) * (b[1] - a[1]) - (c[1] - a[1]) * (b[0] - a[0]))
    ahead = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return a == b or (off <= 2 * EPSILON * length and ahead >= 0)


def _polygons(rings: Sequence[Sequence[Point]]) -> dict[str, object]:
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": [[list(point) for point in rings[0]]]}
    return {"type": "MultiPolygon", "coordinates": [[[list(point) for point in ring]] for ring in rings]}


def _rounded_bbox(bbox: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = (round(degrees, DECIMALS) for degrees in bbox)
    return west, south, east, north


def _sampled(bounds: Bounds, to_lonlat: Transform) -> Footprint | None:
    """A rectangle around those places of *bounds* that are on the globe."""
    steps = [step / EDGE_PARTS for step in range(EDGE_PARTS + 1)]
    xs = [bounds.left * (1 - t) + bounds.right * t for _ in steps for t in steps]
    ys = [bounds.bottom * (1 - t) + bounds.top * t for t in steps for _ in steps]
    found = [place for place in zip(*to_lonlat(xs, ys), strict=True) if all(map(math.isfinite, place))]
    if not found:
        return None
    lons, lats = zip(*found, strict=True)
    return _rectangle(Bounds(min(lons), min(lats), max(lons), max(lats)))


def _rectangle(degrees: Bounds) -> Footprint:
    west, south, east, north = degrees
    ring = [(west, south), (east, south), (east, north), (west, north)]
    return Footprint(_polygons([_rounded(ring, 0)]), _rounded_bbox(degrees))
