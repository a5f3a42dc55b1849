"""The outputs of this package keep the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.output_contract import OutputCase, OutputContract
from tilepipe.formats.gtiff import GTiff
from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, Tile, global_pyramid, pixel_pyramid
from tilepipe.outputs.protocol import Output
from tilepipe.outputs.tile_directory import TileDirectory
from tilepipe.storage import LocalStorage

_: type[Output] = TileDirectory

WORLD = global_pyramid("WebMercatorQuad", tile_size=16, metatile=4)
IMAGE = pixel_pyramid(
    Grid(crs="EPSG:32633", left=500_000.0, top=5_000_000.0, resolution=10.0, height=150, width=107),
    tile_size=16,
    metatile=4,
)
UNEVEN = Pyramid(
    crs="EPSG:3035", left=5.0, top=7.0, resolution=10.0, base_zoom=0, height=61, width=150, tile_size=16, metatile=6
)


def _tile_directory(
    pyramid: Pyramid, metatile: int, *tiles: Tile, dtype: str = "uint8", bands: int = 1, nodata: float | None = 0
) -> Callable[[Path], OutputCase]:
    def make(folder: Path) -> OutputCase:
        form = GTiff(dtype=dtype, bands=bands, nodata=nodata)
        output = TileDirectory(storage=LocalStorage(str(folder)), format=form, pyramid=pyramid, metatile=metatile)
        return OutputCase(output=output, pyramid=pyramid, tiles=tiles, dtype=dtype, bands=bands, nodata=nodata)

    return make


OUTPUTS = {
    "one-object-a-tile": _tile_directory(WORLD, 4, Tile(3, 0, 0), Tile(3, 1, 1), Tile(4, 0, 0)),
    "four-objects-a-tile": _tile_directory(WORLD, 2, Tile(3, 0, 1), Tile(3, 1, 1), Tile(1, 0, 0)),
    "sixteen-objects-a-tile": _tile_directory(WORLD, 1, Tile(3, 0, 1), Tile(3, 1, 1), Tile(0, 0, 0), Tile(1, 0, 0)),
    "over-the-edge": _tile_directory(IMAGE, 2, Tile(4, 2, 1), Tile(4, 2, 0), Tile(4, 0, 1), Tile(2, 0, 0)),
    "over-the-edge-all": _tile_directory(IMAGE, 2, Tile(4, 2, 1), Tile(4, 2, 0), Tile(3, 1, 0), nodata=None),
    "over-the-tile": _tile_directory(UNEVEN, 3, Tile(0, 0, 0), Tile(0, 0, 1), Tile(1, 1, 3)),
    "floats": _tile_directory(WORLD, 1, Tile(3, 0, 1), Tile(3, 1, 1), dtype="float32", nodata=float("nan")),
    "bands": _tile_directory(WORLD, 2, Tile(3, 0, 1), Tile(3, 1, 1), dtype="int16", bands=3, nodata=-32768),
}


class TestOutputs(OutputContract):
    @pytest.fixture(params=OUTPUTS.values(), ids=OUTPUTS.keys())
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> OutputCase:
        made: OutputCase = request.param(tmp_path)
        return made
