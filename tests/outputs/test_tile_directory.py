from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from tilepipe.errors import OutputError, StorageError
from tilepipe.formats.gtiff import GTiff
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, Tile, global_pyramid, pixel_pyramid
from tilepipe.geo.raster import Raster
from tilepipe.outputs.protocol import Part
from tilepipe.outputs.tile_directory import TileDirectory, pieces
from tilepipe.storage import Entry, LocalStorage, Storage

SIZE = 16
WORLD = global_pyramid("WebMercatorQuad", tile_size=SIZE, metatile=4)
IMAGE = pixel_pyramid(
    Grid(crs="EPSG:32633", left=0.0, top=0.0, resolution=10.0, height=150, width=107), tile_size=SIZE, metatile=4
)


class Counting:
    """A storage that counts calls and may be full."""

    def __init__(self, storage: Storage, *, room: int = 1_000_000) -> None:
        self.storage, self.room, self.calls = storage, room, Counter[str]()

    def put(self, key: str, payload: bytes) -> None:
        self.calls["put"] += 1
        if self.calls["put"] > self.room:
            raise StorageError(f"{key} cannot be written: full")
        self.storage.put(key, payload)

    def get(self, key: str) -> bytes | None:
        self.calls["get"] += 1
        return self.storage.get(key)

    def delete(self, key: str) -> None:
        self.calls["delete"] += 1
        self.storage.delete(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        self.calls[f"list {prefix}"] += 1
        return self.storage.list(prefix)


@pytest.fixture
def storage(tmp_path: Path) -> Counting:
    return Counting(LocalStorage(str(tmp_path)))


def directory(
    storage: Storage, pyramid: Pyramid = WORLD, *, metatile: int = 2, nodata: float | None = 0
) -> TileDirectory:
    form = GTiff(dtype="uint8", nodata=nodata)
    return TileDirectory(storage=storage, format=form, pyramid=pyramid, metatile=metatile)


def raster(pyramid: Pyramid, tile: Tile, value: int = 1, nodata: float | None = 0) -> Raster:
    pixels = np.full((1, *pyramid.tile_shape(tile.zoom)), value, "uint8")
    return Raster(pixels=pixels, grid=pyramid.grid(tile), nodata=nodata)


@st.composite
def pyramids(draw: st.DrawFn) -> tuple[Pyramid, int]:
    """A pyramid and the metatile of its files."""
    metatile, times = draw(st.sampled_from([1, 2, 3, 4, 8])), draw(st.sampled_from([1, 2, 3, 4, 8]))
    size = draw(st.sampled_from([16, 17, 256]))
    kind = draw(st.sampled_from(["WebMercatorQuad", "WorldCRS84Quad", "image", "custom"]))
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    if kind == "image":
        native = Grid(crs="EPSG:32633", left=1.0, top=2.0, resolution=0.1, height=height, width=width)
        return pixel_pyramid(native, tile_size=size, metatile=metatile * times), metatile
    if kind == "custom":
        pyramid = Pyramid(
            crs="EPSG:3035",
            left=-5.0,
            top=7.0,
            resolution=100.0,
            base_zoom=draw(st.integers(0, 5)),
            height=height,
            width=width,
            tile_size=size,
            metatile=metatile * times,
        )
        return pyramid, metatile
    return global_pyramid(kind, tile_size=size, metatile=metatile * times), metatile


@st.composite
def places(draw: st.DrawFn) -> tuple[Pyramid, int, Tile]:
    """A tile of a pyramid that lies in its matrix, and the metatile of its files."""
    pyramid, metatile = draw(pyramids())
    zoom = draw(st.integers(0, 6))
    rows, cols = pyramid.matrix_shape(zoom)
    row = draw(st.sampled_from([0, rows - 1]) | st.integers(0, rows - 1))
    col = draw(st.sampled_from([0, cols - 1]) | st.integers(0, cols - 1))
    return pyramid, metatile, Tile(zoom, row, col)


@given(place=places())
def test_the_pieces_cover_each_pixel_of_the_tile_in_the_matrix_once(place: tuple[Pyramid, int, Tile]) -> None:
    pyramid, metatile, tile = place
    files = pyramid.with_metatile(metatile)
    height, width = pyramid.tile_shape(tile.zoom)
    step = pyramid.tile_size * pyramid.metatile
    top, left = tile.row * step, tile.col * step
    tall, wide = files.tile_shape(tile.zoom)
    covered = np.zeros((height, width), "uint8")

    for piece in pieces(pyramid, metatile, tile):
        if files.contains(piece):
            row, col = (number * metatile * pyramid.tile_size for number in (piece.row, piece.col))
            assert row >= top
            assert col >= left
            covered[row - top : row - top + tall, col - left : col - left + wide] += 1

    rows, cols = pyramid.pixels_at(tile.zoom)
    assert (covered[: rows - top, : cols - left] == 1).all()
    assert covered.max() == 1


@given(place=places())
def test_a_piece_belongs_to_one_tile_only(place: tuple[Pyramid, int, Tile]) -> None:
    pyramid, metatile, tile = place
    times = pyramid.metatile // metatile

    found = pieces(pyramid, metatile, tile)

    assert len(set(found)) == len(found) == times**2
    assert {Tile(piece.zoom, piece.row // times, piece.col // times) for piece in found} == {tile}
    assert list(found) == sorted(found)


@given(case=pyramids(), zoom=st.integers(0, 3))
def test_each_file_of_the_matrix_is_a_piece_of_a_tile_in_the_matrix(case: tuple[Pyramid, int], zoom: int) -> None:
    pyramid, metatile = case
    rows, cols = pyramid.matrix_shape(zoom)
    file_rows, file_cols = pyramid.with_metatile(metatile).matrix_shape(zoom)
    corners = [Tile(zoom, row, col) for row in (0, rows - 1) for col in (0, cols - 1)]

    found = {piece for tile in corners for piece in pieces(pyramid, metatile, tile)}

    assert {Tile(zoom, row, col) for row in (0, file_rows - 1) for col in (0, file_cols - 1)} <= found


@settings(deadline=None, max_examples=60)
@given(place=places())
def test_a_piece_lies_where_its_pixels_do(place: tuple[Pyramid, int, Tile]) -> None:
    pyramid, metatile, tile = place
    files = pyramid.with_metatile(metatile)
    first = pieces(pyramid, metatile, tile)[0]

    assert files.grid(first).left == pytest.approx(pyramid.grid(tile).left, abs=1e-6)
    assert files.grid(first).top == pytest.approx(pyramid.grid(tile).top, abs=1e-6)
    assert files.grid(first).resolution == pyramid.grid(tile).resolution


@pytest.mark.parametrize(("metatile", "fitting"), [(8, "1 or 2 or 4"), (3, "1 or 2 or 4"), (0, "1 or 2 or 4")])
def test_files_that_do_not_fit_into_tiles_are_refused(storage: Counting, metatile: int, fitting: str) -> None:
    with pytest.raises(ValueError, match=rf"metatiles of {metatile} do not fit .* set output.metatile to {fitting}"):
        directory(storage, metatile=metatile)


def test_files_are_named_by_zoom_row_and_column_of_their_own_pyramid(storage: Counting, tmp_path: Path) -> None:
    directory(storage).write(Tile(4, 1, 2), raster(WORLD, Tile(4, 1, 2)))

    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.tif"))

    assert names == ["4/2/4.tif", "4/2/5.tif", "4/3/4.tif", "4/3/5.tif"]


def test_parts_go_row_by_row_and_tell_size_and_place(storage: Counting) -> None:
    tile = Tile(4, 1, 2)
    filled = raster(WORLD, tile)
    filled.pixels[:, :, :32] = 0

    parts = directory(storage).write(tile, filled)

    assert [bool(part.size) for part in parts] == [False, True, False, True]
    payload = storage.get("4/2/5.tif")
    assert payload is not None
    assert parts[1].size == len(payload)


def test_pieces_that_became_empty_are_removed(storage: Counting, tmp_path: Path) -> None:
    tile = Tile(4, 1, 2)
    directory(storage).write(tile, raster(WORLD, tile))
    partly = raster(WORLD, tile)
    partly.pixels[:, 32:, :] = 0

    directory(storage).write(tile, partly)

    assert sorted(path.name for path in (tmp_path / "4/2").iterdir()) == ["4.tif", "5.tif"]
    assert not list((tmp_path / "4/3").iterdir())


def test_pieces_outside_of_the_matrix_are_parts_without_bytes(storage: Counting, tmp_path: Path) -> None:
    tile = Tile(0, 0, 0)

    parts = directory(storage, metatile=1, nodata=None).write(tile, raster(WORLD, tile, nodata=None))

    assert [bool(part.size) for part in parts] == [True] + [False] * 15
    assert set(parts[1:]) == {Part(0, 0)}
    assert [path.name for path in tmp_path.rglob("*.tif")] == ["0.tif"]


@pytest.mark.parametrize("nodata", [9, None])
def test_a_piece_over_the_edge_of_its_tile_is_filled_up(storage: Counting, tmp_path: Path, nodata: int | None) -> None:
    pyramid = Pyramid(
        crs="EPSG:3035",
        left=5.0,
        top=7.0,
        resolution=10.0,
        base_zoom=0,
        height=61,
        width=20,
        tile_size=SIZE,
        metatile=6,
    )
    tile = Tile(0, 0, 0)

    parts = directory(storage, pyramid, metatile=3, nodata=nodata).write(tile, raster(pyramid, tile, 1, nodata))

    # Tiles of 64 x 32 pixels, and files of 48 x 32.
    assert [bool(part.size) for part in parts] == [True, False, True, False]
    with rasterio.open(tmp_path / "0/1/0.tif") as dataset:
        pixels = dataset.read(1)
    assert pixels.shape == (48, 32)
    assert (pixels[:16] == 1).all()
    assert (pixels[16:] == (nodata or 0)).all()


def test_each_folder_is_listed_once_a_call(storage: Counting) -> None:
    output = directory(storage)
    tiles = [Tile(4, row, col) for row in (0, 1) for col in range(4)]
    for tile in tiles:
        output.write(tile, raster(WORLD, tile))
    storage.calls.clear()

    stored = output.stored(tiles)
    output.stored(tiles[:1])

    assert storage.calls == {"list 4/0": 2, "list 4/1": 2, "list 4/2": 1, "list 4/3": 1}
    assert all(entry is not None for entries in stored.values() for entry in entries)


def test_a_damaged_file_is_named(storage: Counting) -> None:
    output = directory(storage)
    tile = Tile(4, 1, 2)
    output.write(tile, raster(WORLD, tile))
    storage.put("4/3/4.tif", (storage.get("4/3/4.tif") or b"")[:-50])

    with pytest.raises(OutputError, match=r"4/3/4.tif is no tile of this output: .*; delete it and run again"):
        output.read(tile)


def test_a_file_of_another_output_is_named(storage: Counting) -> None:
    tile = Tile(4, 1, 2)
    directory(storage, nodata=5).write(tile, raster(WORLD, tile, nodata=5))

    with pytest.raises(OutputError, match=r"4/2/4.tif is no tile of this output: the GeoTIFF's nodata is 5.0, not 0"):
        directory(storage).read(tile)


def test_what_a_storage_cannot_keep_is_its_error(storage: Counting) -> None:
    storage.room = 2
    tile = Tile(4, 1, 2)

    with pytest.raises(StorageError, match=r"4/3/4.tif cannot be written: full"):
        directory(storage).write(tile, raster(WORLD, tile))


def test_missing_pieces_come_back_as_nodata(storage: Counting) -> None:
    tile = Tile(4, 1, 2)
    output = directory(storage, nodata=9)
    output.write(tile, raster(WORLD, tile, 4, nodata=9))
    storage.delete("4/2/5.tif")

    back = output.read(tile)

    assert back is not None
    assert (back.pixels[0, :32, 32:] == 9).all()
    assert (back.pixels == 9).sum() == 32 * 32
