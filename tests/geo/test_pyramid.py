import tilematrix
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest import approx, mark

from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Tile, global_pyramid, pixel_pyramid

NAMES = {"WebMercatorQuad": "mercator", "WorldCRS84Quad": "geodetic"}
metatiles = st.sampled_from([1, 2, 4, 8, 16])
natives = st.builds(
    Grid,
    crs=st.just("EPSG:32632"),
    left=st.floats(-1e6, 1e6),
    top=st.floats(-1e6, 1e6),
    resolution=st.sampled_from([10.0, 100 / 3, 0.25]),
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
)


@given(name=st.sampled_from(sorted(NAMES)), metatile=metatiles, zoom=st.integers(0, 18), data=st.data())
def test_tiles_of_the_world_lie_where_tilematrix_has_them(name, metatile, zoom, data):
    pyramid = global_pyramid(name, metatile=metatile)
    peer = tilematrix.TilePyramid(NAMES[name], metatiling=metatile)
    rows, cols = pyramid.matrix_shape(zoom)
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))

    grid = pyramid.grid(Tile(zoom, row, col))
    expected = peer.tile(zoom, row, col)

    assert (rows, cols) == (peer.matrix_height(zoom), peer.matrix_width(zoom))
    assert grid.shape == tuple(expected.shape())
    assert grid.bounds == approx(tuple(expected.bounds()), abs=1e-6 * grid.resolution + 1e-7)


@given(native=natives, tile_size=st.sampled_from([16, 256]), metatile=metatiles)
def test_the_native_grid_is_the_base_zoom_and_zoom_0_is_one_tile(native, tile_size, metatile):
    pyramid = pixel_pyramid(native, tile_size=tile_size, metatile=metatile)

    assert pyramid.resolution_at(pyramid.base_zoom) == native.resolution
    assert pyramid.pixels_at(pyramid.base_zoom) == native.shape
    assert pyramid.matrix_shape(0) == (1, 1)
    assert max(pyramid.pixels_at(0)) <= tile_size


@given(native=natives, metatile=metatiles, data=st.data())
def test_parents_and_children_agree(native, metatile, data):
    pyramid = pixel_pyramid(native, tile_size=16, metatile=metatile)
    zoom = data.draw(st.integers(0, pyramid.base_zoom))
    rows, cols = pyramid.matrix_shape(zoom)
    tile = Tile(zoom, data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1)))

    children = list(pyramid.children(tile))

    assert children
    assert all(child.parent() == tile and pyramid.contains(child) for child in children)


@given(native=natives, metatile=metatiles, zoom=st.integers(0, 9))
def test_each_tile_but_the_last_is_full_and_all_together_cover_the_matrix(native, metatile, zoom):
    pyramid = pixel_pyramid(native, tile_size=16, metatile=metatile)
    assume(zoom <= pyramid.base_zoom)

    height, width = pyramid.tile_shape(zoom)
    rows, cols = pyramid.matrix_shape(zoom)

    pixels = pyramid.pixels_at(zoom)
    assert (rows - 1) * height < pixels[0] <= rows * height
    assert (cols - 1) * width < pixels[1] <= cols * width
    assert rows == 1 or height == 16 * metatile
    assert cols == 1 or width == 16 * metatile


@mark.parametrize("name", sorted(NAMES))
def test_neighbours_share_an_edge_and_the_buffer_reaches_over_it(name):
    pyramid = global_pyramid(name)
    left, right = (pyramid.grid(Tile(9, 100, col)) for col in (7, 8))
    buffered = pyramid.grid(Tile(9, 100, 7), buffer_px=3)

    assert left.bounds.right == approx(right.bounds.left)
    assert buffered.bounds.right == approx(right.left + 3 * right.resolution)
    assert buffered.shape == (262, 262)
