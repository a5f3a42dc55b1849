"""Each recipe that is shipped makes of real ground what GDAL makes of it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from matplotlib import cbook
from rasterio.warp import transform

from contracts.images import write_image
from tilepipe.cli.main import main

ROOT = Path(__file__).parent.parent.parent
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}


@pytest.fixture(scope="module")
def dem(tmp_path_factory):
    """The elevation model that comes with matplotlib, whose `ymin` is wrong: its highest summit stands at 36.198 N.

    In float32, for a height that is rounded to a metre a metre lower would tilt a pixel by half a degree.
    """
    path = tmp_path_factory.mktemp("dem") / "dem.tif"
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as sample:
        side, left, top = (sample[name].item() for name in ("dx", "xmin", "ymax"))
        write_image(path, sample["elevation"].astype("float32"), crs="EPSG:4326", left=left, top=top, resolution=side)
    return path


@pytest.fixture
def settings(dem, tmp_path):
    """What lets a recipe read the elevation model and write to a folder of the test."""

    def make(name, **more):
        (source,) = yaml.safe_load(RECIPES[name].read_text())["inputs"]
        values = {f"inputs.{source}.path": dem, "output.path": tmp_path / "out"} | more
        return [str(RECIPES[name]), *(word for key, value in values.items() for word in ("--set", f"{key}={value}"))]

    return make


@pytest.fixture
def base(settings, tmp_path, whole):
    """The tiles that the process itself made, as one image with a rim, after the recipe was run."""

    def make(name, **more):
        main(["execute", "-e", "sequential", *settings(name, **more)])
        zoom = max(int(path.name) for path in (tmp_path / "out").glob("[0-9]*"))
        return whole.tiles(tmp_path / "out", zoom, more=8)

    return make


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_valid_and_makes_the_tiles_it_plans(settings, tmp_path, capsys, name):
    main(["validate", *settings(name)])
    main(["plan", "--json", *settings(name)])
    planned = json.loads(capsys.readouterr().out.partition("\n")[2])

    main(["execute", "-e", "sequential", *settings(name)])

    zooms = {path.name: len(list(path.glob("*/*.tif"))) for path in (tmp_path / "out").glob("[0-9]*")}
    assert set(zooms) == set(planned["zooms"])
    assert all(0 < tiles <= planned["zooms"][zoom]["tiles"] for zoom, tiles in zooms.items())
    with rasterio.open(tmp_path / "out" / "stac.vrt") as file:
        assert file.read(1, masked=True).count() > 100_000


@pytest.fixture
def gdaldem(dem, whole):
    """The whole elevation model, warped by the GDAL of the system and then worked on by its `gdaldem`."""

    def make(mode, onto, *options):
        scales = [word for name, value in kernel(dem, onto).items() for word in ("-wo", f"{name}={value}")]
        warped = whole.gdalwarp(dem, onto, "bilinear", "-dstnodata", "-9999", *scales)
        result = f"{dem}.{mode}.tif"
        subprocess.run(["gdaldem", mode, "-q", warped, result, *options], check=True)
        with rasterio.open(result) as file:
            return file.read(), file.read_masks() > 0

    return make


def kernel(dem, onto):
    """Pixels asked for per column and per row, at the middle of the model: what the kernel is stretched by."""
    with rasterio.open(dem) as file:
        cols, rows = np.array([0, 1, 0.5, 0.5]), np.array([0.5, 0.5, 0, 1])
        places = file.transform @ (cols + file.width // 2, rows + file.height // 2)
        xs, ys = transform(file.crs, onto.crs, *places)
    return {
        "XSCALE": np.hypot(xs[1] - xs[0], ys[1] - ys[0]) / onto.transform.a,
        "YSCALE": np.hypot(xs[3] - xs[2], ys[3] - ys[2]) / onto.transform.a,
    }


@pytest.mark.gdal
def test_the_relief_is_that_of_gdaldem_over_the_whole_model(base, gdaldem):
    found = base("hillshade")

    shade, valid = gdaldem("hillshade", found, "-az", "315", "-alt", "45", "-s", "0.806")

    off = np.abs(found.pixels.astype(int) - shade)
    assert (found.valid == valid).all()
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-4


@pytest.mark.gdal
def test_the_slope_is_that_of_gdaldem_over_the_whole_model(base, gdaldem):
    found = base("slope")

    steep, valid = gdaldem("slope", found)

    # The engine lets GDAL place a pixel 0.001 pixels off so as not to reckon every pixel.
    assert (found.valid == valid).all()
    assert np.abs(found.pixels - steep)[valid].max() < 0.01


def test_the_copy_is_the_model_itself(base, dem):
    found = base("convert", **{"parameters.scale_ratio": 1})

    with rasterio.open(dem) as file:
        heights = file.read()
    rows, cols = heights.shape[1:]
    assert (found.pixels[:, 8 : 8 + rows, 8 : 8 + cols] == heights).all()
    assert found.valid.sum() == heights.size


def test_the_copy_in_feet_is_the_model_times_a_number(base, dem):
    found = base("convert")

    with rasterio.open(dem) as file:
        feet = file.read() * 3.28084
    rows, cols = feet.shape[1:]
    np.testing.assert_allclose(found.pixels[:, 8 : 8 + rows, 8 : 8 + cols], feet, rtol=1e-6)
