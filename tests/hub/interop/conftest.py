"""Hubs for programs of others: one for anybody, one that asks for tokens; each with a finished pyramid."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from hub.routes.serving import hash_of, serving

OWNER = "ann"
TOKEN = f"token-{OWNER}"


@pytest.fixture(scope="package")
def dem(tmp_path_factory):
    """A model of 500 x 600 pixels on the grid of zoom 12 in tiles of 64, with a hole."""
    numbers = np.random.default_rng(7)
    pixels = numbers.integers(1, 250, (1, 500, 600), dtype="uint8")
    pixels[:, 140:300, 60:250] = 0
    side = 40075016.685578488 / 64 / 2**12
    path = tmp_path_factory.mktemp("data") / "dem.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "width": 600, "height": 500, "count": 1, "nodata": 0}
    origin = -20037508.342789244
    place = Affine(side, 0, origin + 2096 * 64 * side, 0, -side, -origin - 1440 * 64 * side)
    with rasterio.open(path, "w", crs="EPSG:3857", transform=place, **profile) as file:
        file.write(pixels)
    return str(path)


@pytest.fixture(scope="package")
def inputs(dem):
    """What is posted to convert for tiles of 64 pixels on three levels."""
    return {
        "raster": {"href": dem},
        "pyramid": {"value": {"grid": "WebMercatorQuad", "tile_size": 64, "metatile": 1, "pixelbuffer": 0}},
        "zooms": {"value": {"min": 10, "max": 12}},
        "overviews": {"value": {"below": 12, "resampling": "nearest"}},
        "output": {"value": {"dtype": "uint8", "bands": 1, "nodata": 0}},
    }


@pytest.fixture(scope="package")
def hub(tmp_path_factory, dem):
    """Anybody may run jobs."""
    with serving(tmp_path_factory.mktemp("hub"), fence={"input_roots": [dem.rpartition("/")[0]]}) as hub:
        yield hub


@pytest.fixture(scope="package")
def town(tmp_path_factory, dem):
    """Only who has a token."""
    tokens = [{"sha256": hash_of(TOKEN), "owner": OWNER, "role": "run"}]
    fence = {"input_roots": [dem.rpartition("/")[0]]}
    folder = tmp_path_factory.mktemp("town")
    with serving(folder, auth={"tokens": tokens, "failures": 1000}, fence=fence) as hub:
        yield hub


@pytest.fixture(scope="package")
def done(hub, inputs):
    """Address of a finished job that anybody may see."""
    return _made(hub, inputs, hub.client)


@pytest.fixture(scope="package")
def owned(town, inputs):
    """Address of a finished job that only its owner may see."""
    return _made(town, inputs, town.as_(TOKEN))


def _made(hub, inputs, client):
    job = hub.submit(inputs, "convert", client=client)
    info = hub.ended(job, client)
    assert info["status"] == "successful", info
    return job
