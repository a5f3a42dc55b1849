"""Which tiles an area touches."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tilepipe.geo.grid import Bounds
from tilepipe.geo.pyramid import Pyramid

__all__ = ["Area", "box", "boxes", "edge"]

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

EDGE = 1e-12
"""Tiles that meet an area along an edge only do not count: tiles are made smaller by this part of the largest
coordinate of their pyramid, at every zoom by the same length, so that what touches a tile touches those above it."""


@dataclass(frozen=True, eq=False, slots=True)
class Area:
    """The part of a pyramid that is asked for; None is all of it."""

    geometry: BaseGeometry | None
    """Polygons, lines or points in the pyramid's crs."""

    def __post_init__(self) -> None:
        if self.geometry is not None:
            shapely.prepare(self.geometry)

    def touched(self, pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices, margin_px: float = 0) -> Flags:
        """Whether each tile, *margin_px* pixels larger on each side, shares more than an edge with the area."""
        if self.geometry is None:
            return np.ones(rows.shape, dtype=bool)
        flags: Flags = shapely.intersects(self.geometry, _boxes(pyramid, zoom, rows, cols, margin_px))
        return flags

    def inside(self, pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices) -> Flags:
        """Whether each tile lies wholly in the area."""
        if self.geometry is None:
            return np.ones(rows.shape, dtype=bool)
        flags: Flags = shapely.covers(self.geometry, _boxes(pyramid, zoom, rows, cols, 0))
        return flags


def edge(pyramid: Pyramid) -> float:
    """The length, in units of the crs, by which two places must differ to be two."""
    return EDGE * max(map(abs, pyramid.bounds))


def _boxes(pyramid: Pyramid, zoom: int, rows: Indices, cols: Indices, margin_px: float) -> NDArray[np.object_]:
    resolution = pyramid.resolution_at(zoom)
    margin = margin_px * resolution - edge(pyramid)
    side = pyramid.tile_size * pyramid.metatile * resolution
    left, top = pyramid.left + cols * side, pyramid.top - rows * side
    boxes: NDArray[np.object_] = shapely.box(left - margin, top - side - margin, left + side + margin, top + margin)
    return boxes


def box(bounds: Bounds) -> BaseGeometry:
    """A rectangle as a polygon."""
    return shapely.box(*bounds)


def boxes(rectangles: Iterable[Bounds]) -> BaseGeometry:
    """Rectangles as one geometry."""
    return shapely.union_all([box(bounds) for bounds in rectangles])
