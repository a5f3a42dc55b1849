import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, Tile, global_pyramid, pixel_pyramid

NAN = float("nan")
ONE = [(21, 33)]
CORNER = [(20, 33), (21, 33), (22, 33), (22, 34), (22, 35)]
DIAGONAL = [(20, 35), (21, 34), (22, 33)]
HOLES = [(20, 33), (20, 35), (21, 34), (22, 33), (22, 35), (23, 36)]
DENSE = list(product(range(20, 23), range(33, 37)))

PYRAMIDS = {
    "mercator": global_pyramid("WebMercatorQuad", tile_size=16),
    "geodetic": global_pyramid("WorldCRS84Quad", tile_size=16),
    "utm": Pyramid(
        crs="EPSG:32633",
        left=399960,
        top=5300040,
        resolution=100 / 3,
        base_zoom=6,
        height=1024,
        width=1024,
        tile_size=16,
    ),
    "laea": Pyramid(
        crs="EPSG:3035",
        left=900000,
        top=5500000,
        resolution=4000,
        base_zoom=6,
        height=1024,
        width=1024,
        tile_size=16,
    ),
    "pixels": pixel_pyramid(
        Grid(crs="EPSG:32633", left=399961.7, top=5300033.1, resolution=29.97, height=917, width=843), tile_size=16
    ),
}


# Each grid, dtype, metatile, pattern of tiles and kind of zooms occurs in one of them.
CASES = [
    (PYRAMIDS["mercator"], HOLES, [3, 4, 5, 6], {"dtype": "uint8", "nodata": 0}),
    (PYRAMIDS["mercator"].with_metatile(4), DIAGONAL, range(9), {"dtype": "float32", "nodata": NAN, "bands": 3}),
    (PYRAMIDS["geodetic"].with_metatile(4), CORNER, range(9), {"dtype": "int16", "nodata": -32768}),
    (PYRAMIDS["geodetic"], ONE, [6], {"dtype": "uint16", "nodata": None}),
    (PYRAMIDS["utm"], DENSE, [3, 5, 6], {"dtype": "int32", "nodata": -9999, "bands": 4}),
    (PYRAMIDS["utm"].with_metatile(4), HOLES, [8], {"dtype": "complex64", "nodata": 0}),
    (PYRAMIDS["laea"], CORNER, [4, 6], {"dtype": "uint32", "nodata": 2**32 - 1}),
    (PYRAMIDS["laea"], DENSE, [4, 5, 6], {"bands": 4, "nodata": None, "colors": ("Red", "Green", "Blue", "Alpha")}),
    (PYRAMIDS["pixels"], DIAGONAL, range(7), {"dtype": "float64", "nodata": -9999.5, "bands": 3}),
]


@pytest.fixture
def checker():
    """A program that compares what every GDAL at hand, and QGIS, see with the tiles; not ours."""
    folder = os.environ.get("TILEPIPE_TEST_DATA")
    if not folder:
        pytest.skip("TILEPIPE_TEST_DATA names no folder of test data")
    program = Path(folder).parent / "tools" / "stacta_check.py"
    if not program.exists():
        pytest.skip(f"{program} is not there")
    return str(program)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    CASES,
)
def test_the_checker_finds_no_fault(publish, checker, case):
    pyramid, tiles, zooms, facts = case
    published = publish(pyramid, [Tile(max(zooms), row, col) for row, col in tiles], zooms, **facts)

    done = subprocess.run(
        [sys.executable, checker, published.item, "-n", "2", "--no-cli"], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1].endswith(" 0 failed"), done.stdout
