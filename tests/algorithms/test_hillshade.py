import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilepipe.algorithms.hillshade import hillshade
from tilepipe.errors import ProcessError

VARIANTS = {
    "regular": [],
    "combined": ["-combined"],
    "multidirectional": ["-multidirectional"],
    "igor": ["-igor"],
}
GRADIENTS = {"horn": [], "zevenbergen_thorne": ["-alg", "ZevenbergenThorne"]}
REAL = [
    "jacksboro_fault_dem",
    "bigtujunga",
    "zion_srtm",
    "srtm3_N49E011",
    "srtm1_N48W125",
    "small_dem_3m",
    "vanderford_bathy_epsg3031.cog",
]


def assert_same_light(ours, theirs, share=0.0):
    """Equal masks; at most *share* of the pixels off, and by one grey level: GDAL approximates the root too."""
    np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    assert ours.count() > 0
    off = np.abs(ours.compressed().astype(int) - theirs.compressed().astype(int))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= share * off.size


@pytest.mark.gdal
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_light_is_that_of_gdaldem_for_every_dtype(gdaldem, hills, dtype):
    ground = hills(dtype)

    theirs = gdaldem("hillshade", ground, 30.0)

    assert_same_light(hillshade(ground, 30.0), theirs)


@pytest.mark.gdal
@pytest.mark.parametrize(("azimuth", "altitude"), [(0, 45), (45, 10), (100, 30), (270, 90), (400, 60), (-45, 5)])
def test_light_is_that_of_gdaldem_wherever_the_sun_stands(gdaldem, hills, azimuth, altitude):
    ground = hills()

    theirs = gdaldem("hillshade", ground, 30.0, "-az", str(azimuth), "-alt", str(altitude))

    assert_same_light(hillshade(ground, 30.0, azimuth=azimuth, altitude=altitude), theirs, share=1e-3)


@pytest.mark.gdal
@pytest.mark.parametrize(("z_factor", "scale"), [(5.0, 1.0), (0.2, 1.0), (-1.0, 1.0), (1.0, 111_120.0), (2.0, 0.806)])
def test_light_is_that_of_gdaldem_for_every_height_and_unit(gdaldem, hills, z_factor, scale):
    ground = hills()
    resolution = 30.0 / scale

    theirs = gdaldem("hillshade", ground, resolution, "-z", str(z_factor), "-s", str(scale))

    assert_same_light(hillshade(ground, resolution, z_factor=z_factor, scale=scale), theirs)


@pytest.mark.gdal
@pytest.mark.parametrize("computed_edges", [False, True])
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_that_of_gdaldem(gdaldem, hills, variant, gradient, computed_edges):
    ground = hills()
    options = [*VARIANTS[variant], *GRADIENTS[gradient], *(["-compute_edges"] if computed_edges else [])]

    theirs = gdaldem("hillshade", ground, 30.0, *options)

    ours = hillshade(ground, 30.0, variant=variant, gradient=gradient, computed_edges=computed_edges)
    assert_same_light(ours, theirs, share=1e-3)


@pytest.mark.gdal
@pytest.mark.data
@pytest.mark.parametrize("computed_edges", [False, True])
@pytest.mark.parametrize("name", REAL)
def test_light_on_real_ground_is_that_of_gdaldem(gdaldem, real_dem, name, computed_edges):
    ground, resolution = real_dem(name)

    theirs = gdaldem("hillshade", ground, resolution, *(["-compute_edges"] if computed_edges else []))

    assert_same_light(hillshade(ground, resolution, computed_edges=computed_edges), theirs, share=1e-4)


