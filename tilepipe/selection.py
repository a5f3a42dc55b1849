"""Which part of a recipe's tiles a run makes."""

from collections.abc import Sequence
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from tilepipe.area import LONLAT, bounds_area, place, read_area
from tilepipe.errors import PlanError, RecipeError
from tilepipe.geo.geometry import Area, box
from tilepipe.geo.grid import Bounds
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan, depth_for

__all__ = ["Selection", "make_plan", "select"]

POINT_PX = 1e-3
"""A point is a square of this part of a pixel, so that it belongs to one tile also on an edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is asked for beside the recipe; with nothing given, everything."""

    zooms: tuple[int, ...] | None = None
    area: BaseGeometry | None = None
    """In the pyramid's crs."""

    @property
    def everything(self) -> bool:
        """Whether the recipe alone decides."""
        return self.zooms is None and self.area is None


def select(
    pipeline: Pipeline,
    *,
    zooms: Sequence[int] = (),
    bounds: Sequence[float] | None = None,
    area: str | None = None,
    point: Sequence[float] | None = None,
    tile: Sequence[int] | None = None,
    crs: str = LONLAT,
) -> Selection:
    """The part that is asked for.

    Args:
        pipeline: what there is.
        zooms: some of the recipe's zooms; empty for all.
        bounds: left, bottom, right, top in *crs*.
        area: WKT in *crs*, or the path of a vector file that says its own.
        point: x and y in *crs*: the tiles it lies in.
        tile: zoom, row and column of one tile.
        crs: of bounds, area and point.

    Raises:
        PlanError: a zoom or tile that the recipe does not have, several of bounds, area, point and tile, or a place
            outside of the pyramid.
        RecipeError: bounds, area or crs that cannot be understood.
    """
    given = [name for name, value in (("bounds", bounds), ("area", area), ("point", point), ("tile", tile)) if value]
    if len(given) > 1:
        raise PlanError(f"{' and '.join(f'--{name}' for name in given)} exclude each other; give one")
    pyramid = pipeline.pyramid
    chosen = _zooms(pipeline, zooms)
    if tile:
        return _one_tile(pipeline, Tile(*tile), chosen)
    if bounds:
        return Selection(zooms=chosen, area=_placed(bounds_area(bounds, where="--bounds"), crs, pyramid, "--bounds"))
    if area:
        geometry, own = read_area(area, folder=".", where="--area")
        return Selection(zooms=chosen, area=_placed(geometry, own or crs, pyramid, "--area"))
    if point:
        return Selection(zooms=chosen, area=_around(point, crs, pipeline))
    return Selection(zooms=chosen)


def make_plan(pipeline: Pipeline, selection: Selection, *, slots: int) -> Plan:
    """The tiles of a run, in branches small enough for *slots* workers.

    Raises:
        PlanError: there is nothing to make: the selection lies outside of the recipe's area.
    """
    area = _area(pipeline)
    if selection.area is not None:
        shared = selection.area if area.geometry is None else area.geometry.intersection(selection.area)
        if shared.is_empty:
            raise PlanError("the selection does not touch the area of the recipe; there is nothing to make")
        area = Area(shared)
    zooms = selection.zooms or pipeline.zooms
    plan = Plan(pyramid=pipeline.pyramid, area=area, zooms=zooms, reduced=pipeline.reduced & frozenset(zooms), depth=0)
    leaves = plan.count()[zooms[-1]]
    return Plan(pyramid=plan.pyramid, area=area, zooms=zooms, reduced=plan.reduced, depth=depth_for(leaves, slots))


def _area(pipeline: Pipeline) -> Area:
    """The recipe's area, or all that the inputs cover."""
    recipe, pyramid = pipeline.recipe, pipeline.pyramid
    if recipe.area is None:
        reach = pipeline.extent
        covered = box(reach).intersection(box(pyramid.bounds))
        if covered.is_empty or not covered.area:
            raise PlanError(
                f"the inputs lie in {reach}, outside of the pyramid's {pyramid.bounds}; choose another grid"
            )
        return Area(None if covered.equals(box(pyramid.bounds)) else covered)
    geometry, own = read_area(pipeline.area, folder=recipe.folder, where=f"{recipe.name}: area")
    placed = place(geometry, crs=recipe.area.crs or own or LONLAT, pyramid=pyramid, where=f"{recipe.name}: area")
    if placed is None:
        raise RecipeError(f"{recipe.name}: area: it lies outside of the pyramid, which covers {pyramid.bounds}")
    return Area(placed)


def _zooms(pipeline: Pipeline, zooms: Sequence[int]) -> tuple[int, ...] | None:
    if not zooms:
        return None
    unknown = sorted(set(zooms) - set(pipeline.zooms))
    if unknown:
        raise PlanError(
            f"--zoom {', '.join(map(str, unknown))}: the recipe has zooms {pipeline.zooms[0]} to {pipeline.zooms[-1]}"
        )
    return tuple(sorted(set(zooms)))


def _one_tile(pipeline: Pipeline, tile: Tile, zooms: tuple[int, ...] | None) -> Selection:
    pyramid = pipeline.pyramid
    _zooms(pipeline, [tile.zoom])
    if not pyramid.contains(tile):
        rows, cols = pyramid.matrix_shape(tile.zoom)
        raise PlanError(f"--tile {tile}: zoom {tile.zoom} has rows 0 to {rows - 1} and columns 0 to {cols - 1}")
    return Selection(zooms=zooms or (tile.zoom,), area=box(pyramid.grid(tile).bounds))


def _around(point: Sequence[float], crs: str, pipeline: Pipeline) -> BaseGeometry:
    spot = Bounds(point[0], point[1], point[0], point[1])
    centre = _placed(box(spot).centroid, crs, pipeline.pyramid, "--point")
    return centre.buffer(POINT_PX * pipeline.pyramid.resolution_at(pipeline.zooms[-1]), cap_style="square")


def _placed(geometry: BaseGeometry, crs: str, pyramid: Pyramid, where: str) -> BaseGeometry:
    placed = place(geometry, crs=crs, pyramid=pyramid, where=where)
    if placed is None:
        raise PlanError(f"{where} lies outside of the pyramid, which covers {pyramid.bounds} in {pyramid.crs}")
    return placed
