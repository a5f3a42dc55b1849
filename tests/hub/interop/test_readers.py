"""GDAL and QGIS of the system open a finished job through the hub, and see the pixels of its files."""

import json
import os
import subprocess

import numpy as np
import pytest
import rasterio

from hub.interop.conftest import TOKEN
from index.test_readers import SYSTEM_PYTHON, _render

NAMES = ("stac.vrt", "stac.json")
OPTION = "SKIP_MISSING_METATILE=YES"
"""The item alone takes a missing tile for an error; the virtual raster knows."""
ZOOMS = (12, 11, 10)
TILE = 64

READ = """
import json, sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
path, folder, *options = sys.argv[1:]
dataset = gdal.OpenEx(path, gdal.OF_RASTER, open_options=options)
band = dataset.GetRasterBand(1)
levels = [band, *(band.GetOverview(number) for number in range(band.GetOverviewCount()))]
for number, level in enumerate(levels):
    np.save(f"{folder}/{number}.npy", level.ReadAsArray())
side = 2 * dataset.GetGeoTransform()[1]
warped = gdal.Warp("", dataset, format="MEM", xRes=side, yRes=side).ReadAsArray()
np.testing.assert_array_equal(warped, levels[1].ReadAsArray())
print(json.dumps([len(levels), dataset.GetGeoTransform(), band.GetNoDataValue()]))
"""


def read(path, folder, **environment):
    """What GDAL reads: the pixels of each level, the finest first."""
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", READ, path, str(folder), *([OPTION] if path.endswith("json") else [])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    count, place, nodata = json.loads(done.stdout)
    assert nodata == 0
    return [np.load(folder / f"{number}.npy") for number in range(count)], place


def mosaic(hub, job, zoom):
    """The files of a zoom side by side as far as the finest ones reach, and the bounds of all."""
    tiles = {}
    for path in (hub.folder / "outputs" / job.rpartition("/")[2] / str(zoom)).rglob("*.tif"):
        with rasterio.open(path) as file:
            tiles[file.bounds], side = file.read(1), file.res[0]
    left, top = min(box.left for box in tiles), max(box.top for box in tiles)
    right, bottom = max(box.right for box in tiles), min(box.bottom for box in tiles)
    pixels = np.zeros((round((top - bottom) / side), round((right - left) / side)), "uint8")
    for box, tile in tiles.items():
        row, col = round((top - box.top) / side), round((box.left - left) / side)
        pixels[row : row + TILE, col : col + TILE] = tile
    return pixels, (left, bottom, right, top)


def check_levels(levels, hub, job):
    """Each level shows what the files of its zoom have; beyond the finest ones no raster goes."""
    for level, zoom in zip(levels, ZOOMS, strict=False):
        files, _ = mosaic(hub, job, zoom)
        assert files.any()
        height, width = level.shape
        np.testing.assert_array_equal(level, files[:height, :width])


@pytest.mark.gdal
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gdal_reads_every_level_as_the_files_have_it(hub, done, dem, tmp_path, name):
    levels, place = read(f"/vsicurl/{done}/output/{name}", tmp_path)

    with rasterio.open(dem) as source:
        assert place[0] == pytest.approx(source.bounds.left)
        assert place[1] == pytest.approx(source.res[0])
        np.testing.assert_array_equal(levels[0][:500, :600], source.read(1))
    # GDAL has no virtual levels of less than 128 pixels.
    assert [level.shape for level in levels] == [(512, 640), (256, 320), (128, 160)]
    check_levels(levels, hub, done)


@pytest.mark.gdal
@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {TOKEN}"},
        {"GDAL_HTTP_USERPWD": f"anybody:{TOKEN}", "GDAL_HTTP_AUTH": "BASIC"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_gdal_sends_a_token(town, owned, tmp_path, environment):
    levels, _ = read(f"/vsicurl/{owned}/output/stac.vrt", tmp_path, **environment)

    check_levels(levels, town, owned)


@pytest.mark.gdal
def test_gdal_sees_nothing_without_the_token(owned):
    for name in NAMES:
        for environment in ({}, {"GDAL_HTTP_HEADERS": "Authorization: Bearer another"}):
            command = ["gdalinfo", f"/vsicurl/{owned}/output/{name}"]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
            )

            assert done.returncode != 0


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a file of GDAL's settings, as a user of QGIS would write it."""
    (tmp_path / ".gdal").mkdir()
    (tmp_path / ".gdal" / "gdalrc").write_text(f"[configoptions]\nGDAL_HTTP_HEADERS=Authorization: Bearer {TOKEN}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", NAMES)
def test_qgis_paints_every_level_as_the_files_have_it(hub, done, tmp_path, name):
    wanted = [mosaic(hub, done, zoom) for zoom in ZOOMS[:2]]

    source = f"/vsicurl/{done}/output/{name}" + (f"|option:{OPTION}" if name == "stac.json" else "")
    painted = _render(tmp_path, [(source, bounds, pixels.shape) for pixels, bounds in wanted])

    for picture, (pixels, _) in zip(painted, wanted, strict=True):
        check_picture(picture, pixels)


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_qgis_takes_the_token_from_the_settings_of_gdal(town, owned, home):
    pixels, bounds = mosaic(town, owned, ZOOMS[0])

    (picture,) = _render(home, [(f"/vsicurl/{owned}/output/stac.vrt", bounds, pixels.shape)])

    check_picture(picture, pixels)


def check_picture(picture, pixels):
    background = np.array([200, 0, 200], "uint8")[:, None, None]
    np.testing.assert_array_equal(picture, np.where(pixels == 0, background, pixels))
