import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from tilepipe.geo.grid import Bounds, merged
from tilepipe.geo.warp import (
    crs_name,
    crs_wkt,
    is_geographic,
    metres_per_unit,
    same_crs,
    transform_bounds,
    transform_extents,
    transform_geometry,
    transform_points,
    units_per_metre,
)

WORLD_M = 20037508.342789244
NO_CODE = "+proj=laea +lat_0=10 +lon_0=3 +datum=WGS84"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("EPSG:3857", "EPSG:3857"),
        ("epsg:4326", "EPSG:4326"),
        (32633, "EPSG:32633"),
        (CRS.from_epsg(3035), "EPSG:3035"),
        (CRS.from_epsg(3035).to_wkt(), "EPSG:3035"),
        ("ESRI:102005", "ESRI:102005"),
    ],
)
def test_a_reference_system_with_a_code_is_named_by_it(value, name):
    assert crs_name(value) == name


def test_a_reference_system_without_a_code_is_named_by_its_wkt():
    name = crs_name(NO_CODE)

    assert name.startswith("PROJCS[")
    assert crs_name(name) == name
    assert CRS.from_wkt(crs_wkt(name)) == CRS.from_string(NO_CODE)


@pytest.mark.parametrize("value", ["EPSG:999999", "rubbish", "", None, 5.5, CRS()])
def test_what_is_no_reference_system_is_refused_by_name(value):
    with pytest.raises(ValueError, match="coordinate reference system") as refused:
        crs_name(value)

    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EPSG:4326", "OGC:CRS84", True),
        ("EPSG:4326", crs_name("+proj=longlat +datum=WGS84"), True),
        ("EPSG:3857", "ESRI:102100", True),
        ("EPSG:4326", "EPSG:4258", False),
        ("EPSG:32632", "EPSG:32633", False),
        ("EPSG:3857", "EPSG:3395", False),
    ],
)
def test_other_names_of_one_reference_system_are_known(one, other, same):
    assert same_crs(one, other) is same


def test_units_are_known():
    assert is_geographic("EPSG:4326")
    assert not is_geographic("EPSG:3857")
    assert metres_per_unit("EPSG:3857") == 1
    assert metres_per_unit("EPSG:2263") == pytest.approx(0.3048006096)
    assert metres_per_unit("EPSG:4326") == pytest.approx(2 * WORLD_M / 360)
    assert units_per_metre("EPSG:4326") == pytest.approx(360 / 2 / WORLD_M)


def test_points_without_a_place_are_infinite_and_do_not_spoil_the_others():
    xs, ys = transform_points(
        np.array([0.0, 1.0, np.inf, 2.0]), np.array([10.0, 95.0, 0.0, 20.0]), src_crs="EPSG:4326", dst_crs="EPSG:3857"
    )

    assert np.isfinite(xs).tolist() == np.isfinite(ys).tolist() == [True, False, False, True]
    assert xs[3] == pytest.approx(2 * WORLD_M / 180)


def test_no_way_between_planets():
    moon = crs_name(
        'GEOGCRS["Moon",DATUM["Moon",ELLIPSOID["Moon",1737400,0]],CS[ellipsoidal,2],AXIS["lat",north],AXIS["lon",east],UNIT["degree",0.0174532925199433]]'
    )

    with pytest.raises(ValueError, match=r"no transformation from .* to EPSG:4326"):
        transform_points(np.zeros(1), np.zeros(1), src_crs=moon, dst_crs="EPSG:4326")


