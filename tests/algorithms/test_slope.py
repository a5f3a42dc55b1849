import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilepipe.algorithms.slope import slope
from tilepipe.errors import ProcessError

GRADIENTS = {"horn": [], "zevenbergen_thorne": ["-alg", "ZevenbergenThorne"]}
UNITS = {"degrees": [], "percent": ["-p"]}


def assert_same_slope(ours, theirs, *, within):
    """To the last digits; GDAL sums heights before it subtracts them, which costs it some on float32."""
    assert ours.count() > 0
    np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    np.testing.assert_allclose(ours.compressed(), theirs.compressed(), rtol=1e-6, atol=within)


@pytest.mark.gdal
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float64"])
def test_slope_is_that_of_gdaldem_for_every_dtype(gdaldem, hills, dtype):
    ground = hills(dtype)

    theirs = gdaldem("slope", ground, 30.0)

    ours = slope(ground, 30.0)
    assert ours.dtype == np.float32
    assert_same_slope(ours, theirs, within=2e-4 if dtype == "float64" else 1e-6)


@pytest.mark.gdal
@pytest.mark.parametrize("computed_edges", [False, True])
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("unit", UNITS)
def test_every_slope_is_that_of_gdaldem(gdaldem, hills, unit, gradient, computed_edges):
    ground = hills()
    options = [*UNITS[unit], *GRADIENTS[gradient], *(["-compute_edges"] if computed_edges else [])]

    theirs = gdaldem("slope", ground, 30.0, *options)

    ours = slope(ground, 30.0, unit=unit, gradient=gradient, computed_edges=computed_edges)
    assert_same_slope(ours, theirs, within=2e-4)


@pytest.mark.gdal
def test_scale_turns_degrees_into_metres_as_in_gdaldem(gdaldem, hills):
    ground = hills("int16")

    theirs = gdaldem("slope", ground, 1 / 1200, "-s", "111120")

    assert_same_slope(slope(ground, 1 / 1200, scale=111_120.0), theirs, within=1e-6)


@pytest.mark.gdal
@pytest.mark.data
@pytest.mark.parametrize("name", ["jacksboro_fault_dem", "srtm1_N48W125", "vanderford_bathy_epsg3031.cog"])
def test_slope_of_real_ground_is_that_of_gdaldem(gdaldem, real_dem, name):
    ground, resolution = real_dem(name)

    theirs = gdaldem("slope", ground, resolution)

    assert_same_slope(slope(ground, resolution), theirs, within=5e-4)


@given(size=st.integers(1, 40), unit=st.sampled_from([*UNITS]), holes=st.sampled_from([0.0, 0.1]))
@settings(max_examples=30, deadline=None)
def test_tiles_with_a_buffer_of_one_are_the_whole(size, unit, holes):
    rng = np.random.default_rng(size)
    ground = np.ma.MaskedArray(rng.normal(scale=50, size=(33, 39)), mask=rng.random((33, 39)) < holes)
    whole = slope(ground, 30.0, unit=unit)[1:-1, 1:-1]

    for row in range(0, 31, size):
        for col in range(0, 37, size):
            tile = slope(ground[row : row + size + 2, col : col + size + 2], 30.0, unit=unit)[1:-1, 1:-1]

            there = whole[row : row + size, col : col + size]
            np.testing.assert_array_equal(tile.filled(-1), there.filled(-1))


@pytest.mark.parametrize(("unit", "steepness"), [("degrees", 45.0), ("percent", 100.0)])
def test_ground_that_rises_as_far_as_it_runs_has_half_a_right_angle(unit, steepness):
    row, _ = np.indices((5, 6))

    steep = slope(np.ma.MaskedArray(30.0 * row), 30.0, unit=unit)

    np.testing.assert_allclose(steep.compressed(), steepness)


def test_an_unknown_unit_is_refused_by_name(hills):
    with pytest.raises(ProcessError, match="no unit 'degree'; did you mean 'degrees'"):
        slope(hills(), 30.0, unit="degree")
