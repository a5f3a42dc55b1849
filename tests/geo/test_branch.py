import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe.geo.branch import bit_of, bits, children_of, full, level_of, level_start, parent_of, tile_at
from tilepipe.geo.pyramid import Tile

roots = st.builds(Tile, st.integers(0, 20), st.integers(0, 2**20), st.integers(0, 2**20))
levels = st.integers(0, 6)


@given(root=roots, level=levels, data=st.data())
def test_a_tile_has_one_bit_and_the_bit_that_tile(root, level, data):
    row = data.draw(st.integers(0, 2**level - 1))
    col = data.draw(st.integers(0, 2**level - 1))
    tile = Tile(root.zoom + level, (root.row << level) + row, (root.col << level) + col)

    bit = bit_of(root, tile)

    assert tile_at(root, bit) == tile
    assert level_of(bit) == level


@given(root=roots, bit=st.integers(0, full(5).bit_length() - 1))
def test_children_of_a_bit_are_the_quarters_of_its_tile(root, bit):
    tile = tile_at(root, bit)

    quarters = [tile_at(root, child) for child in children_of(bit)]

    expected = [(2 * tile.row + row, 2 * tile.col + col) for row in (0, 1) for col in (0, 1)]
    assert [(quarter.row, quarter.col) for quarter in quarters] == expected
    assert {parent_of(child) for child in children_of(bit)} == {bit}


@pytest.mark.parametrize(("depth", "tiles"), [(0, 1), (1, 5), (2, 21), (3, 85), (4, 341)])
def test_a_full_branch_has_all_tiles_of_its_levels(depth, tiles):
    assert full(depth).bit_count() == tiles
    assert level_start(depth + 1) == tiles


@given(numbers=st.sets(st.integers(0, 400)))
def test_bits_come_lowest_first(numbers):
    assert list(bits(sum(1 << number for number in numbers))) == sorted(numbers)
