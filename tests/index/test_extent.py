import math
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds
from shapely.geometry import shape

from tilepipe.geo.grid import Bounds
from tilepipe.geo.pyramid import Pyramid, global_pyramid
from tilepipe.index.extent import Level, Limits, footprint, levels, raster_grid

MERCATOR = global_pyramid("WebMercatorQuad")
WORLD_M = 20037508.342789244


def _place(bounds, crs):
    found = footprint(Bounds(*bounds), lambda xs, ys: transform(CRS.from_user_input(crs), CRS.from_epsg(4326), xs, ys))
    assert found is not None
    return found


def test_coarser_levels_are_the_parents_of_the_finest():
    limits = {5: Limits(10, 11, 16, 18), 6: Limits(20, 22, 33, 36), 7: Limits(41, 44, 66, 72)}

    found = levels(MERCATOR, limits)

    assert found == (
        Level(5, Limits(10, 11, 16, 18)),
        Level(6, Limits(20, 22, 33, 36)),
        Level(7, Limits(41, 44, 66, 72)),
    )


def test_a_gap_between_zooms_is_bridged():
    found = levels(MERCATOR, {3: Limits(2, 2, 4, 4), 6: Limits(20, 22, 33, 36)})

    assert found == (Level(3, Limits(2, 2, 4, 4)), Level(6, Limits(20, 22, 33, 36)))


def test_coarse_tiles_beside_the_finest_ones_widen_the_raster():
    found = levels(MERCATOR, {3: Limits(2, 2, 4, 5), 5: Limits(10, 10, 17, 17)})

    assert found == (Level(3, Limits(2, 2, 4, 5)), Level(5, Limits(8, 11, 16, 23)))


