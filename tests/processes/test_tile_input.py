import numpy as np
import pytest

from tilepipe.errors import InputError
from tilepipe.inputs.protocol import Input
from tilepipe.inputs.tile_input import TileInput


@pytest.fixture
def open_on():
    def make(source: Input, grid):
        return TileInput("image", source, grid, source.extents(grid.crs))

    return make


@pytest.fixture
def inside(world):
    return world.window(row=4, col=8, height=16, width=12)


@pytest.fixture
def outside(world):
    return world.window(row=0, col=48, height=16, width=12)


@pytest.mark.parametrize("bands", [None, 2, [3, 1]])
def test_read_gives_what_the_source_has_on_the_grid(open_on, three_bands, inside, bands):
    tile = open_on(three_bands, inside)

    read = tile.read(bands)

    expected = three_bands.read(inside, bands=bands)
    np.testing.assert_array_equal(read.filled(-1), expected.filled(-1))
    assert read.shape == expected.shape


@pytest.mark.parametrize("bands", [None, 2, [3, 1], [2]])
def test_what_is_read_after_the_look_for_emptiness_is_the_same(open_on, three_bands, inside, bands):
    looked = open_on(three_bands, inside)
    looked.is_empty()

    read = looked.read(bands)

    expected = three_bands.read(inside, bands=bands)
    np.testing.assert_array_equal(read.filled(-1), expected.filled(-1))
    assert read.shape == expected.shape


@pytest.mark.parametrize("bands", [None, 1])
def test_look_for_emptiness_and_read_open_the_file_once(open_on, dem, inside, bands):
    tile = open_on(dem, inside)

    tile.is_empty()
    tile.is_empty()
    tile.read(bands)

    assert dem.asked == [(None, None)]


def test_band_after_band_opens_the_file_once_after_the_look(open_on, three_bands, inside):
    tile = open_on(three_bands, inside)

    tile.is_empty()
    for band in (1, 2, 3, 1):
        tile.read(band)

    assert three_bands.asked == [(None, None)]


def test_one_band_of_many_is_read_alone_where_nobody_looked(open_on, three_bands, inside):
    open_on(three_bands, inside).read(2)

    assert three_bands.asked == [(2, None)]


def test_other_resampling_is_read_from_the_source(open_on, dem, inside):
    tile = open_on(dem, inside)
    tile.is_empty()

    tile.read(1, resampling="cubic")

    assert dem.asked == [(None, None), (1, "cubic")]


@pytest.mark.parametrize("name", ["dem", "three_bands"])
@pytest.mark.parametrize("bands", [None, 1, [1]])
def test_changes_in_place_do_not_reach_a_second_read(request, open_on, inside, name, bands):
    source = request.getfixturevalue(name)
    tile = open_on(source, inside)
    before = source.read(inside, bands=bands)
    tile.is_empty()

    first = tile.read(bands)
    first.data[:] = 0
    first[...] = np.ma.masked

    again = tile.read(bands)
    np.testing.assert_array_equal(again.data, before.data)
    np.testing.assert_array_equal(np.ma.getmaskarray(again), np.ma.getmaskarray(before))
    assert not tile.is_empty()


def test_a_tile_without_one_pixel_of_data_is_empty(open_on, dem, inside):
    dem.pixels[:, 4:20, 8:20] = np.ma.masked

    assert open_on(dem, inside).is_empty()


def test_a_tile_with_one_pixel_of_data_is_not_empty(open_on, dem, inside):
    dem.pixels[:, 4:20, 8:20] = np.ma.masked
    dem.pixels[0, 10, 10] = 5

    assert not open_on(dem, inside).is_empty()


@pytest.mark.parametrize(("bands", "layers"), [(None, (3,)), (2, ()), ([3, 1], (2,))])
def test_off_the_extent_all_is_masked_and_no_file_is_touched(open_on, three_bands, outside, bands, layers):
    tile = open_on(three_bands, outside)

    assert tile.is_empty()
    read = tile.read(bands)

    assert read.shape == (*layers, 16, 12)
    assert read.dtype == "int16"
    assert read.mask.all()
    assert three_bands.asked == []


@pytest.mark.parametrize("bands", [0, 4, [1, 4]])
def test_a_band_that_is_not_there_is_refused_on_and_off_the_extent(open_on, three_bands, inside, outside, bands):
    looked = open_on(three_bands, inside)
    looked.is_empty()

    for tile in (looked, open_on(three_bands, outside)):
        with pytest.raises(InputError, match=r"input image: band [04] was asked for, but there are 3"):
            tile.read(bands)
