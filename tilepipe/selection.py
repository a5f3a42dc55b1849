"""Which part of a recipe's tiles a run makes."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shapely.geometry.base import BaseGeometry

from tilepipe.area import LONLAT, bounds_area, outside, place, read_area, spelled
from tilepipe.errors import PlanError, RecipeError
from tilepipe.geo.geometry import Area, box, boxes, edge
from tilepipe.geo.grid import Bounds, merged
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.part import share_of
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Plan, Share, depth_for

__all__ = ["Selection", "cut_for", "make_plan", "select"]


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
    options = {"bounds": bounds, "area": area, "point": point, "tile": tile}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise PlanError(f"{' and '.join(f'--{name}' for name in given)} exclude each other; give one")
    pyramid = pipeline.pyramid
    chosen = _zooms(pipeline, zooms)
    if tile is not None:
        return _one_tile(pipeline, Tile(*tile), chosen)
    if bounds is not None:
        return Selection(zooms=chosen, area=_placed(bounds_area(bounds, where="--bounds"), crs, pyramid, "--bounds"))
    if area is not None:
        geometry, own = read_area(area, folder=".", where="--area")
        return Selection(zooms=chosen, area=_placed(geometry, own or crs, pyramid, "--area"))
    if point is not None:
        return Selection(zooms=chosen, area=_around(point, crs, pipeline))
    return Selection(zooms=chosen)


def make_plan(pipeline: Pipeline, selection: Selection, *, slots: int, part: Share | None = None) -> Plan:
    """The tiles of a run, or of one *part* of it, in branches small enough for *slots* workers.

    Raises:
        PlanError: there is nothing to make: the selection lies outside of the recipe's area, or a part is left with
            overviews only.
    """
    area = _area(pipeline)
    if selection.area is not None:
        shared = selection.area if area.geometry is None else area.geometry.intersection(selection.area)
        if shared.is_empty:
            raise PlanError(
                f"the selection does not touch the {_told(pipeline, area)} of {pipeline.pyramid.crs}; select another "
                "part"
            )
        area = Area(shared)
    zooms = selection.zooms or pipeline.zooms
    plan = Plan(pyramid=pipeline.pyramid, area=area, zooms=zooms, reduced=pipeline.reduced & frozenset(zooms))
    return cut_for(plan, slots) if part is None else share_of(plan, part)


def cut_for(plan: Plan, slots: int) -> Plan:
    """The same tiles in branches small enough for *slots* workers; those of a part stay as all parts know them."""
    if plan.share is not None:
        return plan
    return replace(plan, depth=depth_for(plan.count()[plan.zooms[-1]], slots))


def _told(pipeline: Pipeline, area: Area) -> str:
    """What there is to select from, and where it lies."""
    if pipeline.area is None:
        return f"inputs, which lie in {spelled(*pipeline.reach)}"
    reach = spelled(Bounds(*area.geometry.bounds)) if area.geometry is not None else "everywhere"
    return f"area of the recipe, which lies in {reach}"


def _area(pipeline: Pipeline) -> Area:
    """The recipe's area, or all that the inputs cover."""
    pyramid = pipeline.pyramid
    if pipeline.area is None:
        reach = pipeline.reach
        covered = boxes(reach).intersection(box(pyramid.bounds))
        if covered.is_empty or not covered.area:
            raise PlanError(
                f"the inputs lie in {spelled(*reach)}, outside of the pyramid's {spelled(pyramid.bounds)}; "
                "choose another pyramid.grid"
            )
        return Area(None if covered.equals(box(pyramid.bounds)) else covered)
    where = f"{pipeline.name}: area"
    geometry, own = read_area(pipeline.area, folder=pipeline.folder, where=where)
    crs = pipeline.area_crs or own or LONLAT
    placed = place(geometry, crs=crs, pyramid=pyramid, where=where)
    if placed is None:
        raise RecipeError(outside(where, crs=crs, pyramid=pyramid))
    for name, reach in _far(pipeline, placed):
        warnings.warn(
            f"input {name} lies in {spelled(*reach)} of {pyramid.crs} and does not reach the area; is one of them in "
            "another crs?",
            stacklevel=1,
        )
    return Area(placed)


def _far(pipeline: Pipeline, area: BaseGeometry) -> Iterator[tuple[str, tuple[Bounds, ...]]]:
    """Inputs without data on any tile that touches *area*, and where they lie."""
    found: dict[str, tuple[Bounds, ...]] = {}
    for stage in pipeline.stages.values():
        for name, extents in stage.extents.items():
            found[name] = merged([*found.get(name, ()), *extents])
    zoom = min(set(pipeline.zooms) - pipeline.reduced)
    side = max(pipeline.pyramid.tile_shape(zoom)) + 2 * pipeline.buffer_px
    diagonal = math.hypot(side, side) * pipeline.pyramid.resolution_at(zoom)
    return ((name, reach) for name, reach in found.items() if area.distance(boxes(reach)) > diagonal)


def _zooms(pipeline: Pipeline, zooms: Sequence[int], *, option: str = "--zoom") -> tuple[int, ...] | None:
    if not zooms:
        return None
    unknown = sorted(set(zooms) - set(pipeline.zooms))
    if unknown:
        raise PlanError(
            f"{option}: there is no zoom {', '.join(map(str, unknown))} in the recipe; it has {pipeline.zooms[0]} to "
            f"{pipeline.zooms[-1]}"
        )
    return tuple(sorted(set(zooms)))


def _one_tile(pipeline: Pipeline, tile: Tile, zooms: tuple[int, ...] | None) -> Selection:
    pyramid = pipeline.pyramid
    _zooms(pipeline, [tile.zoom], option=f"--tile {tile}")
    if not pyramid.contains(tile):
        rows, cols = pyramid.matrix_shape(tile.zoom)
        raise PlanError(f"--tile {tile}: zoom {tile.zoom} has rows 0 to {rows - 1} and columns 0 to {cols - 1}")
    return Selection(zooms=zooms or (tile.zoom,), area=box(pyramid.grid(tile).bounds))


def _around(point: Sequence[float], crs: str, pipeline: Pipeline) -> BaseGeometry:
    if not all(map(math.isfinite, point)):
        raise PlanError(f"--point: {list(point)} are not two finite numbers x, y")
    spot = Bounds(point[0], point[1], point[0], point[1])
    centre = _placed(box(spot).centroid, crs, pipeline.pyramid, "--point").centroid
    # As a tile begins at its upper left, a point on an edge belongs to the tile to the right of it or below.
    side = 4 * edge(pipeline.pyramid)
    return box(Bounds(centre.x, centre.y - side, centre.x + side, centre.y))


def _placed(geometry: BaseGeometry, crs: str, pyramid: Pyramid, where: str) -> BaseGeometry:
    placed = place(geometry, crs=crs, pyramid=pyramid, where=where)
    if placed is None:
        raise PlanError(outside(where, crs=crs, pyramid=pyramid))
    return placed
