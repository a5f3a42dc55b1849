"""A pyramid of web map tiles opens as one raster, though its tiles do not say where they lie."""

import json
import subprocess

import numpy as np
import pytest
import rasterio

from engine.conftest import Project
from index.test_readers import _render

COLOURS = """
import numpy as np
from tilepipe import Grid, Tile

def execute(tile: Tile, grid: Grid, *, bands: int, dtype: str, holes: bool):
    if (tile.row + 2 * tile.col) % 7 == 3:
        return None
    rows, cols = grid_rows(grid), grid_cols(grid)
    pixels = np.stack([(7 * rows + 3 * cols + 11 * band) % 251 + 1 for band in range(bands)]).astype(dtype)
    mask = (rows // 9 + cols // 13) % 5 == 0 if holes else np.zeros(grid.shape, dtype=bool)
    if bands in (2, 4):
        pixels[-1] = 255
    return np.ma.MaskedArray(pixels, mask=np.broadcast_to(mask, pixels.shape))

def grid_rows(grid):
    top = round((20037508.342789244 - grid.top) / grid.resolution)
    return np.arange(top, top + grid.height)[:, np.newaxis] + np.zeros(grid.width, dtype=int)

def grid_cols(grid):
    left = round((grid.left + 20037508.342789244) / grid.resolution)
    return np.arange(left, left + grid.width) + np.zeros((grid.height, 1), dtype=int)
"""

OUTPUTS = {
    "png-grey": {"format": "png", "bands": 1, "nodata": 0},
    "png-grey-alpha": {"format": "png", "bands": 2},
    "png-16": {"format": "png", "dtype": "uint16", "bands": 3, "nodata": 0},
    "png-rgba": {"format": "png", "bands": 4},
    "webp-rgb": {"format": "webp", "lossless": True},
    "webp-rgba": {"format": "webp", "lossless": True, "bands": 4},
}
JPEG = {"format": "jpeg", "quality": 90}


@pytest.fixture
def project(tmp_path):
    def make(output, *, tile_size=16, holes=True, **changes):
        output = {"path": "out", "metatile": 1, **output}
        given = {"bands": output.get("bands", 3), "dtype": output.get("dtype", "uint8"), "holes": holes}
        project = Project(tmp_path).changed(
            parameters=given,
            pyramid__tile_size=tile_size,
            pyramid__metatile=2,
            output=output,
            **{"zooms": [0, 3], "overviews": {"below": 3, "resampling": "nearest"}} | changes,
        )
        project.process(COLOURS)
        return project

    return make


