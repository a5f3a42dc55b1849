"""What every output of rasters promises; a plug-in inherits the tests and says what is tested."""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tilepipe.errors import OutputError
from tilepipe.geo.pyramid import Pyramid, Tile
from tilepipe.geo.raster import Pixels, Raster
from tilepipe.outputs.protocol import Output, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCase:
    """An output without tiles, and the rasters it is made for."""

    output: Output
    pyramid: Pyramid
    tiles: tuple[Tile, ...]
    """Some that lie in the matrix; at least two."""
    dtype: str
    bands: int
    nodata: float | None

    def raster(self, tile: Tile, *, seed: int = 0) -> Raster:
        """Data in each pixel that lies in the matrix."""
        pixels = self.empty(tile).pixels
        rows, cols = self.inside(tile)
        values = np.random.default_rng([seed, *tile]).integers(1, 100, size=(self.bands, rows, cols))
        pixels[:, :rows, :cols] = values.astype(self.dtype)
        return self.given(tile, pixels)

    def inside(self, tile: Tile) -> tuple[int, int]:
        """How many rows and columns of pixels lie in the matrix."""
        height, width = self.pyramid.tile_shape(tile.zoom)
        rows, cols = self.pyramid.pixels_at(tile.zoom)
        step = self.pyramid.tile_size * self.pyramid.metatile
        return min(height, rows - tile.row * step), min(width, cols - tile.col * step)

    def given(self, tile: Tile, pixels: Pixels) -> Raster:
        return Raster(pixels=pixels, grid=self.pyramid.grid(tile), nodata=self.nodata)

    def empty(self, tile: Tile) -> Raster:
        shape = (self.bands, *self.pyramid.tile_shape(tile.zoom))
        return self.given(tile, np.full(shape, 0 if self.nodata is None else self.nodata, dtype=self.dtype))


class OutputContract:
    """Needs a fixture `case`, new for each test."""

    def test_a_tile_comes_back_as_it_was_written(self, case: OutputCase) -> None:
        for tile in case.tiles:
            case.output.write(tile, case.raster(tile))

        for tile in case.tiles:
            assert_same(case.output.read(tile), case.raster(tile))

    def test_a_tile_that_was_not_written_is_none(self, case: OutputCase) -> None:
        first, *others = case.tiles
        case.output.write(first, case.raster(first))

        assert [case.output.read(tile) for tile in others] == [None] * len(others)

    def test_writing_twice_is_writing_once(self, case: OutputCase) -> None:
        tile = case.tiles[0]

        first = case.output.write(tile, case.raster(tile))
        second = case.output.write(tile, case.raster(tile))

        assert first == second
        assert case.output.checksum(tile) == tuple(part.crc for part in first)

    def test_what_is_written_later_counts(self, case: OutputCase) -> None:
        tile = case.tiles[0]
        case.output.write(tile, case.raster(tile))

        case.output.write(tile, case.raster(tile, seed=1))

        assert_same(case.output.read(tile), case.raster(tile, seed=1))

    def test_parts_tell_what_is_stored(self, case: OutputCase) -> None:
        written = {tile: case.output.write(tile, case.raster(tile)) for tile in case.tiles}

        stored = case.output.stored(case.tiles)

        assert list(stored) == list(case.tiles)
        for tile, parts in written.items():
            assert [0 if entry is None else entry.size for entry in stored[tile]] == [part.size for part in parts]
            assert case.output.checksum(tile) == tuple(part.crc for part in parts)
            assert any(part.size for part in parts)

    def test_every_tile_has_the_same_number_of_parts(self, case: OutputCase) -> None:
        full = {len(case.output.write(tile, case.raster(tile))) for tile in case.tiles}
        empty = {len(case.output.write(tile, case.empty(tile))) for tile in case.tiles}
        stored = {len(entries) for entries in case.output.stored(case.tiles).values()}

        assert full == empty == stored
        assert len(full) == 1

    def test_an_empty_tile_removes_what_was_there(self, case: OutputCase) -> None:
        if case.nodata is None:
            pytest.skip("without nodata no tile is empty")
        tile, other = case.tiles[:2]
        case.output.write(tile, case.raster(tile))
        case.output.write(other, case.raster(other))

        parts = case.output.write(tile, case.empty(tile))

        assert set(parts) == {Part(0, 0)}
        assert set(case.output.stored([tile])[tile]) == {None}
        assert case.output.read(tile) is None
        assert_same(case.output.read(other), case.raster(other))

    def test_without_nodata_zeros_are_written(self, case: OutputCase) -> None:
        if case.nodata is not None:
            pytest.skip("with nodata such tiles are empty")
        tile = case.tiles[0]

        parts = case.output.write(tile, case.empty(tile))

        assert any(part.size for part in parts)
        assert_same(case.output.read(tile), case.empty(tile))

    def test_a_tile_with_data_in_one_pixel_comes_back(self, case: OutputCase) -> None:
        for tile in case.tiles:
            pixels = case.empty(tile).pixels
            rows, cols = case.inside(tile)
            pixels[-1, rows - 1, cols - 1] = 7
            case.output.write(tile, case.given(tile, pixels))

            assert_same(case.output.read(tile), case.given(tile, pixels))

    def test_a_deleted_tile_is_gone_and_others_stay(self, case: OutputCase) -> None:
        for tile in case.tiles:
            case.output.write(tile, case.raster(tile))
        first, *others = case.tiles

        case.output.delete(first)
        case.output.delete(first)

        assert case.output.read(first) is None
        assert not any(case.output.checksum(first))
        for tile in others:
            assert_same(case.output.read(tile), case.raster(tile))

    def test_nothing_is_stored_before_the_first_write(self, case: OutputCase) -> None:
        stored = case.output.stored(case.tiles)

        assert {entry for entries in stored.values() for entry in entries} == {None}

    def test_a_later_listing_sees_what_was_written_meanwhile(self, case: OutputCase) -> None:
        tile = case.tiles[0]
        case.output.stored([tile])

        case.output.write(tile, case.raster(tile))

        assert any(case.output.stored([tile])[tile])

    def test_pixels_that_do_not_fit_leave_what_was_there(self, case: OutputCase) -> None:
        tile = case.tiles[0]
        case.output.write(tile, case.raster(tile))
        other = "float64" if case.dtype != "float64" else "uint8"
        shapes: list[Any] = [case.raster(tile).pixels.astype(other), case.raster(tile).pixels[:, 1:]]

        for pixels in shapes:
            with pytest.raises(OutputError, match=str(tile)):
                case.output.write(tile, case.given(tile, pixels))

        assert_same(case.output.read(tile), case.raster(tile))

    def test_an_output_pickles_and_its_copy_sees_the_same_tiles(self, case: OutputCase) -> None:
        tile = case.tiles[0]
        copy: Output = pickle.loads(pickle.dumps(case.output))
        case.output.write(tile, case.raster(tile))

        assert_same(copy.read(tile), case.raster(tile))

    def test_finishing_twice_changes_nothing(self, case: OutputCase) -> None:
        tile = case.tiles[0]
        case.output.write(tile, case.raster(tile))

        case.output.finish()
        case.output.finish()

        assert_same(case.output.read(tile), case.raster(tile))


def assert_same(found: Raster | None, wanted: Raster) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.pixels, wanted.pixels, strict=True)
    assert found.grid == wanted.grid
    np.testing.assert_equal(found.nodata, wanted.nodata)