@pytest.mark.parametrize(
    ("bounds", "src", "dst", "expected"),
    [
        ((-180, -85.06, 180, 85.06), "EPSG:4326", "EPSG:3857", (-WORLD_M, -20048966.1, WORLD_M, 20048966.1)),
        ((-WORLD_M, -WORLD_M, WORLD_M, WORLD_M), "EPSG:3857", "EPSG:4326", (-180, -85.0511288, 180, 85.0511288)),
        # a scene over the antimeridian reaches around the world, in degrees and in metres
        ((570580, 5612100, 803120, 5847600), "EPSG:32660", "EPSG:4326", (-180, 50.581954, 180, 52.773609)),
        ((570580, 5612100, 803120, 5847600), "EPSG:32660", "EPSG:3857", (-WORLD_M, 6547682, WORLD_M, 6941231)),
        ((170, -10, 190, 10), "EPSG:4326", "EPSG:3857", (-WORLD_M, -1118890, WORLD_M, 1118890)),
        # the pole lies inside, where no edge comes near it
        ((-3e6, -3e6, 3e6, 3e6), "EPSG:3031", "EPSG:4326", (-180, -90, 180, -52.3171)),
        ((-3e6, -3e6, 3e6, 3e6), "EPSG:3413", "EPSG:4326", (-180, 52.21175, 180, 90)),
        ((-180, -90, 180, -60), "EPSG:4326", "EPSG:3031", (-3333134, -3333134, 3333134, 3333134)),
    ],
)
def test_bounds_hold_poles_and_the_antimeridian(bounds, src, dst, expected):
    assert transform_bounds(Bounds(*bounds), src, dst) == pytest.approx(expected, rel=1e-4)


def test_the_same_reference_system_leaves_bounds_as_they_are():
    bounds = Bounds(0.1, 0.2, 0.3, 0.4)

    assert transform_bounds(bounds, "EPSG:4326", "OGC:CRS84") is bounds


def test_bounds_of_a_globe_seen_from_space_hold_what_is_seen():
    disk = crs_name("+proj=geos +lon_0=-75 +h=35786023 +ellps=GRS80 +sweep=x")

    found = transform_bounds(Bounds(-5.4e6, -5.4e6, 5.4e6, 5.4e6), disk, "EPSG:4326")

    assert found.left < -75 - 81
    assert found.right > -75 + 81
    assert found.bottom < -81
    assert found.top > 81


def test_bounds_wholly_off_the_globe_are_refused():
    disk = crs_name("+proj=geos +lon_0=-75 +h=35786023 +ellps=GRS80 +sweep=x")

    with pytest.raises(ValueError, match="has no place in EPSG:4326"):
        transform_bounds(Bounds(9e6, 9e6, 9.1e6, 9.1e6), disk, "EPSG:4326")


@given(
    x=st.floats(-60, 50),
    y=st.floats(-70, 60),
    width=st.floats(0.1, 30),
    height=st.floats(0.1, 20),
    dst=st.sampled_from(["EPSG:3857", "EPSG:3035", "EPSG:32632", "EPSG:3031"]),
    inside=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
)
def test_whatever_lies_in_the_bounds_lies_in_the_transformed_bounds(x, y, width, height, dst, inside):
    found = transform_bounds(Bounds(x, y, x + width, y + height), "EPSG:4326", dst)
    slack = 1e-4 * (found.right - found.left + found.top - found.bottom)

    xs, ys = transform("EPSG:4326", dst, [x + width * a for a, _ in inside], [y + height * b for _, b in inside])

    assert all(found.left - slack <= value <= found.right + slack for value in xs)
    assert all(found.bottom - slack <= value <= found.top + slack for value in ys)


def test_long_edges_bend():
    moved = transform_geometry(shapely.box(-10, 40, 30, 60), "EPSG:4326", "EPSG:3035")
    middle_of_the_upper_edge = shapely.Point(*(values[0] for values in transform("EPSG:4326", "EPSG:3035", [10], [60])))

    assert moved.distance(middle_of_the_upper_edge) < 100
    assert moved.boundary.distance(middle_of_the_upper_edge) < 100


def test_a_geometry_comes_back_from_a_round_trip():
    shape = shapely.MultiPolygon([shapely.box(0, 0, 1, 2), shapely.Point(5, 5).buffer(1)])

    back = transform_geometry(transform_geometry(shape, "EPSG:4326", "EPSG:3857"), "EPSG:3857", "EPSG:4326")

    assert back.symmetric_difference(shape).area < 1e-6


