import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from tilepipe.geo.grid import Bounds, Grid
from tilepipe.geo.placing import CELL, Paste, SourceGrid, Warp, copies, pixel_map, place, source_bounds

WORLD_M = 20037508.342789244


def source(**changes):
    given = {
        "crs": "EPSG:3857",
        "transform": Affine(10, 0, 1000, 0, -10, 5000),
        "sizes": ((64, 128), (32, 64), (16, 32)),
    }
    return SourceGrid(**{**given, **changes})


def grid(**changes):
    given = {"crs": "EPSG:3857", "left": 1000, "top": 5000, "resolution": 10, "height": 64, "width": 128}
    return Grid(**{**given, **changes})


def test_the_same_pixels_are_pasted():
    assert place(source(), grid()) == Paste(level=0, row=0, col=0, height=64, width=128, at_row=0, at_col=0)


def test_a_window_that_leaves_the_file_is_cut_to_it():
    how = place(source(), grid().window(row=-3, col=100, height=10, width=50))

    assert how == Paste(level=0, row=0, col=100, height=7, width=28, at_row=3, at_col=0)


def test_coarser_pixels_are_pasted_from_the_overview_that_has_them():
    how = place(source(), grid(resolution=20, height=32, width=64))

    assert how == Paste(level=1, row=0, col=0, height=32, width=64, at_row=0, at_col=0)


def test_without_overviews_coarser_pixels_are_warped_from_full_resolution():
    how = place(source(), grid(resolution=20), overviews=False)

    assert isinstance(how, Warp)
    assert (how.level, how.x_scale, how.y_scale) == (0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("resolution", "level"),
    [(5, 0), (10, 0), (19.7, 0), (20, 1), (30, 1), (39.9, 2), (40, 2), (1000, 2)],
)
def test_the_coarsest_overview_that_is_fine_enough_is_read(resolution, level):
    assert place(source(), grid(resolution=resolution)).level == level


def test_what_does_not_meet_the_file_is_nowhere():
    assert place(source(), grid(left=5000)) is None
    assert place(source(), grid(left=1000 - 1280)) is None


@pytest.mark.parametrize("off_px", [0.0, 0.009, -0.009])
def test_a_hundredth_of_a_pixel_is_no_difference(off_px):
    assert isinstance(place(source(), grid(left=1000 + 10 * off_px)), Paste)


@pytest.mark.parametrize(
    "changes",
    [
        {"left": 1000.2},
        {"top": 5000.2},
        {"resolution": 10.01},
        {"crs": "EPSG:3395"},
    ],
)
def test_other_pixels_are_warped(changes):
    assert isinstance(place(source(), grid(**changes)), Warp)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 1000, 0, 10, 4360),
        Affine(10, 1, 1000, 0, -10, 5000),
        Affine(10, 0, 1000, 0, -20, 5000),
        # each pixel is off by too little to see, the last one by a tenth
        Affine(10 * (1 + 0.1 / 128), 0, 1000, 0, -10, 5000),
    ],
)
def test_files_that_are_not_square_north_up_and_true_to_the_last_pixel_are_warped(transform):
    assert isinstance(place(source(transform=transform), grid()), Warp)


def test_a_file_placed_by_control_points_is_always_warped():
    assert isinstance(place(source(exact=False), grid()), Warp)


def test_an_overview_of_an_odd_width_is_not_aligned_and_so_not_pasted():
    odd = source(sizes=((64, 127), (32, 64)))

    assert isinstance(place(odd, grid(resolution=20)), Warp)


@given(
    row=st.integers(-14, 15),
    col=st.integers(-30, 31),
    height=st.integers(15, 300),
    width=st.integers(31, 300),
    zoom=st.integers(0, 2),
)
def test_no_part_of_a_mosaic_is_read_another_way_than_the_whole(row, col, height, width, zoom):
    whole = grid(resolution=10 * 2**zoom)
    how = place(source(), whole.window(row=row, col=col, height=height, width=width))

    assert isinstance(how, Paste)
    assert how.level == zoom
    assert (how.row - how.at_row, how.col - how.at_col) == (row, col)


@given(
    left=st.integers(-(2**28), 2**28),
    top=st.integers(-(2**28), 2**28),
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
)
def test_the_pieces_of_a_warp_cover_every_pixel_once(left, top, height, width):
    wanted = Grid(crs="EPSG:3857", left=left * 0.5, top=top * 0.5, resolution=0.5, height=height, width=width)
    everywhere = source(transform=Affine(1e9, 0, -5e8, 0, -1e9, 5e8), sizes=((1, 1),))

    how = place(everywhere, wanted)

    assert sum(piece.height * piece.width for piece in how.pieces) == height * width
    for piece in how.pieces:
        assert 0 <= piece.row <= piece.row + piece.height <= CELL
        assert 0 <= piece.col <= piece.col + piece.width <= CELL
        assert piece.cell.left + piece.col * 0.5 == wanted.left + piece.at_col * 0.5
        assert piece.cell.top - piece.row * 0.5 == wanted.top - piece.at_row * 0.5


@given(zoom=st.integers(0, 22), down=st.floats(0, 1), right=st.floats(0, 1))
def test_tiles_of_a_pyramid_share_their_cells_to_the_last_bit(zoom, down, right):
    resolution = 2 * WORLD_M / 256 / 2**zoom
    row, col = int(down * (2**zoom - 1)), int(right * (2**zoom - 1))
    whole = Grid(crs="EPSG:3857", left=-WORLD_M, top=WORLD_M, resolution=resolution, height=256, width=256)
    everywhere = source(transform=Affine(1e9, 0, -5e8, 0, -1e9, 5e8), sizes=((1, 1),))

    tile = place(everywhere, whole.window(row=row * 256, col=col * 256, height=256, width=256)).pieces
    padded = place(everywhere, whole.window(row=row * 256 - 2, col=col * 256 - 2, height=260, width=260)).pieces

    assert {piece.cell for piece in tile} <= {piece.cell for piece in padded}


def test_what_should_be_whole_is_made_whole():
    cell = grid(left=1000 + 1e-9, resolution=20 * (1 + 1e-13), height=CELL, width=CELL)

    assert pixel_map(source(), level=0, cell=cell) == Affine(2, 0, 0, 0, 2, 0)


def test_a_file_past_longitude_180_lies_on_both_sides_of_the_world():
    past = source(crs="EPSG:4326", transform=Affine(1, 0, 170, 0, -1, 10), sizes=((20, 20),))

    assert [copy.bounds for copy in copies(past)] == [Bounds(170, -10, 190, 10), Bounds(-190, -10, -170, 10)]


def test_a_file_that_covers_the_world_lies_there_once():
    world = source(crs="EPSG:4326", transform=Affine(1, 0, -180, 0, -1, 90), sizes=((180, 360),))

    assert copies(world) == (world,)


def test_bounds_of_a_turned_file_hold_all_corners():
    turned = source(transform=Affine.translation(0, 0) @ Affine.rotation(90) @ Affine.scale(1, -1))

    assert source_bounds(turned, "EPSG:3857") == pytest.approx(Bounds(0, 0, 64, 128))