def test_levels_at_which_the_raster_is_less_than_a_pixel_are_left_out():
    limits = {zoom: Limits(0, 0, 0, 0) for zoom in range(13)}

    found = levels(MERCATOR, limits)

    assert [level.zoom for level in found] == [4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_a_zoom_too_large_for_gdal_is_left_out():
    whole = {zoom: Limits(0, 2**zoom - 1, 0, 2**zoom - 1) for zoom in (20, 22, 23)}

    found = levels(MERCATOR, whole)

    assert [level.zoom for level in found] == [20, 22]


def test_no_tiles_are_no_levels():
    assert levels(MERCATOR, {}) == ()


def test_the_raster_starts_at_its_first_tile():
    level = Level(6, Limits(20, 22, 33, 36))

    grid = raster_grid(MERCATOR.with_metatile(4), level)

    assert grid.shape == (3 * 1024, 4 * 1024)
    assert grid.left == pytest.approx(-WORLD_M + 33 * 1024 * grid.resolution)
    assert grid.top == pytest.approx(WORLD_M - 20 * 1024 * grid.resolution)


@given(
    row=st.integers(0, 60),
    col=st.integers(0, 60),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    zooms=st.sets(st.integers(1, 6), min_size=1),
)
def test_every_level_covers_all_its_tiles_and_the_raster(*, row, col, height, width, zooms):
    finest = max(zooms)
    shift = 6 - finest
    base = Limits(row >> shift, (row + height - 1) >> shift, col >> shift, (col + width - 1) >> shift)
    last = (1 << finest) - 1
    base = Limits(*(min(index, last) for index in base))
    limits = {zoom: base.parent(finest - zoom) for zoom in zooms}

    found = levels(MERCATOR, limits)

    raster = raster_grid(MERCATOR, found[-1]).bounds
    assert found[-1] == Level(finest, base)
    for level in found:
        bounds = raster_grid(MERCATOR, level).bounds
        assert bounds.union(raster) == pytest.approx(bounds, abs=1e-6)
        assert level.limits == limits[level.zoom]


@pytest.mark.parametrize(
    ("bounds", "crs"),
    [
        ((500000, 4000000, 600000, 4100000), "EPSG:32633"),
        ((2000000, 1000000, 6000000, 5500000), "EPSG:3035"),
        ((0, 0, WORLD_M, WORLD_M), "EPSG:3857"),
        ((-WORLD_M, -WORLD_M, WORLD_M, WORLD_M), "EPSG:3857"),
        ((-180, -90, 180, 90), "EPSG:4326"),
        ((90, 0, 180, 90), "EPSG:4326"),
        ((1000000, 200000, 1050000, 260000), "EPSG:2263"),
    ],
)
def test_the_bbox_is_that_of_gdal(bounds, crs):
    found = _place(bounds, crs)

    expected = transform_bounds(crs, "EPSG:4326", *bounds, densify_pts=200)
    assert found.bbox == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
def test_straight_edges_have_four_corners(crs):
    bounds = (100, 100, 2000, 3000) if crs == "EPSG:3857" else (10, 20, 30, 40)

    geometry = _place(bounds, crs).geometry

    assert len(geometry["coordinates"][0]) == 5


def test_bent_edges_are_followed():
    geometry = shape(_place((2000000, 1000000, 6000000, 5500000), "EPSG:3035").geometry)

    corners = transform("EPSG:3035", "EPSG:4326", [2000000, 6000000], [5500000, 5500000])
    assert geometry.bounds[3] > max(corners[1]) + 1


def test_a_raster_across_the_antimeridian_has_two_parts():
    found = _place((170, -20, 190, -10), "EPSG:4326")

    assert found.bbox == (170, -20, -170, -10)
    assert shape(found.geometry).equals(
        shapely.union(shapely.box(170, -20, 180, -10), shapely.box(-180, -20, -170, -10))
    )


def test_a_raster_that_ends_at_the_antimeridian_has_one_part():
    assert _place((170, -20, 180, -10), "EPSG:4326").bbox == (170, -20, 180, -10)
    assert _place((180, -20, 190, -10), "EPSG:4326").bbox == (-180, -20, -170, -10)


def test_a_raster_wider_than_the_world_covers_all_of_it():
    found = _place((-200, -20, 190, -10), "EPSG:4326")

    assert found.bbox == (-180, -20, 180, -10)


def test_utm_reaches_over_the_antimeridian():
    found = _place((100000, 5000000, 300000, 5200000), "EPSG:32601")

    west, _, east, _ = found.bbox
    assert west > 177
    assert east < -178
    assert found.geometry["type"] == "MultiPolygon"


@pytest.mark.parametrize(
    ("crs", "pole"), [("EPSG:3413", 90), ("EPSG:3031", -90), ("EPSG:3995", 90), ("EPSG:6932", -90)]
)
def test_a_raster_around_a_pole_holds_it(crs, pole):
    found = _place((-3000000, -2000000, 1500000, 3100000), crs)

    west, south, east, north = found.bbox
    assert (west, east) == (-180, 180)
    assert (north if pole > 0 else south) == pole
    assert shape(found.geometry).is_valid


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031"])
@pytest.mark.parametrize(
    ("bounds", "share"),
    [
        ((0, 0, 1000000, 1000000), 1 / 4),
        ((-1000000, 0, 0, 1000000), 1 / 4),
        ((-1000000, -1000000, 0, 0), 1 / 4),
        ((0, -1000000, 1000000, 0), 1 / 4),
        ((-1000000, 0, 1000000, 1000000), 1 / 2),
        ((-1000000, 0, 2000000, 1000000), 1 / 2),
        ((0, -2000000, 1000000, 1000000), 1 / 2),
    ],
)
def test_a_raster_that_touches_a_pole_covers_its_share_of_longitudes(crs, bounds, share):
    found = _place(bounds, crs)

    geometry = shape(found.geometry)
    lat = 89.9 if crs == "EPSG:3413" else -89.9
    line = shapely.LineString([(-180, lat), (180, lat)])
    assert geometry.is_valid
    assert shapely.intersection(geometry, line).length == pytest.approx(360 * share, abs=0.5)


@settings(max_examples=150, deadline=None)
@given(
    crs=st.sampled_from(["EPSG:3413", "EPSG:3031", "EPSG:3035", "EPSG:32601", "EPSG:32660", "EPSG:3832", "EPSG:6931"]),
    corner=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    size=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    seed=st.integers(0, 2**16),
)
def test_places_in_the_raster_lie_in_its_footprint_and_others_do_not(*, crs, corner, size, seed):
    centre, unit = {
        "EPSG:3035": ((4321000, 3210000), 2e6),
        "EPSG:32601": ((300000, 4000000), 3e5),
        "EPSG:32660": ((700000, 4000000), 3e5),
        "EPSG:3832": ((3339000, 0), 5e6),
    }.get(crs, ((0, 0), 2e6))
    left, bottom = (middle + unit * part for middle, part in zip(centre, corner, strict=True))
    width, height = (unit * part for part in size)
    bounds = Bounds(left, bottom, left + width, bottom + height)

    found = _place(bounds, crs)

    geometry = shape(found.geometry)
    assert geometry.is_valid
    assert all(polygon.exterior.is_ccw for polygon in getattr(geometry, "geoms", [geometry]))
    across, up = np.random.default_rng(seed).uniform(-0.5, 1.5, (2, 40))
    near_edge = np.minimum(np.abs(across - (across > 0.5)), np.abs(up - (up > 0.5))) < 0.02
    inside = (across > 0) & (across < 1) & (up > 0) & (up < 1)
    xs, ys = left + across * width, bottom + up * height
    lons, lats = transform(CRS.from_user_input(crs), CRS.from_epsg(4326), xs, ys)
    held = shapely.contains_xy(geometry, lons, lats)
    assert (held == inside)[~near_edge].all()


def test_places_off_the_globe_are_left_out():
    def to_lonlat(xs, ys):
        off = [x > 10 for x in xs]
        return (
            [math.inf if gone else x for x, gone in zip(xs, off, strict=True)],
            [math.inf if gone else y for y, gone in zip(ys, off, strict=True)],
        )

    found = footprint(Bounds(0, 0, 40, 20), to_lonlat)

    assert found is not None
    assert found.bbox == (0, 0, 10, 20)


def test_a_raster_off_the_globe_has_no_footprint():
    assert footprint(Bounds(0, 0, 1, 1), lambda xs, ys: ([math.inf for _ in xs], [math.inf for _ in ys])) is None


def test_clipped_metatiles_of_low_zooms_keep_their_places():
    pyramid = replace(global_pyramid("WorldCRS84Quad", tile_size=16), metatile=4)

    grid = raster_grid(pyramid, Level(0, Limits(0, 0, 0, 0)))

    assert grid.shape == (16, 32)
    assert grid.bounds == Pyramid.bounds.__get__(pyramid)
