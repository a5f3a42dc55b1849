import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tilepipe.errors import PlanError
from tilepipe.geo.branch import bits, tile_at
from tilepipe.geo.geometry import Area
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile, global_pyramid, pixel_pyramid
from tilepipe.plan import Plan, depth_for


@st.composite
def pyramids(draw):
    metatile = draw(st.sampled_from([1, 2, 4]))
    if draw(st.booleans()):
        return global_pyramid(draw(st.sampled_from(["WebMercatorQuad", "WorldCRS84Quad"])), metatile=metatile)
    height, width = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    native = Grid(crs="EPSG:32632", left=5e5, top=5e6, resolution=10, height=height, width=width)
    return pixel_pyramid(native, tile_size=16, metatile=metatile)


@st.composite
def plans(draw):
    pyramid = draw(pyramids())
    left, bottom, right, top = pyramid.bounds
    place = st.tuples(st.floats(left, right), st.floats(bottom, top))
    corners = draw(st.lists(place, min_size=3, max_size=6))
    geometry = shapely.MultiPoint(corners).convex_hull if draw(st.booleans()) else None
    zooms = draw(st.sets(st.integers(0, 5), min_size=1))
    reduced = {zoom for zoom in zooms if zoom + 1 in zooms and zoom < draw(st.integers(0, 6))}
    return Plan(
        pyramid=pyramid,
        area=Area(geometry),
        zooms=tuple(sorted(zooms)),
        reduced=frozenset(reduced),
        depth=draw(st.integers(0, 3)),
    )


def tiles_one_by_one(plan):
    """Every tile of the matrix held against the area on its own."""
    for zoom in plan.zooms:
        rows, cols = plan.pyramid.matrix_shape(zoom)
        for row in range(rows):
            for col in range(cols):
                bounds = plan.pyramid.grid(Tile(zoom, row, col)).bounds
                shrunk = shapely.box(*bounds).buffer(-2e-6 * plan.pyramid.resolution_at(zoom), join_style="mitre")
                if plan.area.geometry is None or plan.area.geometry.intersects(shrunk):
                    yield Tile(zoom, row, col)


@settings(deadline=None, max_examples=60)
@given(plan=plans())
def test_branches_hold_each_tile_that_touches_the_area_once(plan):
    walked = [tile_at(branch.root, bit) for branch in plan.branches() for bit in bits(branch.tiles)]

    assert len(walked) == len(set(walked))
    assert set(tiles_one_by_one(plan)) <= set(walked)
    assert all(plan.pyramid.contains(tile) and tile.zoom in plan.zooms for tile in walked)


@settings(deadline=None, max_examples=60)
@given(plan=plans())
def test_counting_agrees_with_walking(plan):
    walked = dict.fromkeys(plan.zooms, 0)
    branches = 0
    for branch in plan.branches():
        branches += 1
        for bit in bits(branch.tiles):
            walked[tile_at(branch.root, bit).zoom] += 1

    assert dict(plan.count()) == walked
    assert plan.count_branches() == branches


@settings(deadline=None, max_examples=60)
@given(plan=plans())
def test_an_overview_comes_with_or_after_its_children(plan):
    turns = {}
    for turn, branch in enumerate(plan.branches()):
        for bit in bits(branch.tiles):
            turns[tile_at(branch.root, bit)] = turn

    for tile, turn in turns.items():
        if tile.zoom in plan.reduced:
            children = [child for child in plan.pyramid.children(tile) if child in turns]
            assert children
            assert all(turns[child] <= turn for child in children)


@settings(deadline=None, max_examples=60)
@given(plan=plans())
def test_a_branch_has_at_most_as_many_leaves_as_its_depth_allows(plan):
    for branch in plan.branches():
        assert branch.depth <= plan.depth
        assert branch.tiles.bit_count() <= (4 ** (branch.depth + 1) - 1) // 3


def test_the_first_branch_of_a_hundred_million_tiles_comes_at_once():
    plan = Plan(
        pyramid=global_pyramid("WebMercatorQuad"),
        area=Area(None),
        zooms=tuple(range(15)),
        reduced=frozenset(range(14)),
    )

    assert next(plan.branches()).root == Tile(11, 0, 0)
    assert sum(plan.count().values()) == (4**15 - 1) // 3


def test_touching_an_edge_is_not_touching():
    pyramid = global_pyramid("WorldCRS84Quad")
    plan = Plan(pyramid=pyramid, area=Area(shapely.box(0, 0, 45, 45)), zooms=(2,))

    assert [tile_at(branch.root, bit) for branch in plan.branches() for bit in bits(branch.tiles)] == [Tile(2, 1, 4)]


def test_a_polygon_is_counted_without_walking_its_inside():
    turns = np.linspace(0, 2 * math.pi, 100, endpoint=False)
    geometry = shapely.Polygon(1e7 * np.c_[np.cos(turns), np.sin(turns)])
    plan = Plan(pyramid=global_pyramid("WebMercatorQuad"), area=Area(geometry), zooms=(12,))

    share = geometry.area / (2 * plan.pyramid.left) ** 2

    assert plan.count()[12] == pytest.approx(share * 4**12, rel=2e-3)


@pytest.mark.parametrize("zooms", [(), (3, 2), (4, 4)])
def test_zooms_must_rise(zooms):
    with pytest.raises(PlanError, match="rising list"):
        Plan(pyramid=global_pyramid("WebMercatorQuad"), area=Area(None), zooms=zooms)


@pytest.mark.parametrize(("leaves", "slots", "depth"), [(1, 2, 0), (64, 2, 1), (10_000, 2, 3), (10_000, 400, 1)])
def test_branches_are_shallow_where_there_are_few_tiles_for_the_workers(leaves, slots, depth):
    assert depth_for(leaves, slots) == depth