@pytest.mark.parametrize("shape", [shapely.Point(7, 46), shapely.LineString([(7, 46), (8, 46)]), shapely.Polygon()])
def test_any_kind_of_geometry_is_moved(shape):
    assert transform_geometry(shape, "EPSG:4326", "EPSG:32632").geom_type == shape.geom_type


def test_a_geometry_with_a_point_off_the_map_is_refused_by_that_point():
    with pytest.raises(ValueError, match=r"the point 0, 95 in EPSG:4326 has no place in EPSG:3857"):
        transform_geometry(shapely.Point(0, 95), "EPSG:4326", "EPSG:3857")


@pytest.mark.parametrize("target", ["EPSG:4326", "EPSG:3857", "EPSG:3832", "EPSG:32760"])
@pytest.mark.parametrize("source", ["EPSG:32660", "EPSG:32701", "EPSG:4326", "EPSG:3832"])
@settings(max_examples=15, deadline=None)
@given(
    west=st.floats(-2, 2),
    south=st.floats(-30, 30),
    width=st.floats(0.1, 3),
    height=st.floats(0.1, 3),
)
def test_what_lies_in_a_rectangle_lies_in_its_extents_elsewhere(source, target, west, south, width, height):
    corner = transform("EPSG:4326", source, [180 + west], [south]) if source != "EPSG:4326" else ([180 + west], [south])
    degree = 1 if source == "EPSG:4326" else 100_000
    left, bottom = corner[0][0], corner[1][0]
    bounds = Bounds(left, bottom, left + width * degree, bottom + height * degree)

    extents = transform_extents(bounds, source, target)

    xs, ys = np.random.default_rng(1).uniform(bounds[:2], bounds[2:], (200, 2)).T
    xs, ys = map(np.asarray, transform(source, target, xs, ys))
    if target == "EPSG:4326":
        xs = (xs + 180) % 360 - 180
    rim = 1e-6 * (1 if target == "EPSG:4326" else 1e6)
    inside = [
        (xs >= left - rim) & (xs <= right + rim) & (ys >= bottom - rim) & (ys <= top + rim)
        for left, bottom, right, top in extents
    ]
    if source != target:
        assert np.any(inside, axis=0).all()
    assert len(extents) <= 2
    world = 360 if target == "EPSG:4326" else 2 * WORLD_M
    assert sum(right - left for left, _, right, _ in extents) < world / 20


def test_an_edge_on_the_line_does_not_take_in_the_globe():
    (left, bottom), (right, top) = (
        (column[0] for column in transform("EPSG:4326", "EPSG:3832", [degrees], [degrees - 180]))
        for degrees in (180 + 1e-12, 181)
    )

    (found,) = transform_extents(Bounds(left, bottom, right, top), "EPSG:3832", "EPSG:3857")

    assert found.left == pytest.approx(-WORLD_M, abs=1)
    assert found.right == pytest.approx(-WORLD_M * 179 / 180, abs=1)


def test_a_rectangle_beyond_the_line_is_seen_from_the_other_side():
    (found,) = transform_extents(Bounds(190, 0, 200, 5), "EPSG:4326", "EPSG:3857")

    assert found[::2] == pytest.approx((-WORLD_M * 17 / 18, -WORLD_M * 16 / 18))


def test_a_rectangle_around_the_world_stays_one():
    (found,) = transform_extents(Bounds(0, -60, 360, 60), "EPSG:4326", "EPSG:3857")

    assert found[::2] == pytest.approx((-WORLD_M, WORLD_M))


RECTANGLES = st.lists(
    st.tuples(*[st.integers(0, 30), st.integers(0, 30), st.integers(1, 6), st.integers(1, 6)]).map(
        lambda sides: Bounds(sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    ),
    max_size=8,
)


@given(rectangles=RECTANGLES)
def test_merged_rectangles_hold_the_given_ones_and_do_not_meet(rectangles):
    found = merged(rectangles)

    boxes = [shapely.box(*bounds) for bounds in found]
    assert all(any(box.covers(shapely.box(*bounds)) for box in boxes) for bounds in rectangles)
    assert not any(one.intersects(other) for at, one in enumerate(boxes) for other in boxes[at + 1 :])