@pytest.mark.gdal
def test_light_is_that_of_gdaldem_over_many_strips(gdaldem, hills):
    ground = hills("int16", (150, 1500))

    theirs = gdaldem("hillshade", ground, 30.0)

    assert_same_light(hillshade(ground, 30.0), theirs, share=1e-4)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tiles_with_a_buffer_of_one_are_the_whole(data):
    height, width, size = (data.draw(st.integers(3, 40)) for _ in range(3))
    variant, gradient = data.draw(st.sampled_from([*VARIANTS])), data.draw(st.sampled_from([*GRADIENTS]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    ground = np.ma.MaskedArray(rng.normal(scale=50, size=(height, width)).astype("float32"))
    ground.mask = rng.random((height, width)) < data.draw(st.sampled_from([0.0, 0.02, 0.5]))
    options = {"variant": variant, "gradient": gradient}
    whole = hillshade(ground, 30.0, **options)

    beyond = np.ma.MaskedArray(np.pad(ground.data, size + 1), mask=np.pad(ground.mask, size + 1, constant_values=True))
    for row in range(0, height, size):
        for col in range(0, width, size):
            around = beyond[row + size : row + 2 * size + 2, col + size : col + 2 * size + 2]
            tile = hillshade(around, 30.0, **options)[1:-1, 1:-1][: height - row, : width - col]

            there = slice(row, row + size), slice(col, col + size)
            np.testing.assert_array_equal(tile.filled(0), whole[there].filled(0))
            np.testing.assert_array_equal(tile.mask, whole[there].mask)


@pytest.mark.parametrize("variant", VARIANTS)
def test_computed_edges_leave_out_only_what_is_missing(hills, variant):
    ground = hills()

    light = hillshade(ground, 30.0, variant=variant, computed_edges=True)

    np.testing.assert_array_equal(light.mask, ground.mask)


def test_computed_edges_change_nothing_where_all_neighbours_are_there(hills):
    ground = hills()
    plain = hillshade(ground, 30.0)

    light = hillshade(ground, 30.0, computed_edges=True)

    np.testing.assert_array_equal(light[~plain.mask], plain[~plain.mask])


@pytest.mark.parametrize(("fall", "grey"), [(1, 255), (0, 181), (-1, 1)])
def test_ground_is_light_toward_the_sun_and_dark_away_from_it(fall, grey):
    _, col = np.indices((5, 6))
    toward_west = np.ma.MaskedArray(fall * 30.0 * col)

    light = hillshade(toward_west, 30.0, azimuth=270.0)

    assert set(light.compressed()) == {grey}


def test_light_is_one_to_255_and_nothing_lies_beneath_the_mask(hills):
    light = hillshade(hills(), 0.5)

    assert light.dtype == np.uint8
    assert light.compressed().min() == 1
    assert not light.data[light.mask].any()


@pytest.mark.parametrize("beneath", [np.nan, np.inf, np.finfo("float32").max, -9999.0])
def test_what_lies_beneath_the_mask_does_not_matter(hills, beneath):
    ground = hills()
    odd = np.ma.MaskedArray(np.where(ground.mask, np.float32(beneath), ground.data), mask=ground.mask)

    for computed_edges in (False, True):
        np.testing.assert_array_equal(
            hillshade(odd, 30.0, computed_edges=computed_edges).data,
            hillshade(ground, 30.0, computed_edges=computed_edges).data,
        )


def test_elevation_stays_as_it_is(hills):
    ground = hills()
    before = ground.copy()

    hillshade(ground, 30.0, computed_edges=True)

    np.testing.assert_array_equal(ground.data, before.data)
    np.testing.assert_array_equal(ground.mask, before.mask)


def test_a_view_of_a_larger_array_gives_the_same_light(hills):
    ground = hills()

    light = hillshade(ground[3:40, 2:50], 30.0)

    np.testing.assert_array_equal(light.data, hillshade(ground[3:40, 2:50].copy(), 30.0).data)


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (1, 1), (2, 9), (9, 2)])
@pytest.mark.parametrize("computed_edges", [False, True])
def test_an_array_too_small_for_neighbours_has_no_light(shape, computed_edges):
    light = hillshade(np.ma.MaskedArray(np.ones(shape)), 30.0, computed_edges=computed_edges)

    assert light.shape == shape
    assert light.mask.all() == (not computed_edges or min(shape) < 2)


def test_several_bands_are_refused_with_the_way_to_read_one():
    bands = np.ma.MaskedArray(np.zeros((1, 8, 8)))

    with pytest.raises(ProcessError, match=r"has the shape \(1, 8, 8\); read a single band, as in dem.read\(1\)"):
        hillshade(bands, 30.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "combind"}, "no hillshade variant 'combind'; did you mean 'combined'"),
        ({"gradient": "Horn"}, "no gradient 'Horn'; did you mean 'horn'"),
        ({"scale": 0.0}, "a resolution and a scale above 0, not 30.0 and 0.0"),
    ],
)
def test_wrong_options_are_refused_by_name(hills, options, message):
    with pytest.raises(ProcessError, match=message):
        hillshade(hills(), 30.0, **options)
