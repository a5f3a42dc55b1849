"""What a run leaves behind opens as one raster that shows its tiles, whatever was made, remade or left out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from contracts.images import write_image
from engine.conftest import Project
from index.test_readers import _render
from tilepipe.geo.pyramid import Tile

SPOTS = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, *, dtype: str, bands: int = 1, every: int = 0, shift: int = 0):
    if every and (tile.row + 2 * tile.col) % every == 0:
        return None
    row, col = round(-grid.top / grid.resolution) % 97, round(grid.left / grid.resolution) % 89
    band, rows, cols = np.ogrid[:bands, row : row + grid.height, col : col + grid.width]
    pixels = (7 * rows + 3 * cols + 11 * band + shift) % 101 + 1
    mask = np.broadcast_to((rows // 3 + cols // 5) % 7 == 0, pixels.shape)
    return np.ma.MaskedArray(pixels.astype(dtype), mask=mask)
"""
"""Neighbouring pixels, bands and tiles differ, values lie between 1 and 101, and some are missing."""

COPY = """
def execute(image):
    return None if image.is_empty() else image.read()
"""

UTM = {"crs": "EPSG:32633", "bounds": [399960, 5265907, 434093, 5300040], "resolution": 100 / 3}
UTM_30 = {"crs": "EPSG:32633", "bounds": [399960, 5269320, 430680, 5300040], "resolution": 30}
"""QGIS itself asks for a column too many where the side of a pixel is a third, whatever it reads."""
LIKE = {"like": "image"}
NAN = float("nan")


def project_in(folder, *, grid, zooms, metatile=1, parts=None, dtype="uint8", bands=1, nodata=0, every=0, tile_size=16):
    """A recipe that makes spots everywhere, with overviews."""
    document = {
        "process": "mine.py",
        "parameters": {"dtype": dtype, "bands": bands, "every": every},
        "pyramid": {"grid": grid, "tile_size": tile_size, "metatile": metatile},
        "zooms": zooms,
        "overviews": {"below": zooms[1], "resampling": "nearest"},
        "output": {"path": "out", "dtype": dtype, "bands": bands, "nodata": nodata, "metatile": parts or metatile},
    }
    project = Project(folder, document)
    project.process(SPOTS)
    if grid == LIKE:
        numbers = np.random.default_rng(2)
        pixels = numbers.random((bands, 117, 143)).astype(dtype)
        pixels[numbers.random(pixels.shape) < 0.2] = nodata
        write_image(folder / "image.tif", pixels, nodata=nodata, left=399961.7, top=5300033.1, resolution=29.97)
        project.process(COPY)
        return project.changed(inputs={"image": "image.tif"}, parameters={})
    return project


def tiles_area(project, *tiles):
    """WKT that touches just these tiles of a metatile of 1 at the highest zoom, in the pyramid's crs."""
    pyramid = project.pipeline().pyramid.with_metatile(1)
    zoom = project.pipeline().zooms[-1]
    boxes = [shapely.box(*pyramid.grid(Tile(zoom, *tile)).bounds) for tile in tiles]
    side = 16 * pyramid.resolution_at(zoom)
    return {
        "area": shapely.to_wkt(shapely.union_all(boxes).buffer(-side / 8), rounding_precision=-1),
        "crs": pyramid.crs,
    }


CORNER = [(20, 33), (21, 33), (22, 33), (22, 34), (22, 35), (22, 36)]
DIAGONAL = [(20, 37), (23, 32)]

CASES = {
    "corner in metatiles": ({"grid": "WebMercatorQuad", "zooms": [0, 6], "metatile": 4, "parts": 1}, CORNER),
    "whole metatiles": (
        {"grid": UTM, "zooms": [0, 6], "metatile": 4, "dtype": "uint16", "bands": 3, "every": 3},
        CORNER,
    ),
    "colours": ({"grid": "WebMercatorQuad", "zooms": [4, 6], "bands": 4, "nodata": None, "every": 3}, CORNER[2:4]),
    "pixels of an image": (
        {"grid": LIKE, "zooms": [1, 3], "dtype": "float32", "nodata": NAN, "bands": 3, "metatile": 4, "parts": 2},
        None,
    ),
}


@pytest.fixture
def check():
    """Let a program that is not ours compare what every GDAL at hand sees with the tiles."""
    folder = os.environ.get("TILEPIPE_TEST_DATA")
    if not folder:
        pytest.skip("TILEPIPE_TEST_DATA names no folder of test data")
    program = Path(folder).parent / "tools" / "stacta_check.py"
    if not program.exists():
        pytest.skip(f"{program} is not there")

    def run(project):
        command = [sys.executable, str(program), str(project.out / "stac.json"), "-n", "2", "--no-cli"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1].endswith(" 0 failed"), done.stdout + done.stderr

    return run


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_checker_finds_no_fault_with_a_run(tmp_path, check, case):
    recipe, tiles = CASES[case]
    project = project_in(tmp_path, **recipe)
    selection = {} if tiles is None else tiles_area(project, *tiles)

    made, _ = project.run(**selection)

    assert project.files()
    assert len(made) > 1
    check(project)