def expected(project, *, tile_size=16, zoom=3):
    """A whole zoom, computed at once; zero where nothing is made."""
    facts = project.document["parameters"]
    side = tile_size << zoom
    rows, cols = np.indices((side, side))
    shape = (facts["bands"], side, side)
    pixels = np.stack([(7 * rows + 3 * cols + 11 * band) % 251 + 1 for band in range(shape[0])]).astype(facts["dtype"])
    if shape[0] in (2, 4):
        pixels[-1] = 255
    absent = (rows // (2 * tile_size) + 2 * (cols // (2 * tile_size))) % 7 == 3
    if facts["holes"]:
        absent |= (rows // 9 + cols // 13) % 5 == 0
    pixels[:, absent] = 0
    return pixels


def level(path, size):
    """The whole raster at one of its own levels."""
    with rasterio.open(path) as whole:
        if whole.width == size:
            return whole.read()
        index = whole.overviews(1).index(whole.width // size)
    with rasterio.open(path, OVERVIEW_LEVEL=index) as reduced:
        return reduced.read()


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_the_whole_output_is_the_image_computed_at_once(project, output):
    made = project(output)
    made.run()

    found = level(made.out / "stac.vrt", 128)

    np.testing.assert_array_equal(found, expected(made), strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("output", [OUTPUTS["png-grey"], OUTPUTS["webp-rgba"]], ids=["png", "webp"])
@pytest.mark.parametrize("tile_size", [256, 512])
def test_tiles_of_the_sizes_of_web_maps(project, output, tile_size):
    made = project(output, tile_size=tile_size, zooms=[1, 2], overviews={"below": 2, "resampling": "nearest"})
    made.run()

    found = level(made.out / "stac.vrt", 4 * tile_size)

    np.testing.assert_array_equal(found, expected(made, tile_size=tile_size, zoom=2), strict=True)


@pytest.mark.gdal
@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_gdal_of_the_system_reads_the_same_checksums(project, output, tmp_path):
    made = project(output)
    made.run()
    whole = tmp_path / "whole.tif"
    pixels = expected(made)
    with rasterio.open(
        whole,
        "w",
        driver="GTiff",
        count=len(pixels),
        height=128,
        width=128,
        dtype=pixels.dtype,
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as file:
        file.write(pixels)

    found, wanted = (_checksums(path) for path in (made.out / "stac.vrt", whole))

    assert found == wanted
    assert len(found) == len(pixels)
    assert not list(tmp_path.rglob("*.aux.xml"))


def _checksums(path):
    done = subprocess.run(["gdalinfo", "-json", "-checksum", path], capture_output=True, text=True, check=True)
    assert "ERROR" not in done.stderr
    return [band["checksum"] for band in json.loads(done.stdout)["bands"]]


def test_jpegs_open_as_one_raster_too(project):
    made = project(JPEG, holes=False)
    made.run()

    found = level(made.out / "stac.vrt", 128)

    for path in made.out.glob("3/*/*.jpg"):
        row, col = int(path.parent.name) * 16, int(path.stem) * 16
        with rasterio.open(f"vrt://{path}?a_ullr=0,1,1,0") as tile:
            np.testing.assert_array_equal(found[:, row : row + 16, col : col + 16], tile.read())


@pytest.mark.parametrize(
    ("output", "template"),
    [
        (OUTPUTS["png-grey"], ("./{TileMatrix}/{TileRow}/{TileCol}.png", "image/png")),
        (JPEG, ("./{TileMatrix}/{TileRow}/{TileCol}.jpg", "image/jpeg")),
        (OUTPUTS["webp-rgb"], ("./{TileMatrix}/{TileRow}/{TileCol}.webp", "image/webp")),
    ],
)
def test_the_item_says_of_which_type_the_tiles_are(project, output, template):
    made = project(output)
    made.run()

    asset = json.loads((made.out / "stac.json").read_text())["asset_templates"]["data"]

    assert (asset["href"], asset["type"]) == template


@pytest.mark.parametrize("output", [OUTPUTS["png-grey"], OUTPUTS["webp-rgba"]], ids=["png", "webp"])
def test_empty_tiles_leave_no_file_and_a_second_run_makes_nothing(project, output):
    made = project(output)
    made.run()
    before = made.files()

    again, _ = made.run()

    tiles = {name for name in before if name.startswith("3/") and not name.endswith(".vrt")}
    assert 0 < len(tiles) < 64
    assert again == set()
    assert made.files() == before


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "output", [{"format": "png", "bands": 3, "nodata": 0}, OUTPUTS["webp-rgba"]], ids=["png", "webp"]
)
def test_qgis_shows_colours_and_what_lies_behind_holes(project, tmp_path, output):
    made = project(output)
    made.run()
    twin = made.out / "stac.vrt"
    with rasterio.open(twin) as whole:
        bounds = whole.bounds

    (picture,) = _render(tmp_path, [(str(twin), bounds, (128, 128))])

    pixels = expected(made)[:3]
    background = np.array([200, 0, 200], "uint8")[:, None, None]
    np.testing.assert_array_equal(picture, np.where(pixels.any(axis=0), pixels, background))


def test_rows_that_became_empty_are_not_named_any_more(project):
    made = project(OUTPUTS["webp-rgb"])
    made.run()
    before = {path.name for path in made.out.glob("3/*.vrt")}

    made.changed(area=[-180, 0, 180, 85]).run(overwrite=True)

    after = {path.name for path in made.out.glob("3/*.vrt")}
    assert len(before) == 8
    assert after == {f"{row}.vrt" for row in range(4)}