@pytest.mark.data
@pytest.mark.slow
def test_the_checker_finds_no_fault_after_an_update_of_another_region(tmp_path, check):
    project = project_in(
        tmp_path, grid="WorldCRS84Quad", zooms=[2, 6], metatile=4, parts=2, dtype="int16", nodata=-32768
    )
    project.run(**tiles_area(project, *DIAGONAL))
    before = set(project.files())

    project.run(**tiles_area(project, (18, 44), (29, 28)))

    assert set(project.files()) > before
    check(project)


@pytest.mark.data
@pytest.mark.slow
def test_the_checker_finds_no_fault_after_tiles_became_empty(tmp_path, check):
    project = project_in(tmp_path, grid=UTM, zooms=[2, 6], metatile=2, parts=1, dtype="float64", nodata=-9999.5)
    area = tiles_area(project, *CORNER)
    project.run(**area)
    before = project.files()

    project.changed(parameters__every=2).run(overwrite=True, accept=True, **area)

    assert 0 < len(project.files()) < len(before)
    check(project)


def read_twin(project, tile):
    """What rasterio reads through `stac.vrt` where a tile lies."""
    with rasterio.open(project.out / "stac.vrt") as file:
        grid = project.pipeline().pyramid.grid(tile)
        return file.read(1, window=file.window(*grid.bounds), masked=True)


def journal(project):
    """Every record of every run."""
    return [
        json.loads(line)
        for path in sorted((project.out / ".tilepipe" / "journal").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


FILLER = Tile(6, 20, 32)
"""Where older readers look first when the tiles are those of DIAGONAL."""


@pytest.fixture
def sparse(tmp_path):
    """Two tiles across a corner, so that the corner itself has none."""
    project = project_in(tmp_path, grid="WebMercatorQuad", zooms=[6, 6])
    project.run(**tiles_area(project, *DIAGONAL))
    return project


def test_the_tile_that_older_readers_need_is_there_and_stands_for_nothing(sparse):
    fillers = [record["filler"] for record in journal(sparse) if "filler" in record]
    before = sparse.files()

    made, kept = sparse.run(**tiles_area(sparse, *DIAGONAL))

    assert fillers == [list(FILLER)]
    assert made == set()
    assert kept == {Tile(6, *place) for place in DIAGONAL}
    assert sparse.files() == before
    assert f"{FILLER}.tif" in before
    assert read_twin(sparse, FILLER).mask.all()


def test_data_takes_the_place_of_the_filler(sparse):
    made, _ = sparse.run(**tiles_area(sparse, (20, 32)))

    with rasterio.open(sparse.path(FILLER)) as file:
        pixels = file.read(1, masked=True)
    assert made == {FILLER}
    assert pixels.count() > 100
    assert (read_twin(sparse, FILLER) == pixels).all()
    again, _ = sparse.run(**tiles_area(sparse, (20, 32)))
    assert again == set()


def test_data_in_the_place_of_a_filler_stays_when_the_raster_grows(sparse):
    sparse.run(**tiles_area(sparse, (20, 32)))
    data = sparse.files()[f"{FILLER}.tif"]

    sparse.run(**tiles_area(sparse, (19, 31)))

    assert sparse.files()[f"{FILLER}.tif"] == data


def test_a_filler_that_is_not_needed_any_more_goes(sparse):
    sparse.run(**tiles_area(sparse, (19, 31)))

    assert set(sparse.files()) == {"6/19/31.tif", *(f"{Tile(6, *place)}.tif" for place in DIAGONAL)}


def test_a_run_over_everything_makes_data_of_the_filler_s_place(sparse):
    made, _ = sparse.run(**tiles_area(sparse, *CORNER, *DIAGONAL, (20, 32)))

    assert FILLER in made
    assert read_twin(sparse, FILLER).count() > 100


def test_the_filler_of_a_run_without_nodata_does_not_hide_what_comes_later(tmp_path):
    project = project_in(tmp_path, grid="WebMercatorQuad", zooms=[6, 6], nodata=None)
    project.process("""
        import numpy as np
        from tilepipe import Grid

        def execute(grid: Grid, **unused):
            return np.zeros(grid.shape, dtype="uint8")
        """)
    project = project.changed(parameters={})
    project.run(**tiles_area(project, *DIAGONAL))
    project.run(**tiles_area(project, (20, 32)))

    project.run(**tiles_area(project, (19, 31)))

    assert f"{FILLER}.tif" in project.files()


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("grid", ["WebMercatorQuad", UTM_30], ids=["mercator", "utm"])
def test_qgis_paints_what_the_tiles_hold(tmp_path, whole, grid):
    project = project_in(tmp_path, grid=grid, zooms=[3, 6], every=3)
    project.run(**tiles_area(project, *CORNER))
    twin = project.out / "stac.vrt"
    shown = whole.opened(twin)
    tiles = whole.tiles(project.out, 6, like=shown)
    _, height, width = tiles.pixels.shape
    bounds = rasterio.transform.array_bounds(height, width, shown.transform)

    (picture,) = _render(tmp_path, [(str(twin), bounds, (height, width))])

    assert (shown.pixels == tiles.pixels).all()
    background = np.array([200, 0, 200], "uint8")[:, None, None]
    np.testing.assert_array_equal(picture, np.where(tiles.valid, tiles.pixels, background))
